"""Several operators, one of which works."""

import signal
import time
from pathlib import Path
from uuid import uuid4

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Process, Processes
from tests.support.release import manifest
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

pytestmark = pytest.mark.alone

TASKS, AGENTS = 200, 4
FAILOVER_SECONDS = 20
UNHURRIED = {"HAREBELL_HEARTBEAT_SECONDS": "3", "HAREBELL_OFFLINE_SECONDS": "120"}
"""Agents that share a busy machine with so many Tasks may be slow to say that they are there."""


@pytest.fixture
def lease() -> str:
    """A Lease that no earlier operator holds."""
    return f"operator-{uuid4().hex[:8]}"


def holder(kubectl: Kubectl, lease: str) -> str:
    shown = kubectl("get", "lease", lease, "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}")
    return shown.strip()


def phase(kubectl: Kubectl, name: str) -> str:
    found: str = kubectl.get("task", name).get("status", {}).get("phase", "")
    return found


def online(kubectl: Kubectl, agent_type: str) -> int:
    """Count the agents of a type that are there."""
    agents = kubectl.items("agents", "-l", f"harebell.dev/agent-type={agent_type}")
    return sum(agent.get("status", {}).get("phase") == "Online" for agent in agents)


def replicas(start: Processes, kubectl: Kubectl, lease: str, **environment: str) -> dict[str, Process]:
    """Start two operators and wait until both take part, and the one that leads has begun to work."""
    names = ("first", "second")
    started = {n: start.operator(HAREBELL_LEASE=lease, POD_NAME=n, **environment) for n in names}
    for process in started.values():
        until("it to take part", lambda log=process.log: "waits to lead" in log.read_text(), 60)  # type: ignore[misc]
    leader = until("one to lead", lambda: started.get(holder(kubectl, lease)), 60)
    until("it to work", lambda: "Agents known" in leader.log.read_text(), 60)
    return started


@pytest.mark.timeout(600)
def test_a_killed_leader_is_replaced_and_no_work_starts_over(
    start: Processes, kubectl: Kubectl, lease: str, tmp_path: Path
) -> None:
    operators = replicas(start, kubectl, lease, **UNHURRIED)
    diary = tmp_path / "diary"
    for n in range(AGENTS):
        start.agent(
            f"failover-{n}",
            "failover",
            HAREBELL_AGENT_CONCURRENCY=str(TASKS // AGENTS),
            HAREBELL_AGENT_MODULE=f"{__name__.rpartition('.')[0]}.diary:agent",
            DIARY=str(diary),
        )
    until("the agents", lambda: online(kubectl, "failover") == AGENTS, 120)
    # One half ends while nobody leads, the other when somebody does again.
    soon, later = tmp_path / "soon", tmp_path / "later"
    names = [f"long-{n}" for n in range(TASKS)]
    tasks = [
        manifest(name, "failover", "until", payload={"told": str(soon if n % 2 else later)})
        for n, name in enumerate(names)
    ]
    kubectl.apply(*tasks)
    until("all to run", lambda: all_in("Running", kubectl, names), 180, interval=1)
    leader = holder(kubectl, lease)

    operators[leader].kill()
    begun = time.monotonic()
    soon.touch()
    kubectl.apply(manifest("afterwards", "nobody"))
    until("another to lead", lambda: holder(kubectl, lease) not in ("", leader), 60)
    led = time.monotonic() - begun
    until("it to write", lambda: phase(kubectl, "afterwards") == "Queued", 60)
    wrote = time.monotonic() - begun
    print(f"failover took {led:.1f} s until another led, {wrote:.1f} s until it wrote")
    assert wrote < FAILOVER_SECONDS
    later.touch()

    until("all to finish", lambda: all_in("Succeeded", kubectl, names), 180, interval=1)
    found = statuses(kubectl)
    assert {(found[n]["attempt"], len(found[n]["attempts"])) for n in names} == {(1, 1)}
    assert sorted(diary.read_text().split()) == sorted(names)
    events = kubectl.items("events", "--field-selector", "involvedObject.name=harebell,reason=TookOver")
    assert f"{TASKS} adopted, 0 lost; attempts fenced: 0" in {e["message"].partition(": ")[2] for e in events}


def test_a_leader_that_is_told_to_stop_hands_over_at_once(
    start: Processes, kubectl: Kubectl, lease: str
) -> None:
    operators = replicas(start, kubectl, lease)
    leader = holder(kubectl, lease)
    assert operators[leader].stop() == 0
    until("the other to lead", lambda: holder(kubectl, lease) not in ("", leader), 12)
    start.agent("heir", "handover")
    kubectl.apply(manifest("after-handover", "handover"))
    until("the Task to be done", lambda: phase(kubectl, "after-handover") == "Succeeded")


def test_whoever_comes_back_under_its_name_leads_again_at_once(
    start: Processes, kubectl: Kubectl, lease: str
) -> None:
    """As a container that dies in the Pod of the only operator, whose Lease is longer."""
    only = {"HAREBELL_LEASE": lease, "HAREBELL_LEASE_SECONDS": "3600", "POD_NAME": "only"}
    before = start.operator(**only)
    until("it to lead", lambda: holder(kubectl, lease) == "only", 60)
    before.kill()
    start.operator(**only)
    kubectl.apply(manifest("after-return", "nobody"))
    until("it to write", lambda: phase(kubectl, "after-return") == "Queued", 60)


def test_a_leader_that_was_frozen_ends_when_another_leads(
    start: Processes, kubectl: Kubectl, lease: str
) -> None:
    operators = replicas(start, kubectl, lease)
    leader = holder(kubectl, lease)
    frozen = operators[leader].popen
    frozen.send_signal(signal.SIGSTOP)
    until("another to lead", lambda: holder(kubectl, lease) not in ("", leader), 60)
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(timeout=30) == 1
    assert holder(kubectl, lease) != leader


def test_a_replica_that_stands_by_ends_when_told(start: Processes, kubectl: Kubectl, lease: str) -> None:
    operators = replicas(start, kubectl, lease)
    (standby,) = set(operators) - {holder(kubectl, lease)}
    assert operators[standby].stop() == 0
