"""A way to the API server that can be shut, as when its network is gone, or on which watches fall silent."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml

WATCH_SECONDS = 2.0
"""What the server says so long after the client's last word is no answer: it comes from a watch."""


class Gate:
    """Forwards TCP connections while it is open; shutting it cuts them all."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port, self._open, self._mute = host, port, True, False
        self._writers: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Cut every connection, and let none through."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def open(self) -> None:
        """Let connections through again."""
        self._open = True

    def mute_watches(self) -> None:
        """From now on drop what watches bring; their connections stay."""
        self._mute = True

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if not self._open:
            writer.transport.abort()
            return
        onward = await asyncio.open_connection(self._host, self._port)
        ends, asked = {writer, onward[1]}, _Asked()
        self._writers |= ends
        try:
            await asyncio.wait(
                {
                    asyncio.ensure_future(asked.copy(reader, onward[1])),
                    asyncio.ensure_future(self._answer(onward[0], writer, asked)),
                },
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: "_Asked"
    ) -> None:
        silent = False
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                # Once something is missing, TLS takes nothing more.
                silent = silent or (self._mute and time.monotonic() - asked.at > WATCH_SECONDS)
                if not silent:
                    writer.write(data)
                    await writer.drain()


class _Asked:
    """When the client last said something."""

    at = 0.0

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.at = time.monotonic()
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def gate_before(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Gate, Path]]:
    """Yield a gate before the API server, and a kubeconfig that leads through it."""
    config = yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text))
    cluster = config["clusters"][0]["cluster"]
    address = urlsplit(cluster["server"])
    gate = Gate(address.hostname or "", address.port or 443)
    server = await asyncio.start_server(gate.forward, "127.0.0.1", 0)
    cluster["server"] = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    cluster["tls-server-name"] = address.hostname
    through = folder / "kubeconfig"
    await asyncio.to_thread(through.write_text, yaml.safe_dump(config))
    try:
        yield gate, through
    finally:
        gate.shut()
        server.close()
