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
    """The clone lacks the commit."""


@contextmanager
def checkout() -> Iterator[Path]:
    """Have a checkout of it for the time of the block.

    :raises NoPreviousVersionError: this clone is shallow and lacks the commit; the message says what to do.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "previous"
        # Not a worktree, of which something would be left in this repository if the process is killed.
        _git("clone", "--quiet", "--shared", "--no-checkout", str(REPOSITORY), str(root))
        try:
            _git("-C", str(root), "checkout", "--quiet", "--detach", COMMIT)
        except subprocess.CalledProcessError as error:
            raise NoPreviousVersionError(
                f"this clone lacks {COMMIT}, from which upgrades are tested: git fetch --unshallow"
            ) from error
        yield root


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)
