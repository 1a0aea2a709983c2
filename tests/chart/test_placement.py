"""Where Pods run, and which of them make room for which."""

from typing import Any

from tests.support.chart import PLACED, VARIANTS, ZONES, of_kind, pods, render

OWN = {
    "operator": ("operator",),
    "archiver": ("archiver",),
    "agentDefaults": ("agent-infra", "agent-text"),
    "rabbitmq": ("rabbitmq",),
    "postgresql": ("postgresql",),
}


def specs(values: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    found = pods(render(values))
    return {name.removeprefix("bell-harebell-"): pod["spec"] for name, pod in found.items()}


def placing(section: str, **placement: Any) -> dict[str, Any]:
    server = section in ("rabbitmq", "postgresql")
    return {section: {"embedded": placement} if server else placement}


def test_pods_are_spread_over_nodes_where_possible() -> None:
    resources = render()
    for name, workload in of_kind(resources, "Deployment", "StatefulSet").items():
        (constraint,) = pods(resources)[name]["spec"]["topologySpreadConstraints"]
        assert constraint["topologyKey"] == "kubernetes.io/hostname"
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        assert constraint["labelSelector"] == workload["spec"]["selector"], name


def test_constraints_of_ones_own_take_the_place_and_count_the_workload() -> None:
    for section, names in OWN.items():
        placed = specs(placing(section, topologySpreadConstraints=PLACED["topologySpreadConstraints"]))
        workloads = of_kind(render(), "Deployment", "StatefulSet")
        for name, spec in placed.items():
            (constraint,) = spec["topologySpreadConstraints"]
            zone = constraint["topologyKey"] == "topology.kubernetes.io/zone"
            assert zone == (name in names)
            assert constraint["labelSelector"] == workloads[f"bell-harebell-{name}"]["spec"]["selector"]


def test_a_constraint_may_say_which_pods_it_counts() -> None:
    own = {**ZONES, "labelSelector": {"matchLabels": {"a": "b"}}}
    spec = specs(placing("archiver", topologySpreadConstraints=[own]))["archiver"]
    assert spec["topologySpreadConstraints"] == [own]


def test_affinity_is_instead_of_spreading_and_constraints_go_with_it() -> None:
    affinity: dict[str, Any] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    alone = specs(placing("operator", affinity=affinity))["operator"]
    assert alone["affinity"] == affinity
    assert "topologySpreadConstraints" not in alone
    both = specs(placing("operator", affinity=affinity, **PLACED))["operator"]
    assert both["affinity"] == affinity
    assert len(both["topologySpreadConstraints"]) == 1


def test_each_part_has_a_priority_class_of_its_own() -> None:
    assert not [name for name, spec in specs().items() if "priorityClassName" in spec]
    for section, names in OWN.items():
        found = specs(placing(section, priorityClassName="high"))
        assert {name for name, spec in found.items() if spec.get("priorityClassName") == "high"} == set(names)
    assert all("priorityClassName" in spec for spec in specs(VARIANTS["placed"]).values())
