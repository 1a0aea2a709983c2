"""Operators and APIs by twos: going there and back, and who is refused while their Pods are replaced."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from threading import Event
from typing import Any

import pytest
from tests.cluster.api import Cluster
from tests.support.kubectl import CommandFailed, helm
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


def operators(release: Release) -> list[dict[str, Any]]:
    of = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=operator"
    return release.kubectl.items("pods", "-l", of)


def names(release: Release) -> set[str]:
    return {pod["metadata"]["name"] for pod in operators(release)}


@pytest.fixture(scope="module")
def several(cluster: Cluster, release: Release) -> Iterator[None]:
    """Have two replicas, by the way that the chart's README gives; afterwards there is one again."""
    # A Deployment makes more Pods of the old template before any of the new one.
    with pytest.raises(CommandFailed, match="works without a Lease"):
        upgrade(cluster, release, 2)
    (only,) = operators(release)
    assert not leasing(only)
    deployment = f"deployment/{release.name}-harebell-operator"
    release.kubectl("delete", deployment, "--cascade=foreground")
    assert not operators(release)
    upgrade(cluster, release, 2)
    yield
    # Refused where the strategy of two is not taken away whole.
    upgrade(cluster, release, 1)
    assert [leasing(p) for p in operators(release) if "deletionTimestamp" not in p["metadata"]] == [False]


@pytest.mark.usefixtures("several")
def test_every_one_of_several_asks_for_the_lease(release: Release) -> None:
    found = operators(release)
    assert [leasing(pod) for pod in found] == [True, True]
    lease = release.kubectl.get("lease", f"{release.name}-harebell-operator")
    assert lease["spec"]["holderIdentity"] in names(release)


@pytest.mark.usefixtures("several")
def test_no_request_is_refused_while_pods_are_replaced(release: Release) -> None:
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
