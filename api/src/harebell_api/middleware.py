"""The limit on a request's body, and the log line of each request."""

import logging
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .permissions import client_of
from .problems import ProblemError, ProblemType

logger = logging.getLogger("harebell_api.access")


class BodyLimitMiddleware:
    """Refuses a body as soon as more of it than ``limit`` was announced or came.

    Starlette's own answers in plain text.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > self._limit:
            await self._too_large().problem.to_response(scope["path"])(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._limit:
                    raise self._too_large()
            return message

        await self._app(scope, count, send)

    def _too_large(self) -> ProblemError:
        return ProblemError(ProblemType.TOO_LARGE, f"the body is larger than {self._limit} bytes")


class AccessLogMiddleware:
    """Logs each request and WebSocket, but for the paths that machines ask every few seconds.

    Without the query: a client may have put there what it should not.
    """

    def __init__(self, app: ASGIApp, quiet: frozenset[str]) -> None:
        self._app, self._quiet = app, quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log how it went."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._quiet:
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    status = message["status"]
                case "websocket.accept":
                    status = 101
                case "websocket.close":
                    status = message.get("code", 1000)
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            access = client_of(scope)
            fields = {
                "method": scope.get("method", "WEBSOCKET"),
                "path": scope["path"],
                "status": status,
                "milliseconds": round((time.perf_counter() - began) * 1000, 1),
                "client": access.client if access else None,
            }
            logger.info("request", extra={"fields": fields})
