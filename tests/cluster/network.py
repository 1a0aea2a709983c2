"""Pod networking for nodes without a CNI daemon: a bridge per node and routes between the nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
STATE = "/var/lib/harebell"


@dataclass(frozen=True)
class Node:
    name: str
    pod_range: str
    ready: bool


def parse_nodes(listing: dict[str, Any]) -> list[Node]:
    """Nodes from `kubectl get nodes --output json`."""
    found = []
    for item in listing.get("items", []):
        if item.get("kind", "Node") != "Node":
            continue
        conditions = item.get("status", {}).get("conditions", [])
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        found.append(Node(item["metadata"]["name"], item["spec"].get("podCIDR", ""), ready))
    return found


def peers(nodes: Iterable[Node], own: str) -> str:
    """What one node needs to know about the others: a line each."""
    return "".join(f"{node.name} {node.pod_range}\n" for node in nodes if node.name != own)


def bridge(pod_range: str) -> str:
    """The CNI configuration of one node."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": pod_range}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": ipam,
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "harebell", "plugins": plugins})


def script(nodes: list[Node], own: Node) -> str:
    """Shell commands that set up one node; running them again changes nothing."""
    # Traffic between pods keeps its source address; only what leaves the cluster is masqueraded.
    leave = f"POSTROUTING -s {own.pod_range} ! -d {POD_RANGE} -m comment --comment harebell -j MASQUERADE"
    return f"""mkdir -p {STATE} /etc/cni/net.d
cat > {STATE}/peers <<'END'
{peers(nodes, own.name)}END
echo "{SERVICE_RANGE} {POD_RANGE}" > {STATE}/ranges
echo "{leave}" > {STATE}/masquerade
/kind/bin/harebell-network once
cat > /etc/cni/net.d/.new <<'END'
{bridge(own.pod_range)}
END
mv /etc/cni/net.d/.new /etc/cni/net.d/10-harebell.conflist
"""
