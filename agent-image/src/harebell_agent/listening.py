"""Whether the agent listens for work: by what its claim loops achieved, not by what they were told."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from harebell_bus.claim import CHECK_SECONDS

FRESH_SECONDS = 2 * CHECK_SECONDS
"""An idle loop is answered by the broker at every renewal of its consumers; twice that without is silence."""


class Listening:
    """What the claim loops of all slots report. ``clock`` is monotonic seconds."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._now = now
        self._answered_at: float | None = None
        self._ended = False
        self.last_delivery_at: datetime | None = None
        """When a loop last received a message with work."""

    def answered(self) -> None:
        """Take in that the broker answered a loop that looks for work, or waits for some."""
        self._answered_at = self._clock()

    def delivered(self) -> None:
        """Take in that a loop received a message."""
        self.answered()
        self.last_delivery_at = self._now()

    def end(self) -> None:
        """Take in that the agent is shutting down, and is to take no more work."""
        self._ended = True

    @property
    def consuming(self) -> bool | None:
        """Whether a loop was answered of late; None while the agent is shutting down."""
        if self._ended:
            return None
        return self._answered_at is not None and self._clock() - self._answered_at < FRESH_SECONDS
