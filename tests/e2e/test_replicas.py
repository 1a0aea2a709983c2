"""Operators and APIs by twos: going there and back."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from threading import Event
from typing import Any

import pytest
from tests.cluster.api import Cluster
from tests.support.kubectl import helm
from tests.support.release import Release, manifest
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


def holder(release: Release) -> str | None:
    """Return the name of the Pod whose operator works."""
    lease = release.kubectl.get("lease", f"{release.name}-harebell-operator")
    found: str | None = lease["spec"].get("holderIdentity")
    return found


def phase(release: Release, task: str) -> str | None:
    found: str | None = release.kubectl.get("task", task).get("status", {}).get("phase")
    return found


def operators(release: Release) -> list[dict[str, Any]]:
    of = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=operator"
    return release.kubectl.items("pods", "-l", of)


def names(release: Release) -> set[str]:
    return {pod["metadata"]["name"] for pod in operators(release)}


def test_one_becomes_two_and_one_again_and_no_request_is_refused(cluster: Cluster, release: Release) -> None:
    """Every Pod is replaced on the way: the only operator holds its Lease for longer."""
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
            for replicas in (2, 1):
                before = names(release)
                upgrade(cluster, release, replicas)
                until("every Pod to be replaced", lambda b=before: not b & names(release), 100)  # type: ignore[misc]
                assert len(names(release)) == replicas
                until("one of them to lead", lambda: holder(release) in names(release), 20)
        finally:
            over.set()
        for each in asking:
            each.result()
    assert answers.keys() == {"200"}, answers
    release.kubectl.apply(manifest("after-replicas"))
    until("a Task to be done", lambda: phase(release, "after-replicas") == "Succeeded", 60)
