"""Bring the cluster up from whatever state the machine is in, and take it down."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from . import daemon, golang, kind, network, node_image, ports, static_images, volumes, way
from . import docker as dockers
from .docker import Docker
from .kubectl import Kubectl
from .paths import FILES, State, cluster_folder, kubeconfig, load_state
from .progress import Problem, say, step
from .shell import Failed
from .versions import PUBLISHED_NODE, PUBLISHED_TRAEFIK
from .way import Way

READY_SECONDS = 90
# A cluster that was disturbed a moment ago (a node just started again) deserves a short wait.
SETTLE_SECONDS = 30
# Kubelets renew their leases every ten seconds.
FRESH = timedelta(seconds=25)
NEEDED = {("kube-system", "coredns"), ("ingress", "traefik")}


def kubectl_for(name: str) -> Kubectl:
    return Kubectl(golang.tool("kubectl"), kubeconfig(name))


def unready(listing: dict[str, Any], nodes: list[str], now: datetime) -> list[str]:
    """What a healthy cluster has and this one lacks, from `kubectl get nodes,deployments,leases -A`."""
    ready = {node.name for node in network.parse_nodes(listing) if node.ready}
    available, alive = set(), set()
    for item in listing["items"]:
        name, namespace = item["metadata"]["name"], item["metadata"].get("namespace", "")
        conditions = item.get("status", {}).get("conditions", [])
        working = any(each["type"] == "Available" and each["status"] == "True" for each in conditions)
        if item["kind"] == "Deployment" and working:
            available.add((namespace, name))
        # A node that died is called Ready for a while longer; its lease shows it sooner.
        renewed = item.get("spec", {}).get("renewTime") if namespace == "kube-node-lease" else None
        if renewed and now - datetime.fromisoformat(renewed) < FRESH:
            alive.add(name)
    missing = [f"node {node}" for node in nodes if node not in ready & alive]
    return missing + sorted(f"{namespace}/{name}" for namespace, name in NEEDED - available)


def lacking(name: str) -> list[str]:
    kinds = "nodes,deployments,leases"
    out = kubectl_for(name).run("get", kinds, "--all-namespaces", "--output", "json", timeout=15)
    return unready(json.loads(out), kind.nodes(name), datetime.now(UTC))


def await_ready(name: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            missing = lacking(name)
        except Failed as error:
            missing = [str(error)]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise Problem(f"Not ready after {seconds:.0f} s: {', '.join(missing)}")
        time.sleep(0.5)


def healthy(docker: Docker, name: str) -> bool:
    """Whether the cluster stands as it was made and needs nothing."""
    state = load_state(name)
    if state is None or not kubeconfig(name).is_file():
        return False
    if state.way == Way.BUILT and state.node_image != node_image.tag():
        say("The node image's inputs have changed; the cluster is made anew.")
        return False
    if kind.containers(docker, name, only_running=True) != sorted(kind.nodes(name)):
        return False
    paused = docker.run(
        "ps", "--filter", f"label={kind.LABEL}={name}", "--filter", "status=paused", "--quiet"
    )
    if paused.strip():
        docker.run("unpause", *paused.split())
    try:
        await_ready(name, SETTLE_SECONDS)
    except Problem as problem:
        say(f"The cluster is not healthy and is made anew. {problem}")
        return False
    return True


def up(name: str) -> None:
    running = dockers.running()
    docker = running or dockers.connect()
    # Node containers that come back with a daemon that died have lost too much to be trusted.
    if running is None or not healthy(docker, name):
        _create(docker, name)
    golang.link_tools()
    state = load_state(name)
    if state and state.way == Way.BUILT:
        reclaim(docker, name)


def reclaim(docker: Docker, name: str) -> int:
    """Empty the volumes whose claims are gone. (A published node image brings a provisioner instead.)"""
    count = volumes.reclaim(docker, kubectl_for(name), kind.nodes(name))
    if count:
        say(f"  {count} volumes emptied for new claims")
    return count


def _create(docker: Docker, name: str) -> None:
    # What an earlier run noted says nothing about the cluster to come, should this run be interrupted.
    shutil.rmtree(cluster_folder(name), ignore_errors=True)
    if kind.containers(docker, name):
        with step("Remove the old cluster"):
            kind.delete(docker, name)
    port = ports.choose(name)
    how = way.choose(docker)
    image = node_image.ensure(docker) if how is Way.BUILT else PUBLISHED_NODE
    with step("Create the cluster"):
        try:
            kind.create(docker, name, how, image, port)
        except Failed:
            kind.delete(docker, name)
            raise
    if docker.ours:
        # When this daemon starts again the cluster is made anew, so it need not start these first.
        docker.run("update", "--restart=no", *kind.nodes(name))
    kubectl = kubectl_for(name)
    with step("Set up networks, volumes and ingress"):
        if how is Way.BUILT:
            _set_up_nodes(docker, kubectl)
            volumes.reclaim(docker, kubectl, kind.nodes(name))
        kubectl.apply(ingress_manifest(how))
    with step("Wait until nodes, DNS and ingress are ready"):
        await_ready(name, READY_SECONDS)
    State(how, image, port).save(name)


def _set_up_nodes(docker: Docker, kubectl: Kubectl) -> None:
    nodes = _nodes_with_ranges(kubectl)
    scripts = {node.name: network.script(nodes, node) for node in nodes}
    with ThreadPoolExecutor() as workers:
        list(workers.map(lambda node: docker.on(node, scripts[node]), scripts))


def _nodes_with_ranges(kubectl: Kubectl) -> list[network.Node]:
    """The nodes, once the controller manager has given each its range of pod addresses."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        nodes = network.parse_nodes(json.loads(kubectl.run("get", "nodes", "--output", "json")))
        if len(nodes) == len(kind.NODE_NAMES) and all(node.pod_range for node in nodes):
            return nodes
        time.sleep(0.3)
    raise Problem("The nodes were not given pod addresses; look at the controller manager's log.")


def ingress_manifest(how: Way) -> str:
    image = static_images.TRAEFIK if how is Way.BUILT else PUBLISHED_TRAEFIK
    text = (FILES / "ingress.yaml").read_text()
    return text.replace("TRAEFIK_IMAGE", image).replace("NODE_PORT", str(kind.NODE_PORT))


def down(name: str) -> None:
    shutil.rmtree(cluster_folder(name), ignore_errors=True)
    docker = dockers.running()
    if docker is None:
        # Nothing serves, but an earlier daemon of ours may have left things behind.
        daemon.stop()
        return
    with step("Remove the cluster"):
        kind.delete(docker, name)
    if docker.ours and not docker.run("ps", "--quiet").strip():
        with step("Stop dockerd"):
            daemon.stop()
