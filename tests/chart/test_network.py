"""NetworkPolicies: who may connect to whom, as an evaluation of the rules says."""

from typing import Any

import pytest
from tests.support.chart import EXTERNAL, VARIANTS, containers, every_variant, of_kind, pods, render

MONITORING = {"kubernetes.io/metadata.name": "monitoring"}
SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}
POOL_POD = {"harebell.dev/agent-type": "llm", "harebell.dev/agent-pool": "crew"}
STRANGER = {"app": "stranger"}
BROKER = 5671


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    exist = [e["key"] for e in selector.get("matchExpressions", []) if e["operator"] == "Exists"]
    assert len(exist) == len(selector.get("matchExpressions", []))
    return selector.get("matchLabels", {}).items() <= labels.items() and set(exist) <= labels.keys()


class Net:
    """What the policies of a release let through. Labels None: an address outside the cluster."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        resources = render(values)
        self.policies = [each["spec"] for each in of_kind(resources, "NetworkPolicy").values()]
        self.pods = {
            name.removeprefix("bell-harebell-"): pod["metadata"]["labels"]
            for name, pod in pods(resources).items()
        }
        self.pods["pool"] = POOL_POD

    def rules(self, labels: dict[str, str], direction: str) -> list[dict[str, Any]] | None:
        """The rules for a Pod; None: it is not restricted."""
        mine = [
            p for p in self.policies if matches(p["podSelector"], labels) and direction in p["policyTypes"]
        ]
        return [r for p in mine for r in p.get(direction.lower(), [])] if mine else None

    def lets(
        self,
        direction: str,
        pod: str,
        port: int,
        labels: dict[str, str] | None = None,
        namespace: dict[str, str] | None = None,
        protocol: str = "TCP",
    ) -> bool:
        """``namespace``: the labels of another namespace than the release's."""
        rules = self.rules(self.pods[pod], direction)
        return rules is None or any(
            self._of(rule, direction, port, protocol, labels, namespace) for rule in rules
        )

    @staticmethod
    def _of(
        rule: dict[str, Any],
        direction: str,
        port: int,
        protocol: str,
        labels: dict[str, str] | None,
        namespace: dict[str, str] | None,
    ) -> bool:
        ports = rule.get("ports", [{"port": port, "protocol": protocol}])
        if {"port": port, "protocol": protocol} not in ports:
            return False
        peers = rule.get("from" if direction == "Ingress" else "to")
        if peers is None:
            return True
        if labels is None:
            return any("ipBlock" in peer for peer in peers)
        return any(
            "ipBlock" not in peer
            and matches(peer.get("podSelector", {}), labels)
            and (
                matches(peer["namespaceSelector"], namespace or {})
                if "namespaceSelector" in peer
                else namespace is None
            )
            for peer in peers
        )

    def connects(self, source: str, target: str, port: int) -> bool:
        return self.lets("Egress", source, port, self.pods[target]) and self.lets(
            "Ingress", target, port, self.pods[source]
        )


NEEDED = {
    *((one, "rabbitmq", BROKER) for one in ("operator", "archiver", "agent-text", "agent-infra", "pool")),
    *(("rabbitmq", "rabbitmq", port) for port in (4369, 25672)),
    *((source, "postgresql", 5432) for source in ("operator", "archiver")),
}
PORTS = (BROKER, 4369, 25672, 5432, 8080, 9090, 9091, 9092, 15692)


def test_parts_connect_where_they_must_and_nowhere_else() -> None:
    net = Net({"networkPolicy": {"agents": {"openEgress": False}}})
    connected = {
        (source, target, port)
        for source in net.pods
        for target in net.pods
        for port in PORTS
        if net.connects(source, target, port)
    }
    assert connected == NEEDED


