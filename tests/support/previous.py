"""The version before this one: a fixed commit, until there is a release to take its place."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .chart import REPOSITORY

COMMIT = "e4ea1b15d523df3626d942986f3b1b9b3635cf91"
"""Before the chart had NetworkPolicies. Earlier ones had other API keys, and are replaced, not upgraded."""


class NoPreviousVersionError(AssertionError):
    """Neither the clone nor its origin has the commit."""


@contextmanager
def checkout() -> Iterator[Path]:
    """Have a checkout of it for the time of the block.

    A shallow clone lacks the commit; then its origin is asked for it.

    :raises NoPreviousVersionError: it is nowhere to be had; the message says what to do.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "previous"
        # Not a worktree, of which something would be left in this repository if the process is killed.
        _git("clone", "--quiet", "--shared", "--no-checkout", str(REPOSITORY), str(root))
        try:
            if not _has(REPOSITORY):
                origin = _git("-C", str(REPOSITORY), "remote", "get-url", "origin").strip()
                _git("-C", str(root), "fetch", "--quiet", "--depth=1", origin, COMMIT)
            _git("-C", str(root), "checkout", "--quiet", "--detach", COMMIT)
        except subprocess.CalledProcessError as error:
            raise NoPreviousVersionError(
                f"this clone lacks {COMMIT}, from which upgrades are tested: git fetch --unshallow;"
                f" {error.stderr.strip()}"
            ) from error
        yield root


def _has(repository: Path) -> bool:
    command = ["git", "-C", str(repository), "cat-file", "-e", f"{COMMIT}^{{commit}}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout
