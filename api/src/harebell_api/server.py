"""uvicorn, set up for a Pod."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from .protocol import BoundedProtocol

_LEAST_ANSWER_SECONDS = 20.0
"""A client has so long to answer a ping, however often it is asked."""
_STALLED_MILLISECONDS = 30_000
_LARGEST_CLIENT_MESSAGE = 4096
"""Clients have nothing to say over the WebSocket."""


class Server(uvicorn.Server):
    """A server whose signals are handled by its caller, so that what surrounds it can end in order too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def build(app: ASGIApp, ping_seconds: float) -> Server:
    """Return the server of ``app``, which pings WebSockets every so many seconds."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=BoundedProtocol,
        ws="websockets-sansio",
        ws_max_size=_LARGEST_CLIENT_MESSAGE,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=max(ping_seconds, _LEAST_ANSWER_SECONDS),
        ws_per_message_deflate=False,  # its buffers take more memory than the messages
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than the idle timeout of usual proxies
        timeout_graceful_shutdown=10,
    )
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. :raises OSError: the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it: one whose client stopped reading ends after this long. Closing it
        # is not enough, for that waits until everything written was read.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MILLISECONDS)
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
