"""The streams that are open: how many, whose, and how to end some of them from outside."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import Gauge

from .feed.message import RESTARTING, REVOKED, End
from .permissions import Access
from .problems import ProblemError, ProblemType

MAX_STREAMS = 1000


@dataclass(frozen=True, eq=False)
class Session:
    """One stream, of either transport."""

    access: Access
    closing: "asyncio.Future[End]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Gets a result when the stream is to end, whatever it has still to tell."""


class Sessions:
    """Every stream of this process."""

    def __init__(self, max_streams: int = MAX_STREAMS) -> None:
        self._max_streams = max_streams
        self._open: set[Session] = set()
        self._shut = False

    @contextmanager
    def admitted(self, access: Access, gauge: Gauge) -> Iterator[Session]:
        """Count a stream in for the time of the block. :raises ProblemError: there are too many."""
        if self._shut or len(self._open) >= self._max_streams:
            why = "the API is restarting" if self._shut else "too many streams are open"
            raise ProblemError(ProblemType.UNAVAILABLE, why, headers={"Retry-After": "5"})
        session = Session(access)
        self._open.add(session)
        gauge.inc()
        try:
            yield session
        finally:
            self._open.discard(session)
            gauge.dec()

    def close_where(
        self,
        is_meant: Callable[[Access], bool],
        code: int = REVOKED,
        reason: str = "the client may not read any more",
    ) -> int:
        """End the streams of some clients, and return how many these are.

        A WebSocket is closed with the code and reason; an event stream ends with an ``end`` of the same.
        """
        meant = [s for s in self._open if not s.closing.done() and is_meant(s.access)]
        for session in meant:
            session.closing.set_result(End(code, reason))
        return len(meant)

    def shut_down(self) -> None:
        """End all streams, and let none begin: the process is about to end."""
        self._shut = True
        self.close_where(lambda access: True, RESTARTING, "the API is restarting")
