import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from harebell_api.app import Dependencies
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.metrics import Metrics
from harebell_api.permissions import Access, Scope, grant
from harebell_api.records import TaskRecord, task_record
from harebell_api.stream import Streams
from harebell_api.tasks import Tasks

from .fakes import FakeStore, task

Act = Callable[..., Any]


def _in_loop(client: TestClient, act: Act, *arguments: Any) -> None:
    """Do something where the application runs, as the reflector does."""

    async def call() -> None:
        act(*arguments)

    assert client.portal is not None
    client.portal.call(call)


def _record(version: int, phase: str, **rest: Any) -> TaskRecord:
    return task_record(task("t", version, phase=phase, **rest))


@pytest.mark.parametrize("path", ["/api/v1/ws?task_id=t", "/api/v1/ws/t", "/api/v1/ws?task_id=uid-of-t"])
def test_snapshot_changes_and_the_end(client: TestClient, parts: Dependencies, path: str) -> None:
    cache = parts.task_cache
    uid = "00000000-0000-0000-0000-000000000001"
    cache.replace([_record(1, "Queued", uid=uid)], 1)
    with client.websocket_connect(path.replace("uid-of-t", uid)) as socket:
        first = socket.receive_json()
        assert (first["type"], first["cursor"], first["task"]["phase"]) == ("snapshot", "1", "Queued")
        _in_loop(client, cache.put, _record(2, "Running", uid=uid))
        second = socket.receive_json()
        assert (second["type"], second["cursor"], second["task"]["phase"]) == ("update", "2", "Running")
        _in_loop(client, cache.put, _record(3, "Succeeded", uid=uid, status={"result": {"answer": 42}}))
        third = socket.receive_json()
        assert (third["type"], third["task"]["result"]) == ("update", {"answer": 42})
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1000, "the Task has finished: Succeeded")


def test_a_finished_task_is_shown_once(client: TestClient, store: FakeStore) -> None:
    store.add(task("t", phase="Failed"))
    with client.websocket_connect("/api/v1/ws/t") as socket:
        assert socket.receive_json()["type"] == "snapshot"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1000


def test_deletion(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    with client.websocket_connect("/api/v1/ws/t") as socket:
        socket.receive_json()
        _in_loop(client, parts.task_cache.remove, _record(2, "Queued"))
        last = socket.receive_json()
        assert (last["type"], last["cursor"]) == ("deleted", "2")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1000, "the Task was deleted")


def test_a_new_task_of_the_name_is_another_one(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued", uid="old")], 1)
    with client.websocket_connect("/api/v1/ws/t") as socket:
        socket.receive_json()

        def replace() -> None:
            parts.task_cache.remove(_record(2, "Queued", uid="old"))
            parts.task_cache.put(_record(3, "Queued", uid="new"))

        _in_loop(client, replace)
        last = socket.receive_json()
        assert (last["type"], last["task"]["uid"]) == ("deleted", "old")


def test_unknown_task(client: TestClient) -> None:
    with (
        client.websocket_connect("/api/v1/ws/unknown") as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (4404, "there is no Task unknown")


def test_a_task_that_cannot_be_looked_up(client: TestClient, store: FakeStore) -> None:
    store.failure = ApiServerUnreachableError("down")
    with client.websocket_connect("/api/v1/ws/t") as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    assert closed.value.code == 1013


def test_the_task_has_to_be_named(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/api/v1/ws"):
        pass
    assert refused.value.status_code == 422
    assert refused.value.json()["errors"][0]["parameter"] == "task_id"


def test_what_a_client_says_is_ignored(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    with client.websocket_connect("/api/v1/ws/t") as socket:
        socket.send_text("hello")
        socket.receive_json()
        socket.send_bytes(b"hello")
        _in_loop(client, parts.task_cache.put, _record(2, "Running"))
        assert socket.receive_json()["type"] == "update"


class Peer:
    """The other end of a WebSocket, message by message."""

    def __init__(self, block_sends: bool = False) -> None:
        self.sent: list[Message] = []
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self._reads, self.shown = asyncio.Event(), asyncio.Event()
        if not block_sends:
            self._reads.set()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            await self._reads.wait()
            self.shown.set()
        self.sent.append(message)

    def socket(self) -> WebSocket:
        scope = {
            "type": "websocket",
            "path": "/",
            "headers": [],
            "query_string": b"",
            "subprotocols": [],
            "scheme": "ws",
            "server": ("test", 80),
            "extensions": {"websocket.http.response": {}},
        }
        socket = WebSocket(scope, self.incoming.get, self.send)
        grant(socket, Access("ci", frozenset(Scope)))
        return socket


def _streams(parts: Dependencies, **limits: Any) -> Streams:
    tasks = Tasks("work", parts.store, parts.task_cache)
    return Streams(tasks, parts.metrics, **limits)


def _value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name)


async def test_a_client_that_does_not_read_is_dropped(parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    peer = Peer(block_sends=True)
    await _streams(parts, send_seconds=0.0).serve(peer.socket(), "t")
    assert [message["type"] for message in peer.sent] == ["websocket.accept", "websocket.close"]
    assert (peer.sent[-1]["code"], peer.sent[-1]["reason"]) == (4408, "the client does not read")
    assert _value(parts.metrics, "harebell_api_websockets_dropped_total") == 1
    assert _value(parts.metrics, "harebell_api_websockets") == 0


async def test_a_client_that_is_gone_leaves_nothing_behind(parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    peer = Peer()
    serving = asyncio.ensure_future(_streams(parts).serve(peer.socket(), "t"))
    await peer.shown.wait()
    assert _value(parts.metrics, "harebell_api_websockets") == 1
    peer.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await serving
    assert _value(parts.metrics, "harebell_api_websockets") == 0
    assert parts.task_cache._subscriptions == {}


async def test_there_is_a_limit_on_websockets(parts: Dependencies) -> None:
    peer = Peer()
    await _streams(parts, max_streams=0).serve(peer.socket(), "t")
    assert peer.sent[0]["status"] == 503


async def test_a_failure_is_not_hidden(parts: Dependencies, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: Tasks, task_id: str, access: Access) -> TaskRecord:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Tasks, "find", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await _streams(parts).serve(Peer().socket(), "t")
    assert _value(parts.metrics, "harebell_api_websockets") == 0
