"""A page about what is running, for a person."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from . import cluster as clusters
from . import docker as dockers
from . import existing, kind, paths, way
from .progress import Problem
from .versions import BINARIES, KUBERNETES, NODE_SUITE, POSTGRESQL, PYTHON, RABBITMQ


def size(folder: Path) -> int:
    """Bytes on disk below a folder, counting a file with several names once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            try:
                info = (Path(top) / name).lstat()
            except OSError:
                continue
            if (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                total += info.st_blocks * 512
    return total


def lines(name: str) -> Iterator[str]:
    if way.existing():
        existing.check()
        yield f"existing cluster of {existing.kubeconfig()}: answers"
        return
    docker = dockers.running()
    yield f"docker: {'not running' if docker is None else docker.host or 'the default daemon'}"
    if docker:
        running = kind.containers(docker, name, only_running=True)
        yield f"cluster {name}: {len(running)} of {len(kind.NODE_NAMES)} node containers running"
        state = paths.load_state(name)
        if state and running:
            yield f"  way: {state.way}, node image {state.node_image}"
            yield f"  ingress: http://127.0.0.1:{state.port}"
            yield f"  kubeconfig: {paths.kubeconfig(name)}"
            yield f"  {_health(name)}"
    yield f"versions: Kubernetes {KUBERNETES}, " + ", ".join(
        f"{each} {BINARIES[each].version}" for each in ("kind", "helm", "traefik", "etcd", "containerd")
    )
    yield f"  RabbitMQ {RABBITMQ}, PostgreSQL {POSTGRESQL}, Python {PYTHON}, nodes on Debian {NODE_SUITE}"
    yield f"cache {paths.cache()}:"
    for part in ("bin", "docker/data", "logs", "clusters"):
        folder = paths.cache() / part
        if folder.is_dir():
            yield f"  {part}: {size(folder) / 2**30:.1f} GiB"
    if paths.cache().is_dir():
        yield f"  free on this disk: {shutil.disk_usage(paths.cache()).free / 2**30:.0f} GiB"


def _health(name: str) -> str:
    try:
        missing = clusters.lacking(name)
    except Problem as problem:
        return f"does not answer: {problem}"
    return f"not ready: {', '.join(missing)}" if missing else "all nodes, DNS and ingress ready"
