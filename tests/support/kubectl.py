"""kubectl and helm as people call them; what tests look at again and again is read without them."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.api import Cluster

from . import reading


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
        return self._read(kind, name)

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """Return every object of a kind. :raises CommandFailed: the API server did not give them."""
        found: list[dict[str, Any]] = self._read(kind, "", *arguments)["items"]
        return found

    def _read(self, kind: str, name: str, *arguments: str) -> dict[str, Any]:
        place, query = reading.place(kind, self.namespace), reading.query(*arguments)
        if place is not None and query is not None:
            try:
                return reading.read(self.cluster.kubeconfig, f"{place}/{name}".rstrip("/"), query)
            except reading.NotReadError as error:
                raise CommandFailed(str(error)) from error
        named = (kind, name) if name else (kind,)
        found: dict[str, Any] = json.loads(self("get", *named, *arguments, "-o", "json"))
        return found


def account_kubeconfig(kubectl: Kubectl, account: str, folder: Path) -> Path:
    """Return a kubeconfig, made in a folder, with the rights of a ServiceAccount alone."""
    found = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    for user in found["users"]:
        user["user"] = {"token": kubectl("create", "token", account).strip()}
    file = folder / "kubeconfig"
    file.write_text(json.dumps(found))
    return file


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
