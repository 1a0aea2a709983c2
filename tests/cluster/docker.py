"""The Docker daemon in use: one that already runs, or else the tool's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import daemon, packages
from .paths import docker_socket
from .progress import Problem, step
from .shell import Failed, environment, run, succeeds


@dataclass(frozen=True)
class Docker:
    """A daemon that answers. `host` is empty where the client's own default reaches it."""

    host: str = ""

    @property
    def env(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.host} if self.host else {}

    @property
    def ours(self) -> bool:
        return self.host == f"unix://{docker_socket()}"

    def run(self, *args: str | Path, stdin: bytes | None = None, timeout: float | None = None) -> str:
        return run(["docker", *args], env=self.env, stdin=stdin, timeout=timeout)

    def succeeds(self, *args: str, timeout: float = 10) -> bool:
        return succeeds(["docker", *args], env=self.env, timeout=timeout)

    def image_id(self, name: str) -> str:
        """The id of an image, empty where the daemon has none of that name."""
        try:
            return self.run("image", "inspect", "--format", "{{.Id}}", name, timeout=20).strip()
        except Failed:
            return ""

    def forget_old(self, repository: str, kept: int) -> None:
        """Remove all but the newest images of a name, except those in use."""
        tags = self.run("images", repository, "--format", "{{.Repository}}:{{.Tag}}").split()
        for tag in tags[kept:]:
            self.succeeds("rmi", tag, timeout=60)

    def on(self, container: str, script: str, timeout: float | None = 60) -> str:
        """Run a shell script inside a container."""
        return self.run(
            "exec", "-i", container, "bash", "-euo", "pipefail", "-s", stdin=script.encode(), timeout=timeout
        )

    def pipe(self, producer: Sequence[str], consumer: Sequence[str]) -> None:
        """`docker PRODUCER | docker CONSUMER`."""
        env = environment(self.env)
        with subprocess.Popen(
            ["docker", *producer], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        ) as first:
            second = subprocess.run(
                ["docker", *consumer], stdin=first.stdout, capture_output=True, env=env, check=False
            )
            if first.stdout:
                first.stdout.close()
            error = first.stderr.read().decode(errors="replace") if first.stderr else ""
            if first.wait() or second.returncode:
                raise Failed(
                    f"docker {producer[0]}: {error.strip()} {second.stderr.decode(errors='replace').strip()}"
                )


def running() -> Docker | None:
    """A daemon that answers now, without starting one."""
    if os.environ.get("DOCKER_HOST"):
        chosen = Docker(os.environ["DOCKER_HOST"])
        if chosen.succeeds("version"):
            return chosen
        if not chosen.ours:
            raise Problem(
                f"DOCKER_HOST={chosen.host} does not answer; start that daemon or unset DOCKER_HOST."
            )
    own = Docker(f"unix://{docker_socket()}")
    if docker_socket().exists() and own.succeeds("version"):
        return own
    default = Docker()
    if (
        Path("/var/run/docker.sock").exists()
        and not os.environ.get("DOCKER_HOST")
        and default.succeeds("version")
    ):
        return default
    return None


def connect() -> Docker:
    """A daemon that answers, started where none does."""
    found = running()
    if found:
        return found
    if os.geteuid() != 0:
        raise Problem(
            "No Docker daemon answers, and only root may start one: start Docker, or run this as root."
        )
    packages.ensure(packages.DOCKER)
    # On a machine with an init system, installing the package has just started a daemon.
    found = running()
    if found:
        return found
    with step("Start dockerd"):
        daemon.start()
    own = Docker(f"unix://{docker_socket()}")
    if not own.succeeds("version"):
        raise Problem(
            "The docker client does not get along with the daemon just started; see docker version."
        )
    return own
