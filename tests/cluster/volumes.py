"""A pool of local volumes for stateful sets, made usable again after use.

The storage class provisions nothing: each volume is a folder on one node. A volume whose claim is gone
stays "Released" until its folder is emptied and its record made anew, which is what reclaim() does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .docker import Docker
from .kubectl import Kubectl

PER_NODE = 8
SIZE = "5Gi"
CLASS = "standard"
ROOT = "/var/lib/harebell/volumes"
USED_UP = ("Released", "Failed")


def volume(node: str, number: int) -> dict[str, Any]:
    name = f"{node}-{number}"
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": f"{ROOT}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }


def folders_script(node: str, numbers: Iterable[int]) -> str:
    """Make the folders empty and writable for any user's pod, whatever owners and modes pods gave them."""
    lines = []
    for number in numbers:
        path = f"{ROOT}/{node}-{number}"
        lines.append(f"mkdir -p {path} && find {path} -mindepth 1 -delete")
        lines.append(f"chown 0:0 {path} && chmod u-s,g-s {path} && chmod 0777 {path}")
    return "\n".join(lines)


def to_make(listing: dict[str, Any], nodes: Iterable[str]) -> tuple[dict[str, list[int]], list[str]]:
    """Which of the pool's volumes to make anew, by node, and which old records to delete first."""
    phases = {item["metadata"]["name"]: item["status"].get("phase", "") for item in listing["items"]}
    wanted: dict[str, list[int]] = {}
    stale = []
    for node in nodes:
        for number in range(1, PER_NODE + 1):
            name = f"{node}-{number}"
            # A record is missing where an earlier run was interrupted between deleting and making it.
            if name not in phases or phases[name] in USED_UP:
                wanted.setdefault(node, []).append(number)
                stale += [name] if name in phases else []
    return wanted, stale


def reclaim(docker: Docker, kubectl: Kubectl, nodes: Iterable[str]) -> int:
    """Make every volume whose claim is gone usable again; return how many there were."""
    wanted, stale = to_make(json.loads(kubectl.run("get", "pv", "--output", "json")), nodes)
    if not wanted:
        return 0
    if stale:
        kubectl.run("delete", "pv", "--wait=true", "--timeout=60s", *stale)
    scripts = {node: folders_script(node, numbers) for node, numbers in wanted.items()}
    with ThreadPoolExecutor() as workers:
        list(workers.map(lambda node: docker.on(node, scripts[node]), scripts))
    items = [volume(node, number) for node, numbers in wanted.items() for number in numbers]
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return len(items)
