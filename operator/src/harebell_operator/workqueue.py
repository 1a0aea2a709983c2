"""A queue of keys to reconcile, as controllers use it.

A key waits at most once however often it is added, is worked on by one worker at a time, and is taken again
if it was added meanwhile. A key can also be added for later; the earliest time wins.
"""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")

SPARE: Final = 64
"""Entries that may be void before it is worth looking for them."""


class WorkQueue(Generic[K]):
    """See the module. ``clock`` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._due: dict[K, float] = {}
        self._later: list[tuple[float, int, K]] = []
        self._sequence = 0
        self._wake = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Have ``key`` reconciled as soon as a worker is free."""
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Have ``key`` reconciled in ``seconds``, unless it already will be sooner."""
        due = self._clock() + max(0.0, seconds)
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._later, (due, self._sequence, key))
        self._tidy()
        self._wake.set()

    def forget(self, key: K) -> None:
        """Drop a delayed addition of ``key``."""
        self._due.pop(key, None)
        self._tidy()

    def close(self) -> None:
        """Have workers end as soon as they are done with what they work on; what waits is left."""
        self._closed = True
        self._wake.set()

    async def get(self) -> K | None:
        """Wait for a key; :meth:`done` must follow. None: the queue was closed."""
        while not self._closed:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._active.add(key)
                return key
            self._wake.clear()
            delay = max(0.0, self._later[0][0] - self._clock()) if self._later else None
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return None

    def done(self, key: K) -> None:
        """Say that the work on ``key`` has ended."""
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def work(self, handle: Callable[[K], Awaitable[None]]) -> None:
        """Work on keys until the queue is closed. ``handle`` deals with its own expected errors."""
        while (key := await self.get()) is not None:
            try:
                await handle(key)
            finally:
                self.done(key)

    def _promote(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _tidy(self) -> None:
        """Drop what was overtaken or forgotten once it is most of what is kept: its time may be days off."""
        if len(self._later) > 2 * len(self._due) + SPARE:
            self._later = [(due, n, key) for n, (key, due) in enumerate(self._due.items())]
            heapq.heapify(self._later)
