"""Saves the newest of many checkpoints, now and then, or at once where somebody waits for it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from .errors import PermanentError
from .outcome import as_json
from .threads import on_loop, refuse_to_block

INTERVAL_SECONDS = 2.0
"""From one to the next that nobody waits for."""
CHECKPOINT_BYTES: Final = 32 * 1024
"""The largest, as JSON; a Task's status holds no more."""


@dataclass(frozen=True)
class Checkpoint:
    """What an action saved, as JSON types."""

    number: int
    at: datetime
    data: Any


class Saved:
    """What :meth:`Context.checkpoint` returns. Await it, or block in a thread, to know that it is safe."""

    def __init__(self, checkpoints: "Checkpoints", number: int) -> None:
        self._checkpoints = checkpoints
        self._number = number

    def __await__(self) -> Generator[Any, None, None]:
        confirmed = self._checkpoints.confirmed(self._number)
        return on_loop(self._checkpoints.loop, confirmed).__await__()

    def block(self, timeout: float | None = None) -> None:
        """Wait, in a thread, until the broker has it.

        :raises TimeoutError: not within ``timeout`` seconds.
        :raises RuntimeError: this is a coroutine of the agent's event loop, which would hang for good.
        """
        refuse_to_block(self._checkpoints.loop)
        waiting = asyncio.run_coroutine_threadsafe(
            self._checkpoints.confirmed(self._number), self._checkpoints.loop
        )
        waiting.result(timeout)


class Checkpoints:
    """Takes those of one attempt from any thread. ``send`` returns when the broker has one, however long
    that takes, so they arrive in order, and the last of them before whatever is sent after :meth:`flush`."""

    def __init__(
        self,
        send: Callable[[Checkpoint], Awaitable[None]],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._send = send
        self._now = now
        self._interval_seconds = interval_seconds
        self.loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._newest: Checkpoint | None = None
        self._sent = 0
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._closed = False

    def save(self, data: Any) -> Saved:
        """Take one; from any thread.

        :raises PermanentError: it has no form in JSON, is too large, or the attempt is over.
        """
        try:
            plain, size = as_json(data)
        except ValueError as error:
            message = f"the checkpoint has no form in JSON: {error}"
            raise PermanentError(message, code="InvalidCheckpoint") from error
        if size > CHECKPOINT_BYTES:
            message = f"the checkpoint is {size} bytes as JSON; {CHECKPOINT_BYTES} are allowed"
            raise PermanentError(message, code="CheckpointTooLarge")
        with self._lock:
            self._check_open()
            last, now = self._newest, self._now()
            # A clock that is put back must not make the newest look like an older one.
            at = max(now, last.at) if last else now
            self._newest = Checkpoint(last.number + 1 if last else 1, at, plain)
            number = self._newest.number
        self.loop.call_soon_threadsafe(self._news.set)
        return Saved(self, number)

    async def confirmed(self, number: int) -> None:
        """Wait until the broker has this one or a later one. :raises PermanentError: it never will."""
        if number <= self._sent:
            return
        self._check_open()
        waiter = self.loop.create_future()
        self._waiting.append((number, waiter))
        self._urgent.set()
        await waiter

    async def flush(self) -> None:
        """Wait until the broker has all there is. :raises PermanentError: it never will."""
        if self._newest is not None:
            await self.confirmed(self._newest.number)

    async def run(self) -> None:
        """Send until cancelled; from then on nothing can be saved."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                self._urgent.clear()
                newest = self._newest
                if newest is None or newest.number == self._sent:
                    continue
                await self._send(newest)
                self._sent = newest.number
                self._settle()
                await self._rest()
        finally:
            with self._lock:
                self._closed = True
            self._settle()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._interval_seconds):
                await self._urgent.wait()
        except TimeoutError:
            return

    def _settle(self) -> None:
        """Tell those who wait what became of it."""
        for number, waiter in self._waiting:
            if waiter.done():
                continue
            if number <= self._sent:
                waiter.set_result(None)
            elif self._closed:
                waiter.set_exception(_over())
        self._waiting = [each for each in self._waiting if not each[1].done()]

    def _check_open(self) -> None:
        if self._closed:
            raise _over()


def _over() -> PermanentError:
    return PermanentError("the attempt is over; nothing is saved any more", code="AttemptOver")
