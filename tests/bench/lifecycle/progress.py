"""What a person sees while it measures."""

import sys
import time

INTERVAL_SECONDS = 0.5


class Progress:
    """One line for each measurement, which counts where somebody looks on."""

    def __init__(self, steps: int) -> None:
        self._steps, self._step = steps, 0
        self._title, self._count = "", 0
        self._shown = 0.0
        self._begun = time.monotonic()

    def begin(self, title: str, count: int) -> None:
        """Say what is measured now."""
        self._step += 1
        self._title = f"[{self._step}/{self._steps}] {title}"
        self._count = count
        if not sys.stderr.isatty():
            print(f"{self._title} ...", file=sys.stderr, flush=True)

    def told(self, done: int) -> None:
        """Say how many are done."""
        if sys.stderr.isatty() and time.monotonic() - self._shown >= INTERVAL_SECONDS:
            self._shown = time.monotonic()
            print(f"\r\033[K{self._title}: {done} of {self._count}", end="", file=sys.stderr, flush=True)

    def end(self, per_second: float) -> None:
        """Say how fast it was."""
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        spent = time.monotonic() - self._begun
        print(f"{clear}{self._title}: {per_second:.0f}/s ({spent:.0f} s since the start)", file=sys.stderr)
