"""Which of the three ways this machine gets its cluster."""

from __future__ import annotations

import os
from enum import StrEnum

from .docker import Docker
from .progress import Problem
from .shell import succeeds
from .versions import PUBLISHED_PYTHON

PROBE_SECONDS = 5


class Way(StrEnum):
    PUBLISHED = "published"  # kind with published images
    BUILT = "built"  # kind with everything built from Go modules and Debian packages
    EXISTING = "existing"  # whatever cluster KUBECONFIG points at


def existing() -> bool:
    wanted = os.environ.get("HAREBELL_CLUSTER", "kind")
    if wanted not in {"kind", "existing"}:
        raise Problem(f"HAREBELL_CLUSTER={wanted} is not understood; use kind or existing.")
    return wanted == "existing"


def registry_reachable(docker: Docker) -> bool:
    """Whether published images can be had; asked of the registry the docker client is configured for."""
    said = os.environ.get("HAREBELL_REGISTRY_REACHABLE", "")
    if said in {"0", "1"}:
        return said == "1"
    return succeeds(
        ["docker", "manifest", "inspect", PUBLISHED_PYTHON], env=docker.env, timeout=PROBE_SECONDS
    )


def choose(docker: Docker) -> Way:
    return Way.PUBLISHED if registry_reachable(docker) else Way.BUILT
