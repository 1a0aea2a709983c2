"""The chart against the real API server, in a namespace where Pod Security ``restricted`` is enforced.

Nothing is installed: the API server admits, and stores nothing.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.api import Cluster
from tests.support.chart import VARIANTS, every_variant, of_kind, render
from tests.support.kubectl import CommandFailed, Kubectl

FOREIGN = ("HTTPRoute", "PodMonitor", "PrometheusRule", "ServiceMonitor")
"""Kinds whose definitions a cluster has only with the Prometheus Operator or a Gateway."""


@pytest.fixture(scope="module")
def restricted(cluster: Cluster) -> Iterator[Kubectl]:
    """A namespace that enforces ``restricted``, with the ServiceAccounts that Pods ask for."""
    name = f"it-{uuid4().hex[:8]}"
    kubectl = Kubectl(cluster, name)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    kubectl("create", "serviceaccount", "bell-harebell")
    yield kubectl
    kubectl("delete", "namespace", name, "--wait=false")


def admitted(kubectl: Kubectl, resources: list[dict[str, Any]]) -> list[str]:
    """What the API server takes, as KIND/NAME. :raises CommandFailed: it refuses something."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": resources})
    said = kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name", stdin=text
    )
    return said.split()


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    """A Pod as the workload's controller would make it: only of Pods the level is enforced."""
    template = deepcopy(workload["spec"]["template"])
    for claim in workload["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        volume = {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-0"}}
        template["spec"]["volumes"].append(volume)
    name = f"{workload['metadata']['name']}-0"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": name},
        "spec": template["spec"],
    }


@every_variant
def test_everything_is_admitted(restricted: Kubectl, variant: str) -> None:
    resources = render(VARIANTS[variant], namespace=restricted.namespace)
    own = [each for each in resources if each["kind"] not in FOREIGN]
    assert len(admitted(restricted, own)) == len(own)


@every_variant
def test_every_pod_is_admitted(restricted: Kubectl, variant: str) -> None:
    resources = render(VARIANTS[variant], namespace=restricted.namespace)
    workloads = of_kind(resources, "Deployment", "StatefulSet")
    made = [pod_of(workload) for workload in workloads.values()]
    assert len(admitted(restricted, made)) == len(workloads) > 0


def test_a_pod_that_may_be_root_would_be_refused(restricted: Kubectl) -> None:
    workload = of_kind(render(namespace=restricted.namespace), "Deployment")["bell-harebell-archiver"]
    pod = pod_of(workload)
    del pod["spec"]["securityContext"]["runAsNonRoot"]
    with pytest.raises(CommandFailed, match="runAsNonRoot"):
        admitted(restricted, [pod])


def test_a_field_that_there_is_not_would_be_refused(restricted: Kubectl) -> None:
    policy = deepcopy(of_kind(render(), "NetworkPolicy")["bell-harebell"])
    policy["spec"]["egres"] = policy["spec"].pop("egress")
    with pytest.raises(CommandFailed, match="egres"):
        admitted(restricted, [policy])
