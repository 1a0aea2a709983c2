"""Create and delete the kind cluster's containers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from . import golang
from .docker import Docker
from .leftovers import bridge
from .network import POD_RANGE, SERVICE_RANGE
from .paths import kubeconfig
from .shell import run
from .way import Way

LABEL = "io.x-k8s.kind.cluster"
NETWORK = "harebell"
NODE_PORT = 30080
NODE_NAMES = ("control-plane", "worker", "worker2")

# Kubernetes 1.36 refuses cgroup v1 unless told; every node takes work; etcd need not survive a power cut.
PATCHES = (
    "kind: KubeletConfiguration\nfailCgroupV1: false\n",
    "kind: InitConfiguration\nnodeRegistration:\n  taints: []\n",
    "kind: ClusterConfiguration\netcd:\n  local:\n    extraArgs:\n"
    "    - name: unsafe-no-fsync\n      value: 'true'\n",
)


def nodes(name: str) -> list[str]:
    return [f"{name}-{node}" for node in NODE_NAMES]


def configuration(way: Way, port: int) -> dict[str, Any]:
    """kind's configuration file; it reads JSON as it reads YAML."""
    mapping = {"containerPort": NODE_PORT, "hostPort": port, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {
            "disableDefaultCNI": way is Way.BUILT,
            "podSubnet": POD_RANGE,
            "serviceSubnet": SERVICE_RANGE,
        },
        "nodes": [
            {"role": "control-plane", "extraPortMappings": [mapping]},
            {"role": "worker"},
            {"role": "worker"},
        ],
        "kubeadmConfigPatches": list(PATCHES),
    }


def containers(docker: Docker, name: str, *, only_running: bool = False) -> list[str]:
    every = [] if only_running else ["--all"]
    status = ["--filter", "status=running"] if only_running else []
    out = docker.run("ps", *every, "--filter", f"label={LABEL}={name}", *status, "--format", "{{.Names}}")
    return sorted(out.split())


def network_exists(docker: Docker) -> bool:
    return NETWORK in docker.run("network", "ls", "--format", "{{.Name}}").split()


def create(docker: Docker, name: str, way: Way, image: str, port: int) -> None:
    if not network_exists(docker):
        # A bridge with a name of ours can be found again after a crash.
        option = f"com.docker.network.bridge.name={bridge()}"
        docker.run("network", "create", "--opt", option, "--label", "dev.harebell=cluster", NETWORK)
    config = json.dumps(configuration(way, port)).encode()
    target = kubeconfig(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    command: list[str | Path] = [golang.tool("kind"), "create", "cluster", "--name", name, "--image", image]
    if shutil.which("setpriv"):
        # If this tool is killed, kind must not go on while the next run starts over.
        command = ["setpriv", "--pdeathsig", "KILL", *command]
    env = docker.env | {"KIND_EXPERIMENTAL_DOCKER_NETWORK": NETWORK, "KUBECONFIG": os.devnull}
    run(
        [*command, "--config", "-", "--kubeconfig", target, "--wait", "0s"],
        env=env,
        stdin=config,
        timeout=300,
    )


def delete(docker: Docker, name: str) -> None:
    """Remove the cluster's containers with their volumes, in whatever state they are."""
    found = containers(docker, name)
    if found:
        docker.run("rm", "--force", "--volumes", *found, timeout=120)
    if (
        network_exists(docker)
        and not docker.run("ps", "--all", "--quiet", "--filter", f"network={NETWORK}").strip()
    ):
        docker.run("network", "rm", NETWORK)
