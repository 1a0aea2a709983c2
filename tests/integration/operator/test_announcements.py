"""Announcements, between the real API server, the real broker, and operators and agents as processes."""

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubectl import CommandFailed, Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.waiting import until

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "announcement-pause.yaml"
REVIEWED = 40
"""A waiting Task's reason is looked at every 15 s."""


def announcement(name: str, kind: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "Announcement",
        "metadata": {"name": name},
        "spec": {"kind": kind, **spec},
    }


def status(kubectl: Kubectl, name: str, kind: str = "task") -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get(kind, name).get("status", {})
    return found


def condition(kubectl: Kubectl, name: str, type_: str) -> dict[str, Any]:
    conditions = status(kubectl, name, "announcement").get("conditions", [])
    found: dict[str, Any] = next((c for c in conditions if c["type"] == type_), {})
    return found


def phase(kubectl: Kubectl, kind: str, name: str, wanted: str, seconds: float = 30) -> None:
    def there() -> bool:
        return bool(status(kubectl, name, kind).get("phase") == wanted)

    until(f"{kind} {name} to be {wanted}", there, seconds)


def online(kubectl: Kubectl, *names: str) -> None:
    for name in names:
        until(
            f"agent {name}",
            lambda n=name: [  # type: ignore[misc]
                a
                for a in kubectl.items("agents")
                if a["metadata"]["name"] == n and a.get("status", {}).get("phase") in ("Online", "Paused")
            ],
        )


def acknowledged(kubectl: Kubectl, name: str, *agents: str) -> None:
    def all_named() -> bool:
        found = status(kubectl, name, "announcement")
        return [a["agent"] for a in found["acknowledgements"]] == sorted(agents)

    until(f"{name} to be acknowledged by {agents}", all_named)


def reason(kubectl: Kubectl, task: str, wanted: str) -> str:
    until(f"{task} to wait: {wanted}", lambda: status(kubectl, task).get("reason") == wanted, REVIEWED)
    started = next(c for c in status(kubectl, task)["conditions"] if c["type"] == "Started")
    return str(started["message"])


@pytest.fixture(autouse=True)
def clean(kubectl: Kubectl) -> Iterator[None]:
    yield
    kubectl("delete", "announcements", "--all")
    kubectl("delete", "tasks", "--all")


def test_a_pause_holds_for_all_and_for_who_joins_until_resume(start: Processes, kubectl: Kubectl) -> None:
    start.operator()
    start.agent("early", "held")
    other = start.agent("other", "elsewhere")
    online(kubectl, "early", "other")
    kubectl.apply(manifest("in-hand", "held", "sleep", payload={"seconds": 4}))
    until("it to run", lambda: status(kubectl, "in-hand").get("agentName") == "early")

    kubectl.apply(announcement("halt", "Pause", agentSelector={"types": ["held"]}, message="upgrade"))
    acknowledged(kubectl, "halt", "early")
    # It finishes what it does.
    phase(kubectl, "agent", "early", "Busy")
    phase(kubectl, "task", "in-hand", "Succeeded")
    phase(kubectl, "agent", "early", "Paused")
    assert status(kubectl, "early", "agent")["reason"] == "Paused"

    kubectl.apply(manifest("waits", "held"), manifest("goes", "elsewhere"))
    phase(kubectl, "task", "goes", "Succeeded")
    start.agent("late", "held")
    phase(kubectl, "agent", "late", "Paused")
    acknowledged(kubectl, "halt", "early", "late")
    assert "halt" in reason(kubectl, "waits", "AgentsPaused")
    time.sleep(3)
    assert status(kubectl, "waits")["phase"] == "Queued"
    assert condition(kubectl, "halt", "Acknowledged")["status"] == "True"
    assert status(kubectl, "halt", "announcement")["targeted"] == 2
    assert other.popen.poll() is None

    kubectl.apply(announcement("go-on", "Resume"))
    phase(kubectl, "task", "waits", "Succeeded")
    phase(kubectl, "announcement", "halt", "Superseded")
    assert "go-on" in condition(kubectl, "halt", "InForce")["message"]
    acknowledged(kubectl, "go-on", "early", "late", "other")
    phase(kubectl, "agent", "early", "Online")


def test_a_straggler_is_named_until_it_acknowledges(start: Processes, kubectl: Kubectl) -> None:
    start.operator()
    start.agent("prompt", "slow")
    stopped = start.agent("straggler", "slow")
    online(kubectl, "prompt", "straggler")
    stopped.popen.send_signal(signal.SIGSTOP)
    kubectl.apply(announcement("heard", "Pause", agentSelector={"types": ["slow"]}))
    acknowledged(kubectl, "heard", "prompt")

    def named() -> bool:
        return bool(status(kubectl, "heard", "announcement")["pending"] == ["straggler"])

    until("the straggler to be named", named)
    found = condition(kubectl, "heard", "Acknowledged")
    assert found["status"] == "False"
    assert "straggler" in found["message"]
    # Silence does not make it forgotten.
    phase(kubectl, "agent", "straggler", "Offline")
    assert named()
    stopped.popen.send_signal(signal.SIGCONT)
    acknowledged(kubectl, "heard", "prompt", "straggler")
    kubectl("wait", "--for=condition=Acknowledged", "announcement/heard", "--timeout=10s")
    assert status(kubectl, "heard", "announcement")["pending"] == []
    phase(kubectl, "agent", "straggler", "Paused")


