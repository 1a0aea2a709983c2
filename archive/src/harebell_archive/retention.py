"""Which daily partitions there are to be."""

from collections.abc import Iterable
from datetime import date, timedelta

AHEAD_DAYS = 2
"""Made before they are needed, so that no batch has to wait for one."""


def wanted(today: date) -> tuple[date, ...]:
    """Return the days whose partitions are to exist whatever arrives."""
    return tuple(today + timedelta(days=ahead) for ahead in range(AHEAD_DAYS + 1))


def expired(existing: Iterable[date], today: date, keep_days: int) -> tuple[date, ...]:
    """Return the days whose rows are all older than ``keep_days`` days, oldest first."""
    return tuple(sorted(day for day in existing if day + timedelta(days=keep_days) < today))
