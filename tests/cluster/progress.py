"""What a person sees while the tool works: one line per step, with the seconds it took."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TAIL_LINES = 20

_logs: Path | None = None
_current: list[Path] = []


class Problem(Exception):
    """Something the person can act on: printed as one line, without a traceback."""


def set_log_folder(folder: Path) -> None:
    global _logs
    _logs = folder


def current_log() -> Path | None:
    """Where the running step's commands write their output."""
    return _current[-1] if _current else None


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _live() -> bool:
    return sys.stderr.isatty() and not os.environ.get("CI")


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]


def _tick(title: str, began: float, done: threading.Event) -> None:
    while not done.wait(1):
        print(f"\r  … {title} {time.monotonic() - began:.0f} s ", end="", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show a step's start and end; when it fails, show the end of its log too."""
    log = (_logs / f"{slug(title)}.log") if _logs else None
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        _current.append(log)
    began = time.monotonic()
    done = threading.Event()
    ticker = threading.Thread(target=_tick, args=(title, began, done), daemon=True)
    if _live():
        ticker.start()
    else:
        say(f"  … {title}")
    failed = True
    try:
        yield
        failed = False
    finally:
        done.set()
        if ticker.is_alive():
            ticker.join()
            print("\r\033[K", end="", file=sys.stderr)
        say(f"  {'FAILED' if failed else 'ok'} {title} ({time.monotonic() - began:.1f} s)")
        if log:
            _current.pop()
            if failed and tail(log):
                say(f"{tail(log)}\n  The whole log: {log}")
