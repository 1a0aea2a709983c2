"""uvicorn's HTTP protocol, with bounds on what a client can have it keep before a request is looked at.

uvicorn bounds neither the length of a URL nor that of headers or trailers, nor the time they may take. What
is complete and too large is answered by :class:`.middleware.HeadLimitMiddleware`; here is refused what goes
on and on.
"""

import asyncio
import http
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .limits import MAX_URL_BYTES
from .middleware import head_problem
from .problems import MEDIA_TYPE, Problem, ProblemType

LONGEST_HEAD = 64 * 1024
"""Bytes of a request that are no body; a head that comes in one piece is complete, however long."""
CHUNK_COST = 8
"""Bytes around each byte of a body at most: it may come in chunks of one byte."""
HEAD_SECONDS = 30.0
"""From the connection, or from the first byte of the next request, to the end of its headers."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose requests are not made for being answered."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._received = self._body = 0
        self._awaits_head = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless too much came that is no body."""
        self._received += len(data)
        super().data_received(data)
        if self._received - CHUNK_COST * self._body > LONGEST_HEAD and not self.transport.is_closing():
            self._refuse(_too_large(len(self.url)) if self._awaits_head else None)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on, which answers no request that is larger than the library takes."""
        split = self.url.partition(b"?")
        problem = head_problem({"raw_path": split[0], "query_string": split[2], "headers": self.headers})
        if problem is not None:
            self._refuse(problem)
            return
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Begin to wait for the headers."""
        super().on_message_begin()
        self._awaits_head = True
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Wait for the body, which has limits of its own."""
        self._awaits_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count a part of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count anew for the next request."""
        self._received = self._body = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(Problem(ProblemType.BAD_REQUEST, "this is not an HTTP request"))

    def _refuse(self, problem: Problem | None) -> None:
        """Say why, where no answer can have begun, and close the connection."""
        if problem is not None and (self.cycle is None or self.cycle.response_complete):
            answer = problem.to_response("")
            status = http.HTTPStatus(problem.type.status)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + bytes(answer.body))
        self.transport.close()

    def _wait_for_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _too_large(url: int) -> Problem:
    if url > MAX_URL_BYTES:
        return Problem(ProblemType.URI_TOO_LONG, f"the URL is longer than {MAX_URL_BYTES} bytes")
    return Problem(
        ProblemType.HEADERS_TOO_LARGE, f"the head of the request is larger than {LONGEST_HEAD} bytes"
    )
