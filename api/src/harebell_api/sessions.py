"""The streams that are open: how many, and how to end them when the process does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import Gauge

from .feed.message import RESTARTING, End
from .problems import ProblemError, ProblemType

MAX_STREAMS = 1000


@dataclass(frozen=True, eq=False)
class Session:
    """One stream, of either transport."""

    closing: "asyncio.Future[End]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Gets a result when the stream is to end, whatever it has still to tell."""


class Sessions:
    """Every stream of this process."""

    def __init__(self, max_streams: int = MAX_STREAMS) -> None:
        self._max_streams = max_streams
        self._open: set[Session] = set()
        self._shut = False

    @contextmanager
    def admitted(self, gauge: Gauge) -> Iterator[Session]:
        """Count a stream in for the time of the block. :raises ProblemError: there are too many."""
        if self._shut or len(self._open) >= self._max_streams:
            why = "the API is restarting" if self._shut else "too many streams are open"
            raise ProblemError(ProblemType.UNAVAILABLE, why, headers={"Retry-After": "5"})
        session = Session()
        self._open.add(session)
        gauge.inc()
        try:
            yield session
        finally:
            self._open.discard(session)
            gauge.dec()

    def shut_down(self) -> None:
        """End all streams, and let none begin: the process is about to end.

        A WebSocket is closed with the code and reason; an event stream ends with an ``end`` of the same.
        """
        self._shut = True
        for session in self._open:
            if not session.closing.done():
                session.closing.set_result(End(RESTARTING, "the API is restarting"))
