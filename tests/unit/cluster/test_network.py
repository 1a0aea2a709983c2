"""Pod ranges and routes of nodes without a CNI daemon."""

import ipaddress
import json
from typing import Any

from tests.cluster import network
from tests.cluster.network import Node

NODES = [
    Node("a", "10.244.0.0/24", True),
    Node("b", "10.244.2.0/24", True),
    Node("c", "10.244.1.0/24", False),
]


def item(name: str, ready: str, pod_range: str | None) -> dict[str, Any]:
    spec = {"podCIDR": pod_range} if pod_range else {}
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_nodes_are_read_even_before_they_have_a_range() -> None:
    nodes = network.parse_nodes({"items": [item("a", "True", "10.244.0.0/24"), item("b", "Unknown", None)]})
    assert nodes == [Node("a", "10.244.0.0/24", True), Node("b", "", False)]


def test_a_node_gets_routes_to_the_others_only() -> None:
    assert network.peers(NODES, "b") == "a 10.244.0.0/24\nc 10.244.1.0/24\n"


def test_the_bridge_hands_out_the_nodes_own_range() -> None:
    plugins = json.loads(network.bridge("10.244.2.0/24"))["plugins"]
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "10.244.2.0/24"}]]


def test_ranges_do_not_overlap() -> None:
    pods, services = (ipaddress.IPv4Network(each) for each in (network.POD_RANGE, network.SERVICE_RANGE))
    assert not pods.overlaps(services)
    assert all(ipaddress.IPv4Network(node.pod_range).subnet_of(pods) for node in NODES)


def test_the_configuration_appears_in_one_move_and_after_the_routes() -> None:
    script = network.script(NODES, NODES[0])
    assert script.index("harebell-network once") < script.index("mv /etc/cni/net.d/.new")
