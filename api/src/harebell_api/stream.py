"""Streams of Tasks over WebSockets.

What is told, and when a stream ends, is for :mod:`.feed` to say. Here a client that does not read is noticed,
by a message that cannot be sent, and dropped: nothing is kept for it but its place.
"""

import asyncio
import contextlib
from contextlib import aclosing
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from .auth import SUBPROTOCOL, shortened
from .feed.many import Selected
from .feed.message import TOO_SLOW, End, Message
from .feed.one import Named
from .feed.sources import Sources
from .feed.streams import follow
from .metrics import Metrics
from .sessions import Session, Sessions

SEND_SECONDS = 10.0


class WebSockets:
    """The WebSockets this process serves."""

    def __init__(
        self, sources: Sources, sessions: Sessions, metrics: Metrics, send_seconds: float = SEND_SECONDS
    ) -> None:
        self._sources, self._sessions, self._metrics = sources, sessions, metrics
        self._send_seconds = send_seconds

    async def serve(self, socket: WebSocket, wanted: Named | Selected) -> None:
        """Serve one WebSocket until the stream ends or the client is gone.

        :raises ProblemError: there are too many; nothing was accepted.
        """
        with self._sessions.admitted(self._metrics.streams) as session:
            offered = socket.scope.get("subprotocols", [])
            await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
            end = await self._until_the_end(socket, wanted, session)
            if end is None:
                return
            if end.code == TOO_SLOW:
                self._metrics.streams_dropped.inc()
            # Who does not read does not get the close frame either; then the connection ends without one.
            with contextlib.suppress(TimeoutError, WebSocketDisconnect):
                async with asyncio.timeout(self._send_seconds):
                    await socket.close(end.code, shortened(end.reason))

    async def _until_the_end(
        self, socket: WebSocket, wanted: Named | Selected, session: Session
    ) -> End | None:
        """Tell the client everything, and return how to close, or None: it is gone."""
        writer = asyncio.ensure_future(self._write(socket, wanted))
        reader = asyncio.ensure_future(_read_until_gone(socket))
        halves: set[asyncio.Future[Any]] = {writer, reader, session.closing}
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
            if session.closing.done():
                return session.closing.result()
            return writer.result() if writer.done() else None
        except WebSocketDisconnect:
            return None
        finally:
            for half in (writer, reader):
                half.cancel()
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                    await half

    async def _write(self, socket: WebSocket, wanted: Named | Selected) -> End:
        async with aclosing(follow(self._sources, wanted)) as items:
            async for item in items:
                match item:
                    case Message():
                        try:
                            async with asyncio.timeout(self._send_seconds):
                                await socket.send_text(item.text)
                        except TimeoutError:
                            return End(TOO_SLOW, "the client does not read")
                    case End():
                        return item
                    case _:
                        pass  # the server's own pings show that the connection lives
        raise AssertionError("a stream ends with an End")


async def _read_until_gone(socket: WebSocket) -> None:
    """Read and ignore what the client sends, until it is gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
