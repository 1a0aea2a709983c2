"""Build the product's images when their inputs change, and put them on every node."""

from __future__ import annotations

import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import kind, rootfs, transfer
from .docker import Docker
from .keys import digest
from .paths import REPOSITORY
from .progress import Problem, step
from .shell import Failed, run
from .versions import PUBLISHED_POSTGRESQL, PUBLISHED_PYTHON, PUBLISHED_RABBITMQ
from .way import Way

# How this machine reaches package registries, for builds that ask.
CARRIED = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")
# Older builds of one image that stay, for whoever still runs them.
KEPT = 5


@dataclass(frozen=True)
class Product:
    """An image of the product; only the files below `inputs` are sent to its build."""

    variable: str
    name: str
    dockerfile: str
    inputs: tuple[str, ...]


COMMON = ("pyproject.toml", "crds", "bus", "requirements")
PRODUCTS = (
    Product(
        "CONTROL_PLANE_IMAGE",
        "harebell/control-plane",
        "operator/Dockerfile",
        (*COMMON, "operator", "archive", "api"),
    ),
    Product("AGENT_IMAGE", "harebell/agent", "agent-image/Dockerfile", (*COMMON, "agent-image")),
)


def context_files(root: Path, inputs: tuple[str, ...]) -> list[str]:
    """Files that git tracks or does not ignore."""
    listing: list[str | Path] = ["git", "-C", root, "ls-files", "-z", "--cached", "--others"]
    names = sorted(set(run([*listing, "--exclude-standard", "--", *inputs]).split("\0")) - {""})
    return [name for name in names if (root / name).is_file()]


def context_key(root: Path, files: list[str], base: str) -> str:
    parts: list[str | bytes] = [base]
    for name in files:
        parts += [name, str(os.access(root / name, os.X_OK)), (root / name).read_bytes()]
    return digest(parts)


def context_archive(root: Path, files: list[str]) -> bytes:
    """A build context with nothing in it but the hashed files, owned by root and without times."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = 0
        return member

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in files:
            archive.add(root / name, name, filter=plain)
    return buffer.getvalue()


def python_base(docker: Docker, way: Way) -> tuple[str, str]:
    """The name of the Python base image and what identifies its content."""
    said = os.environ.get("HAREBELL_PYTHON_BASE")
    name = said or (rootfs.ensure(docker, rootfs.PYTHON_BASE) if way is Way.BUILT else PUBLISHED_PYTHON)
    return name, docker.image_id(name) or name


def build(docker: Docker, product: Product, base: str, base_id: str, root: Path = REPOSITORY) -> str:
    """Build one image unless the daemon has it already; return NAME:TAG."""
    if not (root / product.dockerfile).is_file():
        raise Problem(f"{product.dockerfile} does not exist yet.")
    files = context_files(root, product.inputs)
    tag = f"{product.name}:{context_key(root, files, base_id)}"
    if not docker.image_id(tag):
        with step(f"Build {product.name}"):
            build_anyway(docker, product, base, tag, context_archive(root, files))
        docker.forget_old(product.name, KEPT)
        if docker.ours:
            # Build stages, kept for a day because they are the builder's cache.
            docker.succeeds("image", "prune", "--force", "--filter", "until=24h", timeout=120)
    return tag


def build_anyway(docker: Docker, product: Product, base: str, tag: str, archive: bytes, *more: str) -> None:
    """Build one image from a context, with more flags of `docker build` if need be."""
    args = [f"BASE={base}", *(f"{name}={os.environ[name]}" for name in CARRIED if name in os.environ)]
    flags = [part for value in args for part in ("--build-arg", value)]
    docker.run("build", *flags, *more, "--file", product.dockerfile, "--tag", tag, "-", stdin=archive)


def load(docker: Docker, cluster: str, tags: list[str]) -> None:
    """Copy images from the daemon to every running node that lacks them."""
    nodes = kind.containers(docker, cluster, only_running=True)
    if not nodes:
        raise Problem(f"The cluster {cluster} is not running; run up first.")
    with ThreadPoolExecutor() as workers:
        absent = workers.map(lambda node: [not transfer.on_node(docker, node, tag) for tag in tags], nodes)
        lacking = dict(zip(nodes, absent, strict=True))
    wanted = [tag for index, tag in enumerate(tags) if any(each[index] for each in lacking.values())]
    if not wanted:
        return
    targets = [node for node, each in lacking.items() if any(each)]
    with step(f"Load {', '.join(wanted)}"):
        transfer.copy(docker, targets, wanted)


def pushed(docker: Docker, tag: str) -> str:
    """Push an image to the registry that an existing cluster pulls from."""
    registry = os.environ.get("HAREBELL_REGISTRY", "").rstrip("/")
    if not registry:
        raise Problem(
            "HAREBELL_CLUSTER=existing needs HAREBELL_REGISTRY, the registry that cluster pulls from."
        )
    target = f"{registry}/{tag}"
    with step(f"Push {target}"):
        docker.run("tag", tag, target)
        try:
            docker.run("push", target)
        except Failed as error:
            raise Problem(f"Pushing {target} failed; is docker logged in to {registry}? {error}") from error
    return target


def servers(way: Way) -> dict[str, str]:
    """The broker's and the database's images, which the nodes have or can pull."""
    built = way is Way.BUILT
    return {
        "RABBITMQ_IMAGE": rootfs.RABBITMQ_SERVER.tag if built else PUBLISHED_RABBITMQ,
        "POSTGRESQL_IMAGE": rootfs.POSTGRESQL_SERVER.tag if built else PUBLISHED_POSTGRESQL,
    }
