"""Asks the operator about work that an operator before it published.

What was called off while it waited is told to agents (ADR 30), but an operator knows nothing of Tasks that
were deleted before it began. Each message names the process that published it. Of one that is not the newest
the agent says that it has it, and begins when the operator says so.
"""

import asyncio
import logging

from harebell_bus.envelopes import TaskRef, Work

from .inflight import Attempt, InFlight

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
"""Whoever has not been answered for so long begins: work goes on while no operator runs."""


class Vouching:
    """See the module."""

    def __init__(self, inflight: InFlight, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._inflight = inflight
        self.answer_seconds = answer_seconds
        """How long to wait for an answer."""
        self._operator: str | None = None
        self._silent = False

    def hear_from(self, operator: str | None) -> None:
        """Take in which operator works now; None: one that does not say, and answers no such question."""
        self._operator, self._silent = operator, False

    def needed(self, work: Work) -> bool:
        """Return whether to ask about work before it is begun."""
        return self._operator is not None and work.operator != self._operator

    def proceed(self, task: TaskRef, number: int) -> None:
        """Have an attempt begin that was asked about."""
        self._silent = False
        if (attempt := self._inflight.find(task.uid, number)) is not None:
            attempt.vouched.set()

    async def given(self, attempt: Attempt) -> None:
        """Wait for the answer: until the attempt may begin, is to stop, or nobody answers."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (attempt.vouched, attempt.stop.signal)]
        try:
            seconds = 0 if self._silent else self.answer_seconds
            done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()
        if not done and not self._silent:
            # The others need not wait as long. It is asked again when it has been heard.
            self._silent = True
            logger.warning("the operator does not answer; work that it was asked about begins")
