"""Work that is interrupted: by the death of its agent, by its shutdown, by suspension."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Process, Processes
from tests.support.release import manifest
from tests.support.tasks import statuses
from tests.support.waiting import until

from .observing import finished, reasons

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Where everybody waits until it exists."""
    return tmp_path / "gate"


def climber(start: Processes, name: str, kind: str, gate: Path) -> Process:
    module = f"{__name__.rpartition('.')[0]}.climbing:agent"
    more = {"HAREBELL_AGENT_CONCURRENCY": "4", "HAREBELL_DRAIN_SECONDS": "0"}
    return start.agent(name, kind, HAREBELL_AGENT_MODULE=module, GATE=str(gate), **more)


def waiting_at(kubectl: Kubectl, step: int, *names: str) -> dict[str, dict[str, Any]]:
    """Wait until the checkpoints of all of them say so, and return their status."""

    def reached() -> bool:
        found = statuses(kubectl)
        return all(found[n]["checkpoint"]["data"]["step"] == step for n in names)

    until(f"checkpoints of step {step}", reached, 60)
    return statuses(kubectl)


def suspend(kubectl: Kubectl, wanted: bool, *names: str) -> None:
    patch = f'{{"spec":{{"suspend":{str(wanted).lower()}}}}}'
    for name in names:
        kubectl("patch", "task", name, "--type=merge", "-p", patch)


def test_what_a_killed_agent_had_begun_goes_on_begins_again_or_fails(
    start: Processes, kubectl: Kubectl, gate: Path
) -> None:
    start.operator()
    victim = climber(start, "victim", "killed", gate)
    kubectl.apply(
        manifest("resumed", "killed", "climb"),
        manifest("requeued", "killed", "walk"),
        manifest("failed", "killed", "jump"),
        manifest("anew", "killed", "climb", onInterruption="Requeue"),
    )
    running = waiting_at(kubectl, 3, "resumed", "requeued", "failed", "anew")
    policies = {name: status["onInterruption"] for name, status in running.items()}
    assert policies == {"resumed": "Resume", "requeued": "Requeue", "failed": "Fail", "anew": "Requeue"}
    capabilities = kubectl.get("agent", "victim")["status"]["capabilities"]
    assert (capabilities["resumable"], capabilities["idempotent"]) == (["climb"], ["walk"])

    victim.kill()
    failed = finished(kubectl, "failed", 60)
    assert (failed["phase"], failed["reason"], failed["error"]["code"]) == (
        "Failed",
        "Interrupted",
        "Interrupted",
    )
    assert (failed["attempts"][0]["outcome"], failed["attempts"][0]["error"]["code"]) == ("Lost", "AgentLost")
    until("its Event", lambda: reasons(kubectl, "failed") == ["Interrupted"])
    until("the other to begin anew", lambda: "checkpoint" not in statuses(kubectl)["requeued"], 60)
    gate.touch()
    climber(start, "heir", "killed", gate)
    for name, began_at in {"resumed": 3, "requeued": 0, "anew": 0}.items():
        done = finished(kubectl, name, 60)
        assert (name, done["phase"], done["result"]) == (
            name,
            "Succeeded",
            {"began_at": began_at, "attempt": 2},
        )
        assert (done["failures"], done["attempts"][0]["outcome"]) == (1, "Lost")
        assert "checkpoint" not in done


def test_an_agent_that_is_shut_down_hands_back_with_the_last_checkpoint(
    start: Processes, kubectl: Kubectl, gate: Path
) -> None:
    start.operator()
    leaving = climber(start, "leaving", "shut", gate)
    kubectl.apply(
        manifest("handed-on", "shut", "climb"),
        manifest("handed-back", "shut", "jump"),
        manifest("just-done", "shut", "climb", payload={"completes": True}),
    )
    waiting_at(kubectl, 3, "handed-on", "handed-back", "just-done")
    assert leaving.stop() == 0
    last = until("it to be handed back", lambda: _ended(kubectl, "handed-on"), 60)
    assert (last["failures"], last["attempts"][0]["outcome"]) == (0, "Interrupted")
    assert last["checkpoint"]["data"] == {"step": 3, "stopping": "the agent is shut down"}
    failed = finished(kubectl, "handed-back", 60)
    assert (failed["phase"], failed["reason"], failed["failures"]) == ("Failed", "Interrupted", 0)
    assert finished(kubectl, "just-done", 60)["result"] == {"began_at": 0, "attempt": 1}
    gate.touch()
    climber(start, "next", "shut", gate)
    assert finished(kubectl, "handed-on", 60)["result"] == {"began_at": 3, "attempt": 2}


def _ended(kubectl: Kubectl, name: str) -> dict[str, Any] | None:
    found = statuses(kubectl)[name]
    return found if found["attempts"][0].get("outcome") else None


def test_a_suspended_task_stops_where_it_can_go_on_and_does_so_when_resumed(
    start: Processes, kubectl: Kubectl, gate: Path
) -> None:
    start.operator()
    climber(start, "steady", "halted", gate)
    kubectl.apply(
        manifest("stopped", "halted", "climb"),
        manifest("going-on", "halted", "walk"),
        manifest("completed", "halted", "climb", payload={"completes": True}),
    )
    waiting_at(kubectl, 3, "stopped", "going-on", "completed")
    suspend(kubectl, True, "stopped", "going-on", "completed")

    def is_suspended() -> bool:
        found = statuses(kubectl)["stopped"]
        return (found["phase"], found["reason"]) == ("Pending", "Suspended")

    until("it to be suspended", is_suspended, 60)
    stopped = statuses(kubectl)["stopped"]
    assert (stopped["attempt"], stopped["failures"], "error" in stopped) == (1, 0, False)
    assert stopped["attempts"][0]["error"]["code"] == "Suspended"
    assert stopped["checkpoint"]["data"]["stopping"] == "the Task was suspended"
    done = finished(kubectl, "completed", 60)
    assert (done["phase"], done["attempt"]) == ("Succeeded", 1)
    until(
        "the other to say that it goes on",
        lambda: statuses(kubectl)["going-on"].get("reason") == "NotResumable",
        60,
    )
    until("its Event", lambda: reasons(kubectl, "going-on") == ["NotResumable"])
    kubectl("wait", "agent/steady", "--for=jsonpath={.status.currentTasks[0].name}=going-on", "--timeout=60s")

    gate.touch()
    assert finished(kubectl, "going-on", 60)["result"] == {"began_at": 0, "attempt": 1}
    suspend(kubectl, False, "stopped")
    assert finished(kubectl, "stopped", 60)["result"] == {"began_at": 3, "attempt": 2}
