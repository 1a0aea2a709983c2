"""Notices that this process did not run, or that its clock was set forward.

A machine that was suspended, a process that was stopped, a clock that a time server mends: each looks as if
everybody had been silent. Silence that nobody could have heard counts for nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.4
AWAY: Final = timedelta(seconds=5)
"""A busy process is late by less."""


class Attention:
    """Compares the clock with what it showed at the last look."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._looked = self._since = clock()

    @property
    def since(self) -> datetime:
        """Since when the process has run without a gap. Asked for, not told: whoever would be first to draw
        conclusions after a gap is the first to know of it."""
        now = self._clock()
        if now - self._looked > AWAY:
            logger.warning("the process stood still, or its clock was set: agents are given time anew")
            self._since = now
        self._looked = now
        return self._since

    async def run(self) -> None:
        """Look often enough, until cancelled."""
        while True:
            _ = self.since
            await asyncio.sleep(TICK_SECONDS)
