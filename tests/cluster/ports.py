"""The port on this machine that leads to the ingress controller."""

from __future__ import annotations

import os
import socket

from .progress import Problem

DEFAULT_NAME = "harebell"
DEFAULT_PORT = 8088
VARIABLE = "HAREBELL_INGRESS_PORT"


def choose(name: str) -> int:
    """The default cluster has a fixed port; others get a free one unless told."""
    said = os.environ.get(VARIABLE, "")
    if said:
        if not said.isdigit() or not 0 < int(said) < 65536:
            raise Problem(f"{VARIABLE}={said} is not a port number.")
        port = int(said)
    elif name == DEFAULT_NAME:
        port = DEFAULT_PORT
    else:
        return _free()
    if not available(port):
        raise Problem(f"Port {port} on 127.0.0.1 is taken by another program; free it or set {VARIABLE}.")
    return port


def available(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
