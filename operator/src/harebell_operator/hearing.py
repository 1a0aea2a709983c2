"""Knows up to when everything that agents have said is heard."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from harebell_bus.errors import BusError

logger = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.5
"""So long what the broker has sent may take to reach the handlers."""
RETRY_SECONDS: Final = 5.0


class Hearing:
    """Finds out, when asked, by counting what waits in the queue of replies, which is first in, first out."""

    def __init__(self, waiting: Callable[[], Awaitable[int]], clock: Callable[[], datetime]) -> None:
        """``waiting`` returns how many replies the broker has not sent yet, or raises BusError."""
        self._waiting = waiting
        self._clock = clock
        self._heard = 0
        self._asked = asyncio.Event()
        self.until: datetime | None = None
        """Every reply that was confirmed before has been handed on. None: nobody knows."""

    def heard_one(self) -> None:
        """Take in that a reply was handed on."""
        self._heard += 1

    def ask(self) -> None:
        """Have :attr:`until` brought up to now, or as soon as that is possible."""
        self._asked.set()

    def deafen(self) -> None:
        """Take in that nothing is heard any more; what was sent will be sent again."""
        self.until = None

    async def run(self, told: Callable[[], None]) -> None:
        """Answer those who ask, for ever. ``told`` is called when :attr:`until` is later than it was."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._catch_up()
            except BusError as error:
                logger.info("replies that wait were not counted: %s", error)
                self._asked.set()
                await asyncio.sleep(RETRY_SECONDS)
            except asyncio.CancelledError:
                self._asked.set()  # For the next connection.
                raise
            else:
                told()

    async def _catch_up(self) -> None:
        until = self._clock()
        behind = await self._waiting()
        # What has been sent comes before what waits. Those of the latter that come meanwhile are counted
        # twice, which only makes it later.
        await asyncio.sleep(SETTLE_SECONDS)
        enough = self._heard + behind
        while behind and self._heard < enough:
            behind = await self._waiting()
            await asyncio.sleep(SETTLE_SECONDS)
        self.until = until
