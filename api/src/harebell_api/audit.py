"""Who changed what: one line of the logger ``harebell_api.audit`` for each request that writes.

Also for those that were refused, and at every log level. The line names the Tasks, Agents and Announcements
that were made, changed or deleted, or were to be.
"""

import logging
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .kube import Kind
from .logs import AUDIT
from .permissions import client_of

logger = logging.getLogger(AUDIT)

_NOTED_KEY = "harebell.audit.noted"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST = 300
"""Of what the client may have made up."""
_MOST_NAMES = 500


def note(connection: HTTPConnection, kind: Kind, *names: str) -> None:
    """Note what a request makes or changes, where its path does not name a Task."""
    connection.scope.setdefault(_NOTED_KEY, {}).setdefault(kind, []).extend(names)


class AuditMiddleware:
    """Logs each request that writes, when it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log what came of it."""
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        status = 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            logger.info("audit", extra={"fields": line(scope, status)})


def line(scope: Scope, status: int) -> dict[str, Any]:
    """Return the members of the line about a request that was answered with ``status``."""
    access, peer, route = client_of(scope), scope.get("client"), scope.get("route")
    known = scope["method"] in (getattr(route, "methods", None) or ())
    named = scope.get("path_params", {}).get("task_id")
    noted = {Kind.TASKS: [named] if named else [], **scope.get(_NOTED_KEY, {})}
    forwarded = HTTPConnection(scope).headers.get("x-forwarded-for")
    return {
        "client": access.client if access else None,
        "keyId": access.key_id if access else None,
        "action": getattr(route, "operation_id", None) if known else None,
        "method": scope["method"][:_LONGEST],
        "path": scope["path"][:_LONGEST],
        **{kind.value: [name[:_LONGEST] for name in noted.get(kind, [])[:_MOST_NAMES]] for kind in Kind},
        "outcome": outcome(status),
        "status": status,
        "source": peer[0] if peer else None,
        # As the request says it: right where a proxy that is trusted sets it.
        "forwardedFor": forwarded[:_LONGEST] if forwarded else None,
    }


def outcome(status: int) -> str:
    """Return what a status means: ``done``, ``refused`` or ``failed``."""
    if status < 400:
        return "done"
    return "refused" if status < 500 else "failed"
