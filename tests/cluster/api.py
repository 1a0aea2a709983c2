"""What test suites use.

    from tests.cluster import api

    cluster = api.up()                 # seconds when it is up already
    images = cluster.images()          # builds and loads what changed
    cluster.load_image("test/echo:1")  # from the Docker daemon onto every node
    cluster.reclaim()                  # volumes whose claims are gone become usable again

Every function raises `Problem`, whose text says in one line what to do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from . import cluster as clusters
from . import docker as dockers
from . import existing, golang, kind, paths, ports, way
from . import images as product
from .docker import Docker
from .lock import exclusive
from .progress import Problem, set_log_folder
from .way import Way

__all__ = ["Cluster", "Images", "Problem", "down", "get", "up"]


@dataclass(frozen=True)
class Images:
    """Names with tags, as the nodes know them."""

    control_plane: str
    agent: str
    rabbitmq: str
    postgresql: str

    def variables(self) -> dict[str, str]:
        return {
            "CONTROL_PLANE_IMAGE": self.control_plane,
            "AGENT_IMAGE": self.agent,
            "RABBITMQ_IMAGE": self.rabbitmq,
            "POSTGRESQL_IMAGE": self.postgresql,
        }


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up. `env` is what kubectl, helm and docker need in their environment."""

    name: str
    way: Way
    kubeconfig: Path
    ingress_url: str
    docker_host: str = ""
    nodes: list[str] = field(default_factory=list)

    def tool(self, name: str) -> Path:
        return existing.tool(name) if self.way is Way.EXISTING else golang.tool(name)

    @property
    def kubectl(self) -> Path:
        return self.tool("kubectl")

    @property
    def helm(self) -> Path:
        return self.tool("helm")

    @property
    def docker(self) -> Docker:
        """The daemon that builds images and runs the nodes."""
        found = dockers.running()
        if found is None:
            raise Problem("No Docker daemon answers; run python -m tests.cluster up, or start Docker.")
        return found

    @property
    def env(self) -> dict[str, str]:
        folders = f"{paths.tools()}:{os.environ.get('PATH', '')}"
        host = {"DOCKER_HOST": self.docker_host} if self.docker_host else {}
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": folders, **host}

    def images(self, root: Path = paths.REPOSITORY) -> Images:
        """Build the product's images if their inputs changed and put them where the nodes find them.

        `root` is a checkout, of another commit say.
        """
        with exclusive():
            base, base_id = product.python_base(self.docker, self.way)
            control, agent = (
                product.build(self.docker, each, base, base_id, root) for each in product.PRODUCTS
            )
            control, agent = self._deliver([control, agent])
            servers = product.servers(self.way)
            return Images(control, agent, servers["RABBITMQ_IMAGE"], servers["POSTGRESQL_IMAGE"])

    def load_image(self, tag: str) -> str:
        """Put an image of the Docker daemon on every node; return the name to use in pods."""
        with exclusive():
            return self._deliver([tag])[0]

    def reclaim(self) -> int:
        """Empty the volumes whose claims are gone; return how many. Nothing to do elsewhere."""
        if self.way is not Way.BUILT:
            return 0
        with exclusive():
            return clusters.reclaim(self.docker, self.name)

    def _deliver(self, tags: list[str]) -> list[str]:
        if self.way is Way.EXISTING:
            return [product.pushed(self.docker, tag) for tag in tags]
        product.load(self.docker, self.name, tags)
        return tags


def up(name: str = ports.DEFAULT_NAME) -> Cluster:
    """A healthy cluster, made first where there is none."""
    set_log_folder(paths.cache() / "logs")
    if way.existing():
        existing.check()
    else:
        with exclusive():
            clusters.up(name)
    return get(name)


def get(name: str = ports.DEFAULT_NAME) -> Cluster:
    """The cluster as it was last made, without looking whether it is healthy."""
    set_log_folder(paths.cache() / "logs")
    if way.existing():
        return Cluster(name, Way.EXISTING, existing.kubeconfig(), existing.ingress_url(""), _docker_host())
    state = paths.load_state(name)
    if state is None:
        raise Problem(f"There is no cluster {name}; run python -m tests.cluster up first.")
    url = f"http://127.0.0.1:{state.port}"
    return Cluster(name, Way(state.way), paths.kubeconfig(name), url, _docker_host(), kind.nodes(name))


def down(name: str = ports.DEFAULT_NAME) -> None:
    """Remove the cluster, and the Docker daemon if it is ours and serves nothing else."""
    set_log_folder(paths.cache() / "logs")
    if not way.existing():
        with exclusive():
            clusters.down(name)


def _docker_host() -> str:
    found = dockers.running()
    return found.host if found else ""
