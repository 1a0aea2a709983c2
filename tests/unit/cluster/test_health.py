"""When a cluster counts as healthy, and which volumes are made anew."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cluster import cluster, volumes

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def node(name: str, status: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": status}]
    return {"kind": "Node", "metadata": {"name": name}, "spec": {}, "status": {"conditions": conditions}}


def lease(name: str, seconds_ago: float) -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    metadata = {"name": name, "namespace": "kube-node-lease"}
    return {"kind": "Lease", "metadata": metadata, "spec": {"renewTime": renewed}}


def deployment(namespace: str, name: str, status: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Available", "status": status}]
    metadata = {"name": name, "namespace": namespace}
    return {"kind": "Deployment", "metadata": metadata, "status": {"conditions": conditions}}


DEPLOYMENTS = [deployment("kube-system", "coredns"), deployment("ingress", "traefik")]


@pytest.mark.parametrize(
    ("items", "missing"),
    [
        ([node("a"), lease("a", 3), *DEPLOYMENTS], []),
        ([node("a"), lease("a", 60), *DEPLOYMENTS], ["node a"]),
        ([node("a", "Unknown"), lease("a", 3), *DEPLOYMENTS], ["node a"]),
        ([node("a"), lease("a", 3), DEPLOYMENTS[0]], ["ingress/traefik"]),
        (
            [node("a"), lease("a", 3), DEPLOYMENTS[0], deployment("ingress", "traefik", "False")],
            ["ingress/traefik"],
        ),
    ],
    ids=["healthy", "kubelet dead", "not ready", "no ingress", "ingress unavailable"],
)
def test_what_a_cluster_lacks(items: list[dict[str, Any]], missing: list[str]) -> None:
    assert cluster.unready({"items": items}, ["a"], NOW) == missing


def test_released_and_lost_volumes_are_made_anew() -> None:
    phases = {"n-1": "Released", "n-2": "Bound", "n-3": "Available", "n-4": "Failed"}
    records = [{"metadata": {"name": name}, "status": {"phase": phase}} for name, phase in phases.items()]
    records.append({"metadata": {"name": "not-ours-1"}, "status": {"phase": "Released"}})
    wanted, stale = volumes.to_make({"items": records}, ["n"])
    assert wanted == {"n": [1, *range(4, volumes.PER_NODE + 1)]}
    assert stale == ["n-1", "n-4"]


def test_a_volume_stays_on_its_node() -> None:
    spec = volumes.volume("n", 3)["spec"]
    terms = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["n"]
    assert spec["local"]["path"].endswith("/n-3")
