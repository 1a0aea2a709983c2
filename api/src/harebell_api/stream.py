"""The live status of one Task over a WebSocket.

A snapshot, then each change, each a full state. A client that reads slowly skips states that were
overtaken; one that does not read is dropped. Nothing is buffered per client but the newest state.
"""

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect

from .auth import SUBPROTOCOL
from .metrics import Metrics
from .permissions import Access, access_of
from .problems import Problem, ProblemError, ProblemType
from .records import TaskRecord
from .tasks import Tasks

FINISHED = 1000
"""The Task has finished, or was deleted: the last message said so."""
TRY_AGAIN = 1013
"""The Task cannot be looked up now."""
UNKNOWN_TASK = 4404
TOO_SLOW = 4408
"""The client did not read."""

MAX_STREAMS = 1000
SEND_SECONDS = 10.0
_LONGEST_REASON = 120
"""A close frame carries at most 123 bytes of reason."""


class Streams:
    """The WebSockets this process serves."""

    def __init__(
        self,
        tasks: Tasks,
        metrics: Metrics,
        send_seconds: float = SEND_SECONDS,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._tasks, self._metrics = tasks, metrics
        self._send_seconds, self._max_streams = send_seconds, max_streams
        self._open = 0

    async def serve(self, socket: WebSocket, task_id: str) -> None:
        """Serve one WebSocket until the Task has finished or the client is gone."""
        if self._open >= self._max_streams:
            full = Problem(
                ProblemType.UNAVAILABLE, "too many WebSockets are open", headers={"Retry-After": "5"}
            )
            await socket.send_denial_response(full.to_response(socket.url.path))
            return
        self._open += 1
        self._metrics.streams.inc()
        try:
            offered = socket.scope.get("subprotocols", [])
            await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
            await self._until_either_ends(socket, task_id, access_of(socket))
        finally:
            self._open -= 1
            self._metrics.streams.dec()

    async def _until_either_ends(self, socket: WebSocket, task_id: str, access: Access) -> None:
        writer = asyncio.ensure_future(self._write(socket, task_id, access))
        reader = asyncio.ensure_future(_read_until_gone(socket))
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the client is not let in any more
            writer.cancel()
            raise
        finally:
            reader.cancel()
            if reader.done() and not writer.done():
                writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                await writer
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                await reader

    async def _write(self, socket: WebSocket, task_id: str, access: Access) -> None:
        try:
            code, reason = await self._send_all(socket, task_id, access)
        except TimeoutError:
            self._metrics.streams_dropped.inc()
            code, reason = TOO_SLOW, "the client does not read"
        # Who does not read does not get the close frame either; then the connection ends without one.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._send_seconds):
                await socket.close(code, reason[:_LONGEST_REASON])

    async def _send_all(self, socket: WebSocket, task_id: str, access: Access) -> tuple[int, str]:
        """Send every state of the Task, and return how to close.

        :raises TimeoutError: the client does not read.
        """
        try:
            name = (await self._tasks.find(task_id, access)).name
        except ProblemError as error:
            unknown = error.problem.type is ProblemType.NOT_FOUND
            return UNKNOWN_TASK if unknown else TRY_AGAIN, error.problem.detail
        with self._tasks.cache.subscribe(name) as changes:
            shown = self._tasks.cache.get(name)
            if shown is None:  # deleted between the look-up and now
                return UNKNOWN_TASK, f"there is no Task {name}"
            await self._send(socket, "snapshot", shown)
            while not shown.finished:
                change = await changes.next()
                if change.deleted or change.record.uid != shown.uid:
                    last = change.record if change.record.uid == shown.uid else shown
                    await self._send(socket, "deleted", last)
                    return FINISHED, "the Task was deleted"
                if change.record.version != shown.version:
                    shown = change.record
                    await self._send(socket, "update", shown)
            return FINISHED, f"the Task has finished: {shown.phase}"

    async def _send(self, socket: WebSocket, kind: str, task: TaskRecord) -> None:
        async with asyncio.timeout(self._send_seconds):
            await socket.send_text(message(kind, task))


def message(kind: str, task: TaskRecord) -> str:
    """Return the message that shows the Task, as :class:`.models.StreamMessage` describes it."""
    return f'{{"type":"{kind}","cursor":"{task.version}","task":{task.body.decode()}}}'


async def _read_until_gone(socket: WebSocket) -> None:
    """Read and ignore what the client sends, until it is gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
