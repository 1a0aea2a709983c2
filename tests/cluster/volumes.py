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

PER_NODE = 4
SIZE = "5Gi"
CLASS = "standard"
ROOT = "/var/local/harebell"
LABEL = "harebell.dev/pool"
USED_UP = ("Released", "Failed")


def volume(node: str, number: int) -> dict[str, Any]:
    name = f"{node}-{number}"
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {LABEL: "true"}},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": f"{ROOT}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }


def pool(nodes: Iterable[str]) -> dict[str, Any]:
    items = [volume(node, number) for node in nodes for number in range(1, PER_NODE + 1)]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def prepare_script(node: str) -> str:
    """Folders that any user's pod may write to."""
    names = " ".join(f"{ROOT}/{node}-{number}" for number in range(1, PER_NODE + 1))
    return f"mkdir -p {names}\nchmod 0777 {names}\n"


def wipe_script(names: Iterable[str]) -> str:
    """Empty the folders and forget the owners and modes that pods gave them."""
    lines = [
        f"mkdir -p {ROOT}/{name} && find {ROOT}/{name} -mindepth 1 -delete\n"
        f"chown 0:0 {ROOT}/{name} && chmod u-s,g-s {ROOT}/{name} && chmod 0777 {ROOT}/{name}\n"
        for name in names
    ]
    return "".join(lines)


def used_up(listing: dict[str, Any]) -> dict[str, list[str]]:
    """Names of the pool's volumes whose claim is gone, by node."""
    found: dict[str, list[str]] = {}
    for item in listing["items"]:
        if item["status"].get("phase") in USED_UP and LABEL in item["metadata"].get("labels", {}):
            name = item["metadata"]["name"]
            found.setdefault(name.rsplit("-", 1)[0], []).append(name)
    return found


def reclaim(docker: Docker, kubectl: Kubectl) -> int:
    """Make every volume whose claim is gone usable again; return how many there were."""
    found = used_up(json.loads(kubectl.run("get", "pv", "--output", "json")))
    names = [name for each in found.values() for name in each]
    if not names:
        return 0
    kubectl.run("delete", "pv", "--wait=true", "--timeout=60s", *names)
    with ThreadPoolExecutor() as workers:
        list(workers.map(lambda node: docker.on(node, wipe_script(found[node])), found))
    again = [volume(node, int(name.rsplit("-", 1)[1])) for node, each in found.items() for name in each]
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": again}))
    return len(names)
