"""What people ask of single agents by their spec, with the real API server and broker."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.waiting import until

SECONDS = 90


def status(kubectl: Kubectl, kind: str, name: str) -> dict[str, Any]:
    found = [o for o in kubectl.items(kind) if o["metadata"]["name"] == name]
    return dict(found[0].get("status", {})) if found else {}


def reaches(kubectl: Kubectl, kind: str, name: str, phase: str, reason: str | None = None) -> None:
    def there() -> bool:
        found = status(kubectl, kind, name)
        return found.get("phase") == phase and reason in (None, found.get("reason"))

    until(f"{kind} {name} to be {phase} ({reason})", there, SECONDS)


def ask(kubectl: Kubectl, agent: str, **spec: bool) -> None:
    kubectl("patch", "agent", agent, "--type=merge", "-p", json.dumps({"spec": spec}))


def drained(kubectl: Kubectl, agent: str) -> None:
    kubectl(
        "wait", "--for=condition=Drained", f"agent/{agent}", f"--timeout={SECONDS}s", seconds=SECONDS + 30
    )


@pytest.fixture(autouse=True)
def clean(kubectl: Kubectl) -> Iterator[None]:
    yield
    kubectl("delete", "tasks,agents", "--all")


def test_a_drained_agent_finishes_and_takes_nothing_new(start: Processes, kubectl: Kubectl) -> None:
    start.operator()
    start.agent("leaver", "drained")
    reaches(kubectl, "agents", "leaver", "Online")
    kubectl.apply(manifest("in-hand", "drained", "sleep", payload={"seconds": 6}))
    reaches(kubectl, "tasks", "in-hand", "Running")

    ask(kubectl, "leaver", drain=True)
    reaches(kubectl, "agents", "leaver", "Draining", "DrainingBySpec")
    drained(kubectl, "leaver")
    assert status(kubectl, "tasks", "in-hand")["phase"] == "Succeeded"

    start.agent("stayer", "drained")
    reaches(kubectl, "agents", "stayer", "Online")
    kubectl.apply(*(manifest(f"next-{n}", "drained") for n in range(4)))
    for n in range(4):
        reaches(kubectl, "tasks", f"next-{n}", "Succeeded")
        assert status(kubectl, "tasks", f"next-{n}")["agentName"] == "stayer"


def test_a_pause_by_spec_holds_over_restarts_until_it_is_taken_back(
    start: Processes, kubectl: Kubectl
) -> None:
    operator = start.operator()
    agent = start.agent("held", "kept")
    reaches(kubectl, "agents", "held", "Online")
    ask(kubectl, "held", paused=True)
    drained(kubectl, "held")
    reaches(kubectl, "agents", "held", "Paused", "PausedBySpec")
    kubectl.apply(manifest("waits", "kept"))

    def named() -> bool:
        found = status(kubectl, "tasks", "waits")
        said = [c["message"] for c in found.get("conditions", []) if c["type"] == "Started"]
        return found.get("reason") == "AgentsPaused" and "spec.paused of Agent held" in said[0]

    until("the Task to say who keeps it waiting", named, SECONDS)

    operator.kill()
    agent.kill()
    instance = status(kubectl, "agents", "held")["instance"]
    start.agent("held", "kept")
    start.operator()

    def anew() -> bool:
        return bool(status(kubectl, "agents", "held").get("instance") not in (None, instance))

    until("the new process to be heard of", anew, SECONDS)
    drained(kubectl, "held")
    reaches(kubectl, "agents", "held", "Paused", "PausedBySpec")
    assert status(kubectl, "tasks", "waits")["phase"] == "Queued"

    ask(kubectl, "held", paused=False)
    reaches(kubectl, "tasks", "waits", "Succeeded")
    reaches(kubectl, "agents", "held", "Online", "HeartbeatReceived")
    conditions = status(kubectl, "agents", "held")["conditions"]
    assert "Drained" not in [c["type"] for c in conditions]