@every_variant
def test_every_pod_is_closed_but_for_rules(variant: str) -> None:
    net = Net(VARIANTS[variant])
    if variant == "bare":
        assert net.policies == []
        return
    for name, labels in net.pods.items():
        for direction in ("Ingress", "Egress"):
            assert net.rules(labels, direction) is not None, (name, direction)
            # A stranger in the namespace gets nowhere, but for the API where everybody may call it.
            if direction == "Ingress":
                let = {port for port in PORTS if net.lets(direction, name, port, STRANGER)}
                assert let <= ({8080} if name == "operator" else set()), name


@every_variant
def test_rules_name_ports_that_containers_have(variant: str) -> None:
    values = VARIANTS[variant]
    resources = render(values)
    served = {p["containerPort"] for _, c in containers(resources) for p in c["ports"]}
    for policy in of_kind(resources, "NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= served, policy["metadata"]["name"]


def test_dns_is_for_all() -> None:
    net = Net()
    for name in net.pods:
        for protocol in ("UDP", "TCP"):
            assert net.lets("Egress", name, 53, {"k8s-app": "kube-dns"}, SYSTEM, protocol), name


def test_prometheus_reads_from_its_namespace_only() -> None:
    net = Net()
    for name, port in {
        "operator": 9090, "agent-text": 9091, "pool": 9091, "archiver": 9092, "rabbitmq": 15692,
    }.items():  # fmt: skip
        assert net.lets("Ingress", name, port, STRANGER, MONITORING), name
        assert not net.lets("Ingress", name, port, STRANGER, SYSTEM), name
    mine = Net({"networkPolicy": {"metrics": {"from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]}}})
    assert mine.lets("Ingress", "operator", 9090, STRANGER, {"a": "b"})
    assert not mine.lets("Ingress", "operator", 9090, STRANGER, MONITORING)


def test_any_pod_may_call_the_api_and_by_value_anybody_or_few() -> None:
    net = Net()
    assert net.lets("Ingress", "operator", 8080, STRANGER, SYSTEM)
    assert not net.lets("Ingress", "operator", 8080)
    assert Net({"networkPolicy": {"api": {"from": []}}}).lets("Ingress", "operator", 8080)
    few = Net({"networkPolicy": {"api": {"from": [{"podSelector": {"matchLabels": {"app": "proxy"}}}]}}})
    assert few.lets("Ingress", "operator", 8080, {"app": "proxy"})
    assert not few.lets("Ingress", "operator", 8080, STRANGER)


def test_the_operator_alone_reaches_the_api_server() -> None:
    net = Net({"networkPolicy": {"agents": {"openEgress": False}}})
    for name in net.pods:
        for port in (443, 6443):
            assert net.lets("Egress", name, port) is (name == "operator"), name


def test_agents_call_out_unless_that_is_closed() -> None:
    assert Net().lets("Egress", "agent-text", 443)
    assert Net().lets("Egress", "pool", 443)
    closed = Net(VARIANTS["closed"])
    for name in ("agent-text", "pool"):
        assert closed.lets("Egress", name, BROKER, closed.pods["rabbitmq"])
        assert not closed.lets("Egress", name, 80)
    (rule,) = VARIANTS["closed"]["networkPolicy"]["agents"]["egress"]
    assert rule in (closed.rules(POOL_POD, "Egress") or [])


def test_servers_of_somebody_else_are_reached_on_their_ports() -> None:
    net = Net(EXTERNAL | {"networkPolicy": {"agents": {"openEgress": False}}})
    assert "rabbitmq" not in net.pods
    for name in ("operator", "archiver", "agent-text", "pool"):
        assert net.lets("Egress", name, 5671)
        assert net.lets("Egress", name, 5432) is (name in ("operator", "archiver"))


@pytest.mark.parametrize(("server", "port"), [("rabbitmq", BROKER), ("postgresql", 5432)])
def test_others_may_be_let_to_a_server(server: str, port: int) -> None:
    guest = {"podSelector": {"matchLabels": {"app": "guest"}}}
    net = Net({"networkPolicy": {server: {"alsoFrom": [guest]}}})
    assert net.lets("Ingress", server, port, {"app": "guest"})
    assert not net.lets("Ingress", server, port, STRANGER)
    assert net.lets("Ingress", server, port, net.pods["operator"])
