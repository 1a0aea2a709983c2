"""One run at a time: a second one waits for the first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from .paths import cache, work_folder
from .progress import say


@contextmanager
def exclusive(what: str = "") -> Iterator[None]:
    """Hold the tool's lock, or the lock of one thing.

    The kernel frees it when its owner dies, so it is never left behind.
    """
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"lock{what and '-'}{what}").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"Another run (process {file.read().strip() or 'unknown'}) is at work; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        if not what:
            shutil.rmtree(work_folder(), ignore_errors=True)
            work_folder().mkdir()
        yield
