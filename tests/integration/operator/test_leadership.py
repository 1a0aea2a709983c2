"""Several operators, one of which works."""

import time
from uuid import uuid4

import pytest
from tests.support.kubectl import Kubectl
from tests.support.processes import Process, Processes
from tests.support.release import manifest
from tests.support.waiting import until

FAILOVER_SECONDS = 15


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


def replicas(start: Processes, kubectl: Kubectl, lease: str) -> dict[str, Process]:
    """Start two operators and wait until both take part and one leads."""
    started = {n: start.operator(HAREBELL_LEASE=lease, POD_NAME=n) for n in ("first", "second")}
    for process in started.values():
        until("it to take part", lambda log=process.log: "waits to lead" in log.read_text(), 20)  # type: ignore[misc]
    until("one to lead", lambda: holder(kubectl, lease) in started, 20)
    return started


def test_a_killed_leader_is_replaced_and_work_goes_on(start: Processes, kubectl: Kubectl, lease: str) -> None:
    operators = replicas(start, kubectl, lease)
    for n in range(3):
        start.agent(f"failover-{n}", "failover")
    names = [f"long-{n}" for n in range(3)]
    kubectl.apply(*[manifest(n, "failover", "sleep", payload={"seconds": 20}) for n in names])
    until("all to run", lambda: all(phase(kubectl, n) == "Running" for n in names))
    leader = holder(kubectl, lease)
    operators[leader].kill()
    begun = time.monotonic()
    until("another to lead", lambda: holder(kubectl, lease) not in ("", leader), FAILOVER_SECONDS + 1)
    took = time.monotonic() - begun
    print(f"failover took {took:.1f} s")
    assert took < FAILOVER_SECONDS
    until("all to finish", lambda: all(phase(kubectl, n) == "Succeeded" for n in names), 40)
    for name in names:
        status = kubectl.get("task", name)["status"]
        assert (status["attempt"], len(status["attempts"])) == (1, 1)


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


def test_a_replica_that_stands_by_ends_when_told(start: Processes, kubectl: Kubectl, lease: str) -> None:
    operators = replicas(start, kubectl, lease)
    (standby,) = set(operators) - {holder(kubectl, lease)}
    assert operators[standby].stop() == 0
