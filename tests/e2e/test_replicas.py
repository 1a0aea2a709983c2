"""Operators and APIs by twos: going there and back, and who is refused while their Pods are replaced."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from threading import Event
from typing import Any

import pytest
from tests.cluster.api import Cluster
from tests.support.kubectl import helm
from tests.support.release import Release
from tests.support.servers import CHART
from tests.support.waiting import until

ASKING = 4
"""Clients that ask one request after the other."""

pytestmark = pytest.mark.timeout(500)


def upgrade(cluster: Cluster, release: Release, replicas: int) -> str:
    where = ("-n", release.kubectl.namespace, "--reuse-values", "--wait", "--timeout", "3m")
    return helm(
        cluster, "upgrade", release.name, str(CHART), *where, "--set", f"operator.replicas={replicas}"
    )


def leasing(pod: dict[str, Any]) -> bool:
    """Whether the operator in it works only while it holds the Lease."""
    (operator,) = (c for c in pod["spec"]["containers"] if c["name"] == "operator")
    return any(variable["name"] == "HAREBELL_LEASE" for variable in operator["env"])


def running(pod: dict[str, Any]) -> bool:
    containers = pod["status"].get("containerStatuses", [])
    return any(c["name"] == "operator" and "running" in c["state"] for c in containers)


def operators(release: Release) -> list[dict[str, Any]]:
    of = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=operator"
    return release.kubectl.items("pods", "-l", of)


def names(release: Release) -> set[str]:
    return {pod["metadata"]["name"] for pod in operators(release)}


def those_that_run(release: Release, until_done: "Future[Any]") -> list[tuple[int, int]]:
    """How many operators run with a Lease and without, at each look."""
    seen: list[tuple[int, int]] = []

    def over() -> bool:
        found = Counter(leasing(pod) for pod in operators(release) if running(pod))
        seen.append((found[True], found[False]))
        return until_done.done()

    until("the upgrade to be over", over, 200, interval=0.1)
    return seen


@pytest.fixture(scope="module")
def ways(cluster: Cluster, release: Release) -> Iterator[list[tuple[int, int]]]:
    """Have two replicas; yields what ran on the way there."""
    with ThreadPoolExecutor(1) as beside:
        upgrading = beside.submit(upgrade, cluster, release, 2)
        seen = those_that_run(release, upgrading)
        upgrading.result()
    yield seen
    # Refused where the strategy of two is not taken away whole.
    upgrade(cluster, release, 1)
    (one,) = (pod for pod in operators(release) if "deletionTimestamp" not in pod["metadata"])
    assert not leasing(one)


def test_no_operator_works_without_the_lease_beside_another(ways: list[tuple[int, int]]) -> None:
    assert (0, 1) in ways, "the only operator was not seen"
    assert not [each for each in ways if each[1] and sum(each) > 1]


def test_no_request_is_refused_while_pods_are_replaced(
    cluster: Cluster, release: Release, ways: list[tuple[int, int]]
) -> None:
    # The first upgrade replaced all at once, because of the operator without a Lease.
    upgrade(cluster, release, 2)
    before = names(release)
    answers: Counter[str] = Counter()
    over = Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answers[str(release.rest("GET", "/api/v1/agents").status)] += 1
            except (OSError, HTTPException) as error:
                answers[repr(error)] += 1

    with ThreadPoolExecutor(ASKING) as beside:
        asking = [beside.submit(ask) for _ in range(ASKING)]
        try:
            release.kubectl("rollout", "restart", f"deployment/{release.name}-harebell-operator")
            until("every Pod to be replaced", lambda: not before & names(release), 200, interval=1)
        finally:
            over.set()
        for each in asking:
            each.result()
    assert answers.keys() == {"200"}, answers
