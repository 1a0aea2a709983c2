"""Streams of Tasks as server-sent events (WHATWG HTML, 9.2), for browsers and ``curl -N``."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .feed.many import Selected
from .feed.message import FINISHED, TOO_SLOW, UNKNOWN_TASK, End, Item, Message
from .feed.one import Named
from .feed.sources import Sources
from .feed.streams import follow
from .metrics import Metrics
from .problems import ProblemError, ProblemType
from .sessions import Session, Sessions
from .stream import SEND_SECONDS

MEDIA_TYPE = "text/event-stream"
RETRY_MILLISECONDS = 2000
"""How long a browser waits before it connects again."""
_NOTHING = b": nothing new\n\n"
"""A comment, so that what stands between sees that the connection lives."""
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class EventStreams:
    """The event streams this process serves."""

    def __init__(
        self, sources: Sources, sessions: Sessions, metrics: Metrics, send_seconds: float = SEND_SECONDS
    ) -> None:
        self._sources, self._sessions, self._metrics = sources, sessions, metrics
        self._send_seconds = send_seconds

    async def answer(self, wanted: Named | Selected) -> Response:
        """Return the answer to a request for a stream.

        A client that has seen the end of its Task is answered with 204, on which browsers do not come again.
        :raises ProblemError: there are too many streams, or nothing to tell.
        """
        async with AsyncExitStack() as stack:
            session = stack.enter_context(self._sessions.admitted(self._metrics.event_streams))
            items = await stack.enter_async_context(aclosing(follow(self._sources, wanted)))
            first = await anext(items)
            if isinstance(first, End):
                return _without_a_stream(first)
            return _EventStream(first, items, session, stack.pop_all(), self._metrics, self._send_seconds)


def _without_a_stream(end: End) -> Response:
    """Return the answer where a WebSocket would be closed at once. :raises ProblemError: it is a problem."""
    match end.code:
        case code if code == FINISHED:
            return Response(status_code=204)
        case code if code == UNKNOWN_TASK:
            raise ProblemError(ProblemType.NOT_FOUND, end.reason)
        case _:
            raise ProblemError(ProblemType.UNAVAILABLE, end.reason, headers={"Retry-After": "5"})


class _EventStream(StreamingResponse):
    """Starlette's answer in pieces, which notices that the client is gone, with a limit on each piece."""

    def __init__(
        self,
        first: Item,
        items: AsyncGenerator[Item, None],
        session: Session,
        stack: AsyncExitStack,
        metrics: Metrics,
        send_seconds: float,
    ) -> None:
        super().__init__((), headers=_HEADERS, media_type=MEDIA_TYPE)
        self._first, self._items, self._session = first, items, session
        self._stack, self._metrics, self._send_seconds = stack, metrics, send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the stream ends or the client is gone."""
        async with self._stack:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the whole answer."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        writer = asyncio.ensure_future(self._write(send))
        try:
            await asyncio.wait({writer, self._session.closing}, return_when=asyncio.FIRST_COMPLETED)
            end = self._session.closing.result() if self._session.closing.done() else writer.result()
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        if end.code == TOO_SLOW:
            self._metrics.streams_dropped.inc()
        # Who does not read does not get the end either; then the server cuts the connection.
        with contextlib.suppress(TimeoutError):
            last = b"" if end.code == FINISHED else end.event
            await self._send(send, last, more=False)

    async def _write(self, send: Send) -> End:
        item = self._first
        try:
            await self._send(send, b"retry: %d\n\n" % RETRY_MILLISECONDS)
            while not isinstance(item, End):
                await self._send(send, item.event if isinstance(item, Message) else _NOTHING)
                item = await anext(self._items)
        except TimeoutError:
            return End(TOO_SLOW, "the client does not read")
        return item

    async def _send(self, send: Send, body: bytes, more: bool = True) -> None:
        """Send a piece. :raises TimeoutError: the client does not read."""
        async with asyncio.timeout(self._send_seconds):
            await send({"type": "http.response.body", "body": body, "more_body": more})
