"""Which daily partitions there are to be, and when those that are too old are dropped."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

AHEAD_DAYS = 2
"""Made before they are needed, so that no batch has to wait for one."""
AGAIN = timedelta(minutes=5)
"""From a drop that was refused to the next. While one waits for its lock, everybody else waits behind it."""
MOST_AT_ONCE = 10
"""Drops between two batches, where the retention was shortened."""


def wanted(today: date) -> tuple[date, ...]:
    """Return the days whose partitions are to exist whatever arrives."""
    return tuple(today + timedelta(days=ahead) for ahead in range(AHEAD_DAYS + 1))


def expired(existing: Iterable[date], today: date, keep_days: int) -> tuple[date, ...]:
    """Return the days whose rows are all older than ``keep_days`` days, oldest first."""
    return tuple(sorted(day for day in existing if day + timedelta(days=keep_days) < today))


class Drops:
    """Paces what is dropped. Days that somebody reads, as a backup does for hours, wait for a later time."""

    def __init__(self, keep_days: int) -> None:
        self._keep_days = keep_days
        self._refused_at: datetime | None = None

    def due(self, existing: Iterable[date], now: datetime) -> tuple[date, ...]:
        """Return the days to be dropped now, oldest first."""
        if self._refused_at is not None and timedelta() <= now - self._refused_at < AGAIN:
            return ()
        return expired(existing, now.date(), self._keep_days)[:MOST_AT_ONCE]

    def refused(self, now: datetime) -> None:
        """Take in that one could not be dropped."""
        self._refused_at = now
