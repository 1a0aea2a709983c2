"""The server itself, over a real connection."""

import asyncio
import base64
import os
import struct

from tests.support.waiting import eventually

from harebell_api import server
from harebell_api.app import Dependencies, create_app
from harebell_api.records import task_record

from .fakes import KEY, task

PING_SECONDS = 0.2
_TEXT, _PING, _PONG = 0x1, 0x9, 0xA


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return opcode and payload of the next frame (RFC 6455, 5.2), which a server does not mask."""
    first, length = await reader.readexactly(2)
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    return first & 0x0F, await reader.readexactly(length)


async def test_websockets_are_pinged_at_the_interval_asked_for(parts: Dependencies) -> None:
    parts.task_cache.replace([task_record(task("t", phase="Queued"))], 1)
    listener = server.listen("127.0.0.1", 0)
    serving = server.build(create_app(parts), PING_SECONDS)
    running = asyncio.ensure_future(serving.serve(sockets=[listener]))

    async def started() -> bool:
        return serving.started

    await eventually("the server to listen", started)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        nonce = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /api/v1/ws/t HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n"
            f"Authorization: Bearer {KEY}\r\n\r\n".encode()
        )
        async with asyncio.timeout(20):
            assert b" 101 " in (await reader.readuntil(b"\r\n\r\n")).splitlines()[0]
            assert (await _frame(reader))[0] == _TEXT
            began = asyncio.get_running_loop().time()
            for _ in range(4):
                opcode, payload = await _frame(reader)
                assert opcode == _PING
                # Clients mask; with zeros the payload stays as it is.
                writer.write(bytes((0x80 | _PONG, 0x80 | len(payload))) + bytes(4) + payload)
            assert asyncio.get_running_loop().time() - began > 3 * PING_SECONDS * 0.8
    finally:
        writer.transport.abort()
        serving.should_exit = True
        await running
