"""Where the tool keeps things: one cache folder, one small folder per cluster."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

# A Unix socket's path may have 107 characters; containerd adds about 40 to the folder's.
LONGEST_SOCKET_FOLDER = 60

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
FILES = HERE / "files"


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "harebell"


def work_folder() -> Path:
    """Half-made things; emptied by every run that takes the lock."""
    return cache() / "work"


def docker_folder() -> Path:
    """Images and containers of the Docker daemon that this tool starts; stays with the cache."""
    return cache() / "docker"


def docker_runtime(folder: Path | None = None) -> Path:
    """Sockets, pid file and other short-lived things of that daemon."""
    wanted = folder or docker_folder() / "run"
    if len(str(wanted)) <= LONGEST_SOCKET_FOLDER:
        return wanted
    return Path("/run") / f"harebell-{hashlib.sha256(str(wanted).encode()).hexdigest()[:8]}"


def docker_socket() -> Path:
    return docker_runtime() / "docker.sock"


def tools() -> Path:
    """A folder of links to the tools, fit for PATH."""
    return cache() / "tools"


def cluster_folder(name: str) -> Path:
    return cache() / "clusters" / name


def kubeconfig(name: str) -> Path:
    return cluster_folder(name) / "kubeconfig"


@dataclass
class State:
    """What was decided when a cluster was made."""

    way: str
    node_image: str
    port: int

    def save(self, name: str) -> None:
        folder = cluster_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / "state.json.new"
        new.write_text(json.dumps(asdict(self)))
        new.replace(folder / "state.json")


def load_state(name: str) -> State | None:
    try:
        return State(**json.loads((cluster_folder(name) / "state.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
