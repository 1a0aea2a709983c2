"""How large a request may be, asked of a real server: much of it is decided before the application."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harebell_api import limits, protocol, server
from harebell_api.app import Dependencies, create_app
from harebell_api.models.dispatch import MAX_DEPTH, MAX_LABELS

from .fakes import KEY, FakeStore

HEAD = f"Host: x\r\nAuthorization: Bearer {KEY}\r\n"


class Serving:
    """A server, and bytes to and from it."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, request: str | bytes) -> tuple[int, Any]:
        """Send a request, and return the status and the document of the answer."""
        reader, writer = await self.open()
        try:
            writer.write(request.encode() if isinstance(request, str) else request)
            return await answer(reader)
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")
        )
        body = await reader.readexactly(length)
    assert "application/" in head
    return int(head.split()[1]), json.loads(body)


def kind(found: tuple[int, Any]) -> tuple[int, str]:
    assert found[0] == found[1]["status"]
    return found[0], found[1]["type"].rpartition("/")[2]


@pytest.fixture
async def serving(parts: Dependencies) -> AsyncIterator[Serving]:
    listener = server.listen("127.0.0.1", 0)
    running = server.build(create_app(parts), ping_seconds=20)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    yield Serving(listener.getsockname()[1])
    running.should_exit = True
    await task


def get(path: str, more: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\n{HEAD}{more}\r\n"


async def test_urls(serving: Serving) -> None:
    fits = "/api/v1/tasks?cursor=" + "x" * (limits.MAX_URL_BYTES - 30)
    assert kind(await serving.ask(get(fits))) == (422, "invalid")
    assert kind(await serving.ask(get(fits + "x" * 30))) == (414, "uri-too-long")
    assert kind(await serving.ask(get("/" + "x" * limits.MAX_URL_BYTES))) == (414, "uri-too-long")


async def test_headers(serving: Serving) -> None:
    assert (await serving.ask(get("/api/v1/tasks", f"X: {'x' * 15_000}\r\n")))[0] == 200
    large = f"X: {'x' * limits.MAX_HEADER_BYTES}\r\n"
    assert kind(await serving.ask(get("/api/v1/tasks", large))) == (431, "headers-too-large")
    many = "".join(f"X-{n}: 1\r\n" for n in range(limits.MAX_HEADERS + 1))
    assert kind(await serving.ask(get("/api/v1/tasks", many))) == (431, "headers-too-large")
    # Nobody needs a key to be told so.
    assert kind(await serving.ask(f"GET / HTTP/1.1\r\n{many}\r\n")) == (431, "headers-too-large")


async def test_a_handshake_has_the_same_limits(serving: Serving) -> None:
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    found = await serving.ask(get("/api/v1/ws?task_id=" + "x" * limits.MAX_URL_BYTES, upgrade))
    assert kind(found) == (414, "uri-too-long")


@pytest.mark.parametrize(
    ("begin", "more", "expected"),
    [
        ("GET /api/v1/tasks HTTP/1.1\r\n", "X: {}\r\n", (431, "headers-too-large")),
        ("GET /api/v1/tasks HTTP/1.1\r\nX: ", "{}", (431, "headers-too-large")),
        ("GET /", "{}", (414, "uri-too-long")),
    ],
)
async def test_a_head_without_an_end(
    serving: Serving, begin: str, more: str, expected: tuple[int, str]
) -> None:
    reader, writer = await serving.open()
    try:
        writer.write(begin.encode())
        found = asyncio.ensure_future(answer(reader))
        sent = 0
        while not found.done() and sent < 100 * protocol.LONGEST_HEAD:
            piece = more.format("x" * 1000).encode()
            writer.write(piece)
            sent += len(piece)
            await asyncio.sleep(0)
        assert kind(await found) == expected
    finally:
        writer.close()


async def test_trailers_without_an_end(serving: Serving) -> None:
    reader, writer = await serving.open()
    try:
        head = f"POST /api/v1/dispatch HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
        writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n")
        sent = 0
        closed = asyncio.ensure_future(reader.read())
        while not closed.done():
            assert sent < 100 * protocol.LONGEST_HEAD, "it reads on and on"
            writer.write(b"X: " + b"x" * 1000 + b"\r\n")
            sent += 1000
            await asyncio.sleep(0)
    finally:
        writer.close()


async def test_a_body_in_the_smallest_chunks(serving: Serving, store: FakeStore) -> None:
    body = json.dumps({"agentType": "text", "action": "echo", "payload": {"a": "x" * 50_000}}).encode()
    head = f"POST /api/v1/dispatch HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    sent = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    assert (await serving.ask(sent))[0] == 202
    assert len(store.tasks) == 1


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"GET http:// HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http(serving: Serving, request_: bytes) -> None:
    assert kind(await serving.ask(request_)) == (400, "bad-request")


async def test_who_does_not_finish_is_not_waited_for(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    for begin in (b"", b"GET / HTTP/1.1\r\n"):
        reader, writer = await serving.open()
        writer.write(begin)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_a_connection_serves_many_requests(serving: Serving) -> None:
    """More in all than one may have."""
    reader, writer = await serving.open()
    try:
        for _ in range(10):
            writer.write(get("/api/v1/tasks", f"X: {'x' * 10_000}\r\n").encode())
            assert (await answer(reader))[0] == 200
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/v1/dispatch", limits.MAX_BODY_BYTES),
        ("/api/v1/dispatch/batch", limits.MAX_BATCH_BYTES),
        ("/api/v1/cancel/t", limits.MAX_SMALL_BODY_BYTES),
        ("/api/v1/replay", limits.MAX_SMALL_BODY_BYTES),
        ("/api/v1/announcements", limits.MAX_SMALL_BODY_BYTES),
        ("/nowhere", limits.MAX_SMALL_BODY_BYTES),
    ],
)
async def test_bodies(serving: Serving, path: str, limit: int) -> None:
    assert limits.body_limit(path) == limit
    head = (
        f"POST {path} HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\nContent-Length: {limit + 1}\r\n\r\n"
    )
    assert kind(await serving.ask(head)) == (413, "too-large")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"payload": {"a": nested(MAX_DEPTH - 1)}}, 202),
        ({"payload": {"a": nested(MAX_DEPTH)}}, 422),
        ({"payload": {"a": nested(400)}}, 422),
        ({"labels": {f"l{n}": "" for n in range(MAX_LABELS)}}, 202),
        ({"labels": {f"l{n}": "" for n in range(MAX_LABELS + 1)}}, 422),
    ],
)
async def test_what_is_in_a_body(serving: Serving, changed: dict[str, Any], status: int) -> None:
    body = json.dumps({"agentType": "text", "action": "echo", **changed})
    head = f"POST /api/v1/dispatch HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
    found = await serving.ask(f"{head}Content-Length: {len(body)}\r\n\r\n{body}")
    assert found[0] == status
    if status == 422:
        assert [error["pointer"] for error in found[1]["errors"]] == [f"/{next(iter(changed))}"]


async def test_values_of_one_parameter(serving: Serving) -> None:
    assert (await serving.ask(get("/api/v1/tasks?" + "&".join(["agent_type=a"] * 50))))[0] == 200
    for parameter in ("agent_type=a", "phase=Failed", "priority=low"):
        found = await serving.ask(get("/api/v1/tasks?" + "&".join([parameter] * 51)))
        assert kind(found) == (422, "invalid")
