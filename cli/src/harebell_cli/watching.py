"""Following one object, over lost connections and expired versions, until a deadline."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .errors import RefusedError, TimeIsUpError, UnreachableError
from .resources import Kind, Object, Watched

WATCH_SECONDS = 60
"""How long a watch lasts. Short, so one that is silently dead is replaced within the minute."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_SILENCE_SECONDS = 15
"""How much longer than a watch is to last its connection may bring nothing."""
_PASSING = frozenset({410, 429, 500, 502, 503, 504})
"""Statuses that say that the version is too old, or that the API server is about to be well again."""


@dataclass(frozen=True)
class Deadline:
    """The moment until which something may take, by a clock that only goes forward. None: for ever."""

    at: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @staticmethod
    def after(seconds: float | None) -> "Deadline":
        """Return the deadline that is so many seconds from now. None: there is none."""
        return Deadline(None if seconds is None else time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds until then. :raises TimeIsUpError: there are none."""
        if self.at is None:
            return math.inf
        left = self.at - self.clock()
        if left <= 0:
            raise TimeIsUpError
        return left

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline. :raises TimeIsUpError: it is over."""
        self.sleep(min(seconds, self.left()))
        self.left()


def follow(
    resources: Watched,
    kind: Kind,
    name: str,
    deadline: Deadline,
    tell: Callable[[str], None],
    uid: str | None = None,
) -> Iterator[Object | None]:
    """Yield an object as it is, and whenever it changed; None, and nothing more, when it is gone.

    One that is not there to begin with is gone. Another that took its name later is not it.

    :param tell: is told, once for each, of interruptions.
    :param uid: of the one that is meant. None: whichever has the name now.
    :raises TimeIsUpError: the deadline is over; but never before what there is was yielded once.
    :raises UnreachableError: the API server did not answer the first request.
    :raises RefusedError: it may not be watched.
    """
    answered = False
    version: str | None = None
    pause, lost = _FIRST_PAUSE, False
    while True:
        try:
            if version is None:
                found = resources.select(kind, name=name)
                answered = True
                if lost:
                    tell("connected again")
                    lost = False
                now = next(iter(found.items), None)
                if now is None or uid not in (None, now["metadata"]["uid"]):
                    yield None
                    return
                uid, version = now["metadata"]["uid"], found.version
                yield now
            left = deadline.left()
            seconds = max(1, math.ceil(min(left, WATCH_SECONDS)))
            silence = min(left + 1, seconds + _SILENCE_SECONDS)
            for event in resources.watch(kind, name, version, seconds, silence):
                if event.get("type") == "ERROR":
                    version = None  # 410 Gone, mostly: what there is now is read anew
                    break
                pause = _FIRST_PAUSE
                there = event["object"]
                version = there["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    yield None
                    return
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield there
                deadline.left()
            if version is not None:
                pause = _FIRST_PAUSE
                continue  # a watch ends by itself; the next goes on where it ended
        except UnreachableError as error:
            if not answered:
                raise
            if not lost:
                tell(f"{error}; trying again")
            version, lost = None, True
        except RefusedError as error:
            if not answered or error.status not in _PASSING:
                raise
            version = None
        deadline.pause(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
