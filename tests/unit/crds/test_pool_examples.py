"""The examples of AgentPools, as far as that can be told without a cluster."""

from pathlib import Path
from typing import Any

import yaml

from harebell_crds import API_VERSION
from harebell_crds.generate import RESOURCES, crd
from harebell_crds.pool import AgentPoolSpec
from harebell_operator import metrics

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())
    return found


def test_the_pool() -> None:
    pool = example("agentpool.yaml")
    spec = AgentPoolSpec.model_validate(pool["spec"])
    assert (spec.type, spec.replicas) == ("text", 3)
    assert spec.template.to_wire() == pool["spec"]["template"]


def test_autoscalers_name_the_pool_and_a_metric_that_there_is() -> None:
    hpa, keda = example("agentpool-hpa.yaml")["spec"], example("agentpool-keda.yaml")["spec"]
    target = {
        "apiVersion": API_VERSION,
        "kind": "AgentPool",
        "name": example("agentpool.yaml")["metadata"]["name"],
    }
    assert hpa["scaleTargetRef"] == keda["scaleTargetRef"] == target
    (metric,) = hpa["metrics"]
    (trigger,) = keda["triggers"]
    (described,) = metrics.QUEUE_DEPTH.describe()
    assert metric["external"]["metric"]["name"] == described.name
    assert f'{described.name}{{namespace="agents", agent_type="text"}}' in trigger["metadata"]["query"]


def test_only_pools_can_be_scaled() -> None:
    scalable = {r.kind for r in RESOURCES if "scale" in crd(r)["spec"]["versions"][0]["subresources"]}
    assert scalable == {"AgentPool"}
