"""What a drained node may take at once, and how long Pods have to go: no work is lost, and no drain hangs."""

from typing import Any

import pytest
from tests.support.chart import CHART, VARIANTS, every_variant, of_kind, pods, render, run_helm

AGENTS = "bell-harebell-agent-"


def budgets(values: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    return {name: each["spec"] for name, each in of_kind(render(values), "PodDisruptionBudget").items()}


@every_variant
def test_every_budget_is_of_one_workload_and_lets_something_go(variant: str) -> None:
    resources = render(VARIANTS[variant])
    workloads = of_kind(resources, "Deployment", "StatefulSet")
    for name, budget in budgets(VARIANTS[variant]).items():
        selector = budget["selector"]["matchLabels"]
        found = [n for n, p in pods(resources).items() if selector.items() <= p["metadata"]["labels"].items()]
        assert found == [name]
        assert "minAvailable" not in budget
        allowed = budget["maxUnavailable"]
        # Of a broker's nodes and of operators one; of agents a share, which Kubernetes rounds up.
        assert allowed == (1 if AGENTS not in name else "50%")
        assert workloads[name]["spec"]["replicas"] > 0


def test_a_single_agent_can_be_evicted() -> None:
    assert budgets({"agentDefaults": {"replicas": 1}})[f"{AGENTS}text"]["maxUnavailable"] == "50%"


@pytest.mark.parametrize(("own", "expected"), [(2, 2), ("25%", "25%"), ("100%", "100%")])
def test_a_pool_may_have_its_own_share(own: Any, expected: Any) -> None:
    found = budgets({"agents": {"text": {"maxUnavailable": own}}})
    assert (found[f"{AGENTS}text"]["maxUnavailable"], found[f"{AGENTS}infra"]["maxUnavailable"]) == (
        expected,
        "50%",
    )


@pytest.mark.parametrize("refused", [0, -1, "0%", "150%", "half"])
def test_a_budget_that_nothing_satisfies_is_refused(refused: Any) -> None:
    done = run_helm("lint", "--strict", str(CHART), values={"agentDefaults": {"maxUnavailable": refused}})
    assert done.returncode != 0
    assert "maxUnavailable" in done.stdout + done.stderr


@pytest.mark.parametrize("own", [{"replicas": 0}, {"maxUnavailable": None}])
def test_no_budget_without_pods_or_without_limit(own: dict[str, Any]) -> None:
    assert f"{AGENTS}text" not in budgets({"agentDefaults": own})
    found = budgets({"agents": {"text": own}})
    assert (f"{AGENTS}text" in found, f"{AGENTS}infra" in found) == (False, True)


def test_pods_that_do_not_work_hold_up_no_drain() -> None:
    for name, budget in budgets({"operator": {"replicas": 2}}).items():
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow", name


@every_variant
def test_every_pod_says_how_long_it_has_to_go(variant: str) -> None:
    for name, pod in pods(render(VARIANTS[variant])).items():
        assert pod["spec"]["terminationGracePeriodSeconds"] >= 30, name


@every_variant
def test_an_evicted_agent_has_time_to_finish_and_to_hand_back(variant: str) -> None:
    for name, pod in pods(render(VARIANTS[variant])).items():
        if name.startswith(AGENTS):
            (agent,) = pod["spec"]["containers"]
            (drain,) = (int(e["value"]) for e in agent["env"] if e["name"] == "HAREBELL_DRAIN_SECONDS")
            assert pod["spec"]["terminationGracePeriodSeconds"] >= drain + 25


@every_variant
def test_the_operator_is_restarted_when_its_liveness_probe_says_so(variant: str) -> None:
    pod = pods(render(VARIANTS[variant]))["bell-harebell-operator"]
    (operator,) = (c for c in pod["spec"]["containers"] if c["name"] == "operator")
    assert operator["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert operator["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_an_api_serves_on_until_requests_go_to_another() -> None:
    pod = pods(render())["bell-harebell-operator"]["spec"]
    waits = {c["name"]: c["lifecycle"] for c in pod["containers"] if "lifecycle" in c}
    # The only one too, for the next is there before it is stopped.
    assert waits == {"api": {"preStop": {"sleep": {"seconds": 5}}}}
    # After that it has 10 s to end what it has begun.
    assert pod["terminationGracePeriodSeconds"] > 5 + 10
