"""A way to the API server that can be shut, as when its network is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Gate:
    """Forwards TCP connections while it is open; shutting it cuts them all."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port, self._open = host, port, True
        self._writers: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Cut every connection, and let none through."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def open(self) -> None:
        """Let connections through again."""
        self._open = True

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if not self._open:
            writer.transport.abort()
            return
        onward = await asyncio.open_connection(self._host, self._port)
        ends = {writer, onward[1]}
        self._writers |= ends
        try:
            await asyncio.wait(
                {
                    asyncio.ensure_future(_copy(reader, onward[1])),
                    asyncio.ensure_future(_copy(onward[0], writer)),
                },
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
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
