"""kubectl with a fixed kubeconfig."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .shell import Failed, run


@dataclass(frozen=True)
class Kubectl:
    program: Path
    kubeconfig: Path

    def run(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        command: list[str | Path] = [
            self.program,
            "--kubeconfig",
            self.kubeconfig,
            "--request-timeout=30s",
            *args,
        ]
        return run(command, stdin=stdin.encode() if stdin is not None else None, timeout=timeout)

    def apply(self, manifest: str, patience: float = 20) -> None:
        """Apply a manifest; a control plane that has just started may need a second try."""
        deadline = time.monotonic() + patience
        while True:
            try:
                self.run("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=manifest)
                return
            except Failed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
