"""kubectl and helm as people call them."""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.cluster.api import Cluster


class CommandFailed(AssertionError):
    """A command ended with an error; the text is what it printed."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace of a cluster."""

    cluster: Cluster
    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> str:
        """Run kubectl and return what it prints. :raises CommandFailed: it failed."""
        return run(
            self.cluster, [str(self.cluster.kubectl), "-n", self.namespace, *arguments], stdin, seconds
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Run kubectl beside the caller, who writes to it, reads from it, and ends it."""
        return subprocess.Popen(
            [str(self.cluster.kubectl), "-n", self.namespace, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.cluster.env},
        )

    def apply(self, *objects: dict[str, Any]) -> str:
        """Apply objects. :raises CommandFailed: one was refused."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self("apply", "-f", "-", stdin=text)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object. :raises CommandFailed: there is none."""
        found: dict[str, Any] = json.loads(self("get", kind, name, "-o", "json"))
        return found

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """Return every object of a kind."""
        found: list[dict[str, Any]] = json.loads(self("get", kind, *arguments, "-o", "json"))["items"]
        return found


def run(cluster: Cluster, command: list[str], stdin: str | None = None, seconds: float = 120) -> str:
    """Run a command with the cluster's environment and return its output."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, **cluster.env},
    )
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command[:8])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def helm(cluster: Cluster, *arguments: str, seconds: float = 300) -> str:
    """Run helm. :raises CommandFailed: it failed."""
    return run(cluster, [str(cluster.helm), *arguments], seconds=seconds)
