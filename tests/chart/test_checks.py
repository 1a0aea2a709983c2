"""The tools that `make verify` looks at the chart with find what they are for."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.support.chart import of_kind, render
from tests.verify.chart import conform, findings, scored, tools


@pytest.fixture(scope="module", autouse=True)
def there() -> None:
    """A first run may have to build them, which takes longer than a test may."""
    tools()


def written(folder: Path, manifest: dict[str, Any]) -> Path:
    file = folder / "manifest.yaml"
    file.write_text(json.dumps(manifest))
    return file


def test_a_slip_in_a_field_is_found(tmp_path: Path) -> None:
    policy = deepcopy(of_kind(render(), "NetworkPolicy")["bell-harebell"])
    assert conform([written(tmp_path, policy)]) is None
    policy["spec"]["egres"] = policy["spec"].pop("egress")
    problem = conform([written(tmp_path, policy)])
    assert problem is not None
    assert "egres" in problem


def test_a_mistake_in_a_resource_of_ours_is_found(tmp_path: Path) -> None:
    task = {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": "x"},
        "spec": {"agentType": "text", "action": "echo", "priority": "soon"},
    }
    problem = conform([written(tmp_path, task)])
    assert problem is not None
    assert "priority" in problem


@pytest.mark.parametrize(
    ("version", "kind", "spec"),
    [
        ("gateway.networking.k8s.io/v1", "HTTPRoute", {"hostnames": ["a"], "rule": []}),
        ("monitoring.coreos.com/v1", "PodMonitor", {"selector": {}, "podMetricsEndpoints": [{"ports": "x"}]}),
        (
            "monitoring.coreos.com/v1",
            "PrometheusRule",
            {"groups": [{"name": "a", "rules": [{"alert": "A"}]}]},
        ),
        ("keda.sh/v1alpha1", "ScaledObject", {"scaleTargetRef": {"name": "a"}, "triggers": [{"type": 1}]}),
    ],
)
def test_a_mistake_in_a_resource_of_another_project_is_found(
    tmp_path: Path, version: str, kind: str, spec: dict[str, Any]
) -> None:
    other = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    problem = conform([written(tmp_path, other)])
    assert problem is not None
    assert "could not find schema" not in problem


def test_a_kind_without_a_schema_is_found(tmp_path: Path) -> None:
    other = {"apiVersion": "harebell.dev/v1", "kind": "Tusk", "metadata": {"name": "x"}}
    problem = conform([written(tmp_path, other)])
    assert problem is not None
    assert "Tusk" in problem


def test_a_container_without_limits_is_found(tmp_path: Path) -> None:
    archiver = deepcopy(of_kind(render(), "Deployment")["bell-harebell-archiver"])
    (container,) = archiver["spec"]["template"]["spec"]["containers"]
    container["resources"] = {}
    del container["securityContext"]["readOnlyRootFilesystem"]
    found = {finding.text for finding in findings(scored(written(tmp_path, archiver)))}
    assert "Memory limit is not set" in found
    assert "The pod has a container with a writable root filesystem" in found
