"""Nodes that KWOK simulates, and controllers without limits on their requests, for a while.

The manifests of controller manager and scheduler are changed on the control plane's node and put back
afterwards; should this program be killed, by a timer of that node, or by the next run.
"""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.api import Cluster, Problem
from tests.cluster.way import Way
from tests.support.kubectl import Kubectl
from tests.support.processes import Process
from tests.support.waiting import until

NODES = 4
SIMULATED = {"harebell.dev/simulated": "true"}
TAINT = {"key": "harebell.dev/simulated", "value": "true", "effect": "NoSchedule"}
SETTLE_SECONDS = 180.0
RESTORED_AFTER_SECONDS = 2 * 3600
RAISED = {
    "kube-controller-manager": (
        "--kube-api-qps=2000", "--kube-api-burst=4000", "--concurrent-job-syncs=32",
    ),
    "kube-scheduler": ("--kube-api-qps=2000", "--kube-api-burst=4000"),
}  # fmt: skip
KEPT = "/etc/kubernetes/harebell-bench"
RESTORE = f"""
for kept in {KEPT}/kube-*.yaml; do
  if [ -e "$kept" ]; then mv "$kept" /etc/kubernetes/manifests/; fi
done
"""


def node(number: int) -> dict[str, Any]:
    """Return a node that takes only what asks for it."""
    room = {"cpu": "1000", "memory": "1Ti", "pods": "10000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"simulated-{number}", "labels": SIMULATED},
        "spec": {"taints": [TAINT]},
        "status": {"allocatable": room, "capacity": room},
    }


@contextmanager
def simulated_nodes(cluster: Cluster, log: Path) -> Iterator[Process]:
    """Have nodes whose Pods end at once; yield the process that simulates them."""
    kubectl = Kubectl(cluster, "default")
    kwok = cluster.tool("kwok")
    label = ",".join(f"{key}={value}" for key, value in SIMULATED.items())
    kubectl.apply(*(node(number) for number in range(NODES)))
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [kwok, "--kubeconfig", cluster.kubeconfig, "--manage-all-nodes=false",
             f"--manage-nodes-with-label-selector={label}", "--node-lease-duration-seconds=40"],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        until("the simulated nodes to be ready", lambda: _ready(kubectl, label), SETTLE_SECONDS)
        yield Process(popen, log)
    finally:
        # The nodes first: what runs on them is to end as long as somebody plays the kubelet.
        kubectl("delete", "nodes", "-l", label, seconds=SETTLE_SECONDS)
        popen.terminate()
        popen.wait(timeout=30)


def _ready(kubectl: Kubectl, label: str) -> bool:
    conditions = [n.get("status", {}).get("conditions", []) for n in kubectl.items("nodes", "-l", label)]
    return len(conditions) == NODES and all(
        any(c["type"] == "Ready" and c["status"] == "True" for c in each) for each in conditions
    )


@contextmanager
def raised_limits(cluster: Cluster) -> Iterator[None]:
    """Have controller manager and scheduler with :data:`RAISED` for the time of the block.

    :raises Problem: the cluster is not ours to change.
    """
    if cluster.way is Way.EXISTING:
        raise Problem("The comparison with Jobs changes the control plane; leave it out with --against.")
    control_plane, kubectl = cluster.nodes[0], Kubectl(cluster, "kube-system")
    restore(cluster)
    script = f"mkdir -p {KEPT}\n" + "\n".join(_raise(name) for name in RAISED)
    timer = (
        f"systemd-run --quiet --collect --on-active={RESTORED_AFTER_SECONDS} --unit=harebell-bench-restore"
    )
    cluster.docker.on(control_plane, f"{script}\n{timer} bash -c {shlex.quote(RESTORE)}")
    try:
        until("the limits to be raised", lambda: _run_with(kubectl, control_plane, True), SETTLE_SECONDS)
        yield
    finally:
        restore(cluster)


def restore(cluster: Cluster) -> None:
    """Put the manifests back where they were changed, and wait until that is done."""
    kubectl = Kubectl(cluster, "kube-system")
    stop = "systemctl stop harebell-bench-restore.timer 2>/dev/null || true"
    cluster.docker.on(cluster.nodes[0], f"{stop}\n{RESTORE}")
    until("the usual limits", lambda: _run_with(kubectl, cluster.nodes[0], False), SETTLE_SECONDS)


def _raise(name: str) -> str:
    """Return shell commands that keep a manifest and put one with more flags in its place, in one step."""
    manifest, flags = f"/etc/kubernetes/manifests/{name}.yaml", r"\n".join(f"    - {f}" for f in RAISED[name])
    return f"""
sed 's|^    - {name}$|&\\n{flags}|' {manifest} > {KEPT}/new.yaml
cp {manifest} {KEPT}/{name}.yaml
mv {KEPT}/new.yaml {manifest}"""


def _run_with(kubectl: Kubectl, control_plane: str, raised: bool) -> bool:
    """Return whether both run with, or without, the flags."""
    for name, flags in RAISED.items():
        pod = kubectl.get("pod", f"{name}-{control_plane}")
        command = pod["spec"]["containers"][0]["command"]
        ready = {c["type"]: c["status"] for c in pod["status"]["conditions"]}.get("Ready") == "True"
        if not ready or all(flag in command for flag in flags) is not raised:
            return False
    return True
