"""Nothing is let in that does not show who it is: an API key, or a token that Kubernetes vouches for."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from starlette import types
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Send

from .keyring import KeyRing
from .permissions import Access, grant
from .problems import ProblemError, ProblemType

SUBPROTOCOL = "harebell.v1"
_BEARER_SUBPROTOCOL = "bearer."

NOT_LET_IN = 4401
"""Code with which a WebSocket is closed whose key or token is not good any more; like the HTTP status."""
_CLOSE_SECONDS = 10.0
_LONGEST_REASON = 120
"""Bytes. A close frame carries at most 123 bytes of reason (RFC 6455, 5.5)."""


Ended = Callable[[], Awaitable[str]]
"""Waits until what somebody was let in for is not so any more, and returns why."""


class Vouching(Protocol):
    """Says who presents something that is no API key."""

    def takes(self, presented: str) -> bool:
        """Whether it looks like something this can check."""
        ...

    async def admit(self, presented: str) -> tuple[Access, Ended]:
        """Return who it is. :raises ProblemError: nobody, or that cannot be said now."""
        ...


class Door:
    """Lets in whoever has a key on the ring, or whom ``vouching`` knows."""

    def __init__(self, ring: KeyRing | None, vouching: Vouching | None = None) -> None:
        self._ring, self._vouching = ring, vouching

    async def admit(self, presented: str) -> tuple[Access, Ended]:
        """Return who presents this. :raises ProblemError: nobody that is let in."""
        if self._vouching is not None and self._vouching.takes(presented):
            return await self._vouching.admit(presented)
        if self._ring is None:
            raise ProblemError(
                ProblemType.UNAUTHENTICATED, "this is no token, and API keys are not taken here"
            )
        access, record = self._ring.admit(presented)
        return access, partial(self._ring.ended, record)


class AuthMiddleware:
    """Refuses every request and WebSocket handshake that does not show who it is, but for the public paths.

    A middleware, so that nothing of a request is parsed before its sender is known, and a route added later
    is protected without its author's doing. So is what stays open: a WebSocket or an answer that goes on ends
    with what its sender was let in for.
    """

    def __init__(self, app: ASGIApp, door: Door, public: Iterable[str]) -> None:
        self._app, self._door, self._public = app, door, frozenset(public)

    async def __call__(self, scope: types.Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            access, ended = await self._admit(presented(connection))
        except ProblemError as error:
            await error.problem.to_response(scope["path"])(scope, receive, send)
            return
        grant(connection, access)
        if scope["type"] == "http":
            await self._answer(ended, scope, receive, send)
        else:
            await self._serve_websocket(ended, scope, receive, send)

    async def _answer(self, ended: Ended, scope: types.Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Only where the answer goes on does anything wait for its end."""
        request = asyncio.current_task()
        assert request is not None
        ending: asyncio.Future[str] | None = None

        def end(_: "asyncio.Future[str]") -> None:
            request.cancel()

        async def watch(message: Message) -> None:
            nonlocal ending
            await send(message)
            if ending is None and message["type"] == "http.response.body" and message.get("more_body"):
                ending = asyncio.ensure_future(ended())
                ending.add_done_callback(end)

        try:
            await self._app(scope, receive, watch)
        except asyncio.CancelledError:
            if ending is None or not ending.done() or request.uncancel() > 0:
                raise  # by somebody else
            ending.result()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if ending is not None:
                ending.remove_done_callback(end)
                ending.cancel()

    async def _serve_websocket(self, ended: Ended, scope: types.Scope, receive: Receive, send: Send) -> None:
        serving = asyncio.ensure_future(self._app(scope, receive, send))
        ending = asyncio.ensure_future(ended())
        try:
            await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in (serving, ending):
                part.cancel()
            await asyncio.wait({serving, ending})
        if not serving.cancelled():
            serving.result()
            return
        # Who does not read does not get the close frame either; then the connection ends without one.
        reason = shortened(ending.result())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await send({"type": "websocket.close", "code": NOT_LET_IN, "reason": reason})

    async def _admit(self, shown: str | None) -> tuple[Access, Ended]:
        if shown is None:
            raise _challenge("an API key is needed: Authorization: Bearer <key>")
        try:
            return await self._door.admit(shown)
        except ProblemError as error:
            if error.problem.type is ProblemType.UNAUTHENTICATED:
                raise _challenge(error.problem.detail, ', error="invalid_token"') from error
            raise


def presented(connection: HTTPConnection) -> str | None:
    """Return the key or token of a request, from its header or, as browsers must, from a subprotocol."""
    scheme, _, shown = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and shown.strip():
        return shown.strip()
    if connection.scope["type"] == "websocket":
        for protocol in connection.scope.get("subprotocols", []):
            if protocol.startswith(_BEARER_SUBPROTOCOL):
                return str(protocol.removeprefix(_BEARER_SUBPROTOCOL))
    return None


def shortened(reason: str) -> str:
    """Return as much of a reason as a close frame carries."""
    return reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


def _challenge(detail: str, error: str = "") -> ProblemError:
    """Return the refusal that RFC 6750, section 3, asks for."""
    headers = {"WWW-Authenticate": f'Bearer realm="harebell"{error}'}
    return ProblemError(ProblemType.UNAUTHENTICATED, detail, headers=headers)
