"""The limits on a request's body and head, and the log line of each request."""

import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES
from .permissions import client_of
from .problems import Problem, ProblemError, ProblemType

logger = logging.getLogger("harebell_api.access")
LONGEST_LOGGED = 1024
"""Characters of a path in the log."""


class BodyLimitMiddleware:
    """Refuses a body as soon as more of it than ``limit`` says, for the path, was announced or came.

    Starlette's own answers in plain text.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        limit = self._limit(scope["path"])
        if announced.isdigit() and int(announced) > limit:
            await _too_large(limit).problem.to_response(scope["path"])(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise _too_large(limit)
            return message

        await self._app(scope, count, send)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(ProblemType.TOO_LARGE, f"the body is larger than {limit} bytes")


class HeadLimitMiddleware:
    """Refuses requests and handshakes whose URL or headers are larger than the limits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        problem = head_problem(scope) if scope["type"] in ("http", "websocket") else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        await problem.to_response(scope["path"][:MAX_URL_BYTES])(scope, receive, send)


def head_problem(scope: Scope) -> Problem | None:
    """Return what is too large about the head of a request, or None."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
        return Problem(ProblemType.URI_TOO_LONG, f"the URL is longer than {MAX_URL_BYTES} bytes")
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS:
        return Problem(ProblemType.HEADERS_TOO_LARGE, f"there are more than {MAX_HEADERS} headers")
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return Problem(ProblemType.HEADERS_TOO_LARGE, f"the headers are larger than {MAX_HEADER_BYTES} bytes")
    return None


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
                "path": scope["path"][:LONGEST_LOGGED],
                "status": status,
                "milliseconds": round((time.perf_counter() - began) * 1000, 1),
                "client": access.client if access else None,
            }
            logger.info("request", extra={"fields": fields})
