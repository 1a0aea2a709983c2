"""Sends the newest of many progress reports, now and then."""

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from harebell_bus.errors import BusError

from .outcome import readable

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.5
MESSAGE_CHARACTERS = 1024
"""As much as a Task's status holds."""


@dataclass(frozen=True)
class Report:
    """How far an action has come."""

    percent: int | None = None
    message: str | None = None


def merged(last: Report, percent: float | None, message: str | None) -> Report:
    """Return ``last`` with what is given replaced: percent cut to 0..100, the message to its length and with
    what UTF-8 cannot carry escaped, as in the name of a file.

    :raises ValueError: percent is not a number.
    """
    if percent is not None and math.isnan(percent):
        raise ValueError("percent must be a number from 0 to 100")
    return Report(
        last.percent if percent is None else int(min(100, max(0, percent))),
        last.message if message is None else readable(message)[:MESSAGE_CHARACTERS],
    )


class Progress:
    """Takes reports from any thread, and sends the newest at most every :data:`INTERVAL_SECONDS`."""

    def __init__(
        self,
        send: Callable[[Report], Awaitable[None]],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._pause = pause
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._lock = threading.Lock()
        self._newest = Report()

    def report(self, percent: float | None, message: str | None) -> None:
        """Take a report; from any thread."""
        with self._lock:
            self._newest = merged(self._newest, percent, message)
        # A thread whose attempt was given up may outlive the loop.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Send reports until cancelled. One that cannot be sent is dropped: a newer one will follow."""
        sent = Report()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._newest == sent:
                continue
            sent = self._newest
            try:
                await self._send(sent)
            except BusError as error:
                logger.info("progress was not sent: %s", error)
            except Exception:
                # The next report may be another matter.
                logger.exception("progress was not sent")
            await self._pause(INTERVAL_SECONDS)
