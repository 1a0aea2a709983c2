"""Waiting for a condition, with a deadline and words for when it is not met."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
INTERVAL_SECONDS = 0.1


def until(what: str, check: Callable[[], T | None], seconds: float = 60, interval: float = 0.2) -> T:
    """Return the first result of ``check`` that is true, or fail saying what was waited for.

    ``AssertionError`` and ``LookupError`` raised by the check mean "not yet", and are told at the deadline.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = check()
            if found:
                return found
            last = found
        except (AssertionError, LookupError) as error:
            last = error
        time.sleep(interval)
    raise TimeoutError(f"not seen within {seconds:g} s: {what}; last: {last!r}")


async def eventually(what: str, check: Callable[[], Awaitable[T | None]], seconds: float = 60) -> T:
    """As :func:`until`, for checks that are coroutines."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await check()
                if found:
                    return found
                await asyncio.sleep(INTERVAL_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"not seen within {seconds:g} s: {what}") from None
