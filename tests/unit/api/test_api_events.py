"""Server-sent events, from the request on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message
from tests.support.keys import record

from harebell_api.app import Dependencies, create_app
from harebell_api.events import EventStreams
from harebell_api.feed.sources import Patience
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.records import TaskRecord, task_record

from .fakes import AUTH, KEY, FakeStore, task
from .feeding import settle, sources_of
from .test_api_stream import ONE

HEADERS = [(name.lower().encode(), value.encode()) for name, value in AUTH.items()]


def _record(version: int, phase: str, name: str = "t") -> TaskRecord:
    return task_record(task(name, version, phase=phase))


class Listener:
    """The client of one event stream, piece by piece."""

    def __init__(self, block: bool = False) -> None:
        self.start: Message = {}
        self.body = b""
        self.over = False
        self._arrived = asyncio.Event()
        self._gone = asyncio.Event()
        self.may_send = asyncio.Event()
        self.blocked = asyncio.Event()
        if not block:
            self.may_send.set()

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.blocked.set()
        await self.may_send.wait()
        self.body += message.get("body", b"")
        self.over = not message.get("more_body", False)
        self._arrived.set()

    def leave(self) -> None:
        self._gone.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(10):
            while text not in self.body:
                self._arrived.clear()
                await self._arrived.wait()

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.start["headers"]}

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Type and data of each event; the id has to be the cursor."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                data = json.loads(fields["data"])
                assert (fields["event"], fields.get("id")) == (data["type"], data.get("cursor"))
                found.append((fields["event"], data))
        return found


@asynccontextmanager
async def listening(
    app: ASGIApp, query: str = "", headers: Any = (), block: bool = False
) -> AsyncIterator[Listener]:
    listener = Listener(block)
    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.3"},
        "method": "GET",
        "path": "/api/v1/events",
        "query_string": query.encode(),
        "headers": [*HEADERS, *headers],
    }
    serving = asyncio.ensure_future(app(scope, listener.receive, listener.send))
    try:
        yield listener
        listener.leave()
        async with asyncio.timeout(10):
            await serving
    finally:
        serving.cancel()


async def test_a_selection_as_events(parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    async with listening(create_app(parts)) as listener:
        await listener.until(b"event: synced")
        parts.task_cache.put(_record(2, "Running"))
        await listener.until(b"event: update")
        assert [kind for kind, _ in listener.events] == ["snapshot", "synced", "update"]
        assert listener.start["status"] == 200
        assert listener.headers["content-type"].startswith("text/event-stream")
        assert listener.headers["cache-control"] == "no-store"
        assert listener.body.startswith(b"retry: 2000\n\n")
        assert _value(parts, "harebell_api_event_streams") == 1
    assert _value(parts, "harebell_api_event_streams") == 0
    assert not listener.over, "who is gone is told nothing more"


def _value(parts: Dependencies, name: str, labels: dict[str, str] | None = None) -> float | None:
    return parts.metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize("by_header", [True, False])
async def test_the_last_event_id_goes_on(parts: Dependencies, by_header: bool) -> None:
    app = create_app(parts)
    parts.task_cache.replace([_record(1, "Queued", "a"), _record(2, "Queued", "b")], 2)
    async with listening(app) as listener:
        await listener.until(b"event: synced")
    cursor = listener.events[-1][1]["cursor"]
    parts.task_cache.put(_record(3, "Running", "a"))
    # A browser repeats the URL, with the cursor of long ago.
    old = listener.events[0][1]["cursor"]
    query, headers = (
        (f"cursor={old}", [(b"last-event-id", cursor.encode())]) if by_header else (f"cursor={cursor}", [])
    )
    async with listening(app, query, headers) as listener:
        await listener.until(b"event: synced")
    assert [(kind, data.get("task", {}).get("name")) for kind, data in listener.events] == [
        ("update", "a"),
        ("synced", None),
    ]


async def test_comments_while_there_is_nothing_new(parts: Dependencies) -> None:
    quick = replace(parts, patience=Patience(idle=0.01))
    parts.task_cache.replace([_record(1, "Queued")], 1)
    app = create_app(quick)
    for query in ("", "task_id=t"):
        async with listening(app, query) as listener:
            await listener.until(b": nothing new\n\n: nothing new\n\n")


async def test_the_cursor_moves_on_while_nothing_concerns_the_client(parts: Dependencies) -> None:
    quick = replace(parts, patience=Patience(idle=0.01))
    parts.task_cache.replace([_record(1, "Queued")], 1)
    async with listening(create_app(quick), "agent_type=other") as listener:
        await listener.until(b"event: synced")
        parts.task_cache.put(_record(2, "Running"))
        parts.task_cache.heard(40)
        await listener.until(b": nothing new\n\nid: ")
    assert [kind for kind, _ in listener.events] == ["synced", "synced"]
    assert listener.events[0][1]["cursor"] != listener.events[1][1]["cursor"]


def test_the_stream_of_one_task_ends_after_its_last_event(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Failed")], 1)
    answer = client.get("/api/v1/events?task_id=t")
    assert answer.status_code == 200
    assert answer.text.count("event: ") == 1
    assert "event: snapshot\n" in answer.text
    cursor = answer.text.partition("id: ")[2].partition("\n")[0]
    again = client.get("/api/v1/events?task_id=t", headers={"Last-Event-ID": cursor})
    assert (again.status_code, again.content) == (204, b"")


def test_what_cannot_be_streamed_is_a_problem(client: TestClient, store: FakeStore) -> None:
    answer = client.get("/api/v1/events?task_id=unknown")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "not-found")
    store.failure = ApiServerUnreachableError("down")
    answer = client.get("/api/v1/events?task_id=t")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_streams_end_when_the_process_does(parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    async with listening(create_app(parts)) as listener:
        await listener.until(b"event: synced")
        parts.sessions.shut_down()
        await listener.until(b"event: end")
        await settle()
        assert listener.over
        assert (listener.events[-1][0], listener.events[-1][1]["code"]) == ("end", 1012)
        assert listener.body.count(b"id: ") == 2, "an end is no place to go on from"


@pytest.mark.parametrize("query", ["", "task_id=t"])
async def test_a_stream_ends_with_its_key(parts: Dependencies, query: str) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    async with listening(create_app(parts), query) as listener:
        await listener.until(b"event: snapshot")
        assert parts.keys is not None
        parts.keys.replace(dict([record(KEY, revoked=True)]))
        await settle()
        assert listener.over
        assert listener.body.count(b"event: end") == 0
    assert _value(parts, "harebell_api_event_streams") == 0
    assert parts.task_cache._subscriptions == {}


async def test_a_client_that_does_not_read_is_dropped(parts: Dependencies) -> None:
    streams = EventStreams(sources_of(parts), parts.sessions, parts.metrics, send_seconds=0.0)
    parts.task_cache.replace([_record(1, "Queued")], 1)
    answer = await streams.answer(ONE)
    listener = Listener(block=True)
    await answer({"type": "http"}, listener.receive, listener.send)
    assert listener.body == b""
    assert _value(parts, "harebell_api_streams_dropped_total") == 1
    assert _value(parts, "harebell_api_event_streams") == 0


async def test_the_time_of_a_stream_is_that_to_its_beginning(parts: Dependencies) -> None:
    parts.task_cache.replace([], 1)
    async with listening(create_app(parts)) as listener:
        await listener.until(b"event: synced")
    labels = {"method": "GET", "route": "/api/v1/events"}
    assert _value(parts, "harebell_api_request_seconds_count", labels) == 1
    assert _value(parts, "harebell_api_requests_total", {**labels, "status": "200"}) == 1
