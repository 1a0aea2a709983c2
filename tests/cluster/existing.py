"""HAREBELL_CLUSTER=existing: use the cluster that KUBECONFIG points at, and change nothing about it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import golang
from .kubectl import Kubectl
from .progress import Problem
from .shell import Failed


def kubeconfig() -> Path:
    said = os.environ.get("KUBECONFIG", "")
    path = Path(said) if said else Path.home() / ".kube" / "config"
    if not path.is_file():
        raise Problem(
            f"HAREBELL_CLUSTER=existing: {path} is not a file; set KUBECONFIG to one kubeconfig file."
        )
    return path


def ingress_url(default: str | None = None) -> str:
    said = os.environ.get("HAREBELL_INGRESS_URL", default or "").rstrip("/")
    if not said and default is None:
        raise Problem(
            "HAREBELL_CLUSTER=existing: set HAREBELL_INGRESS_URL to its ingress controller's address."
        )
    return said


def tool(name: str) -> Path:
    """Any version of a tool that PATH has will do for a cluster of unknown version."""
    found = shutil.which(name)
    return Path(found) if found else golang.tool(name)


def check() -> None:
    kubectl = Kubectl(tool("kubectl"), kubeconfig())
    try:
        kubectl.run("get", "nodes", timeout=20)
    except Failed as error:
        raise Problem(f"The existing cluster does not answer: {error}") from error