def test_a_pause_ends_at_its_time_or_when_it_is_deleted(start: Processes, kubectl: Kubectl) -> None:
    start.operator()
    start.agent("timed", "expiry")
    online(kubectl, "timed")
    ends = datetime.now(UTC) + timedelta(seconds=8)
    pause = announcement("brief", "Pause", expiresAt=ends.strftime("%Y-%m-%dT%H:%M:%SZ"))
    kubectl.apply(pause)
    phase(kubectl, "agent", "timed", "Paused")
    kubectl.apply(manifest("after", "expiry"))
    phase(kubectl, "task", "after", "Succeeded")
    begun = datetime.fromisoformat(status(kubectl, "after")["startedAt"])
    assert begun >= ends.replace(microsecond=0)
    phase(kubectl, "announcement", "brief", "Expired")

    kubectl("apply", "-f", str(EXAMPLE))
    kubectl.apply(announcement("deleted", "Pause", agentSelector={"names": ["timed"]}))
    phase(kubectl, "agent", "timed", "Paused")
    kubectl.apply(manifest("then", "expiry"))
    kubectl("delete", "announcement", "deleted")
    phase(kubectl, "task", "then", "Succeeded")


def test_a_notice_is_acknowledged_by_all_and_keeps_nobody_from_work(
    start: Processes, kubectl: Kubectl
) -> None:
    start.operator()
    names = ("n1", "n2", "n3")
    agents = [start.agent(name, "notice") for name in names]
    online(kubectl, *names)
    text = "disks are changed on Friday"
    kubectl.apply(announcement("friday", "Notice", agentSelector={"types": ["notice"]}, message=text))
    acknowledged(kubectl, "friday", *names)
    for agent in agents:
        assert text in agent.log.read_text()
    kubectl.apply(manifest("as-usual", "notice"))
    phase(kubectl, "task", "as-usual", "Succeeded")
    row = kubectl("get", "hbn", "friday", "-o", "wide").splitlines()
    assert row[0].split() == [
        "NAME",
        "KIND",
        "TARGETED",
        "ACKNOWLEDGED",
        "PHASE",
        "EXPIRES",
        "AGE",
        "MESSAGE",
    ]
    assert row[1].split()[1:5] == ["Notice", "3", "3", "Active"]


def test_labels_of_the_resource_choose_agents(start: Processes, kubectl: Kubectl) -> None:
    start.operator()
    start.agent("east-1", "zones")
    start.agent("west-1", "zones")
    online(kubectl, "east-1", "west-1")
    kubectl("label", "agent", "east-1", "zone=east")
    kubectl.apply(announcement("east", "Pause", agentSelector={"matchLabels": {"zone": "east"}}))
    acknowledged(kubectl, "east", "east-1")
    phase(kubectl, "agent", "east-1", "Paused")
    kubectl("label", "agent", "west-1", "zone=east")
    acknowledged(kubectl, "east", "east-1", "west-1")
    kubectl("label", "agent", "east-1", "zone-")
    phase(kubectl, "agent", "east-1", "Online")


def test_a_restarted_operator_and_a_restarted_agent_keep_the_pause(
    start: Processes, kubectl: Kubectl
) -> None:
    operator = start.operator()
    agent = start.agent("steady", "restart")
    online(kubectl, "steady")
    kubectl.apply(announcement("kept", "Pause"))
    phase(kubectl, "agent", "steady", "Paused")
    acknowledged(kubectl, "kept", "steady")
    kubectl.apply(manifest("patient", "restart"))
    operator.kill()
    start.agent("while-away", "restart")
    time.sleep(2)
    start.operator()
    acknowledged(kubectl, "kept", "steady", "while-away")
    agent.kill()
    start.agent("steady", "restart")
    reason(kubectl, "patient", "AgentsPaused")
    assert status(kubectl, "patient")["phase"] == "Queued"
    kubectl("delete", "announcement", "kept")
    phase(kubectl, "task", "patient", "Succeeded")


def test_bad_manifests_and_changes_are_refused(kubectl: Kubectl) -> None:
    for spec in (
        {"kind": "Holiday"},
        {"kind": "Notice", "message": "x" * 4097},
        {"kind": "Notice", "expiresAt": "soon"},
    ):
        with pytest.raises(CommandFailed, match=r"spec\."):
            kubectl.apply({**announcement("bad", "Notice"), "spec": spec})
    selector = {"types": ["a"], "matchLabels": {"zone": "east"}}
    kubectl.apply(announcement("fixed", "Notice", agentSelector=selector, message="as is"))
    assert kubectl.get("announcement", "fixed")["spec"]["agentSelector"]["matchLabels"] == {"zone": "east"}
    for patch in (
        '{"spec":{"message":"other"}}',
        '{"spec":{"kind":"Pause"}}',
        '{"spec":{"agentSelector":{"types":["b"]}}}',
        '{"spec":{"agentSelector":{"matchLabels":{"zone":"west"}}}}',
        '{"spec":{"agentSelector":null}}',
    ):
        with pytest.raises(CommandFailed, match="immutable"):
            kubectl("patch", "announcement", "fixed", "--type=merge", "-p", patch)
    kubectl(
        "patch",
        "announcement",
        "fixed",
        "--type=merge",
        "-p",
        '{"spec":{"expiresAt":"2099-01-01T00:00:00Z"}}',
    )
