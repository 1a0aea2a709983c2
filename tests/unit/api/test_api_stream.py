import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from harebell_api.app import Dependencies, create_app
from harebell_api.feed.cursor import Start, encode
from harebell_api.feed.many import Selected
from harebell_api.feed.one import Named
from harebell_api.feed.selection import Selection
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.metrics import Metrics
from harebell_api.permissions import Access, Scope, grant
from harebell_api.problems import ProblemError
from harebell_api.records import TaskRecord, task_record
from harebell_api.selector import Selector
from harebell_api.sessions import Sessions
from harebell_api.stream import WebSockets
from harebell_api.tasks import Tasks

from .conftest import Become
from .fakes import AUTH, FakeStore, task
from .feeding import ANYONE, sources_of

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
        assert (first["type"], first["task"]["phase"]) == ("snapshot", "Queued")
        _in_loop(client, cache.put, _record(2, "Running", uid=uid))
        second = socket.receive_json()
        assert (second["type"], second["task"]["phase"]) == ("update", "Running")
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
        assert (last["type"], last["task"]["resourceVersion"]) == ("deleted", "2")
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


def test_what_a_client_says_is_ignored(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    with client.websocket_connect("/api/v1/ws/t") as socket:
        socket.send_text("hello")
        socket.receive_json()
        socket.send_bytes(b"hello")
        _in_loop(client, parts.task_cache.put, _record(2, "Running"))
        assert socket.receive_json()["type"] == "update"


def test_a_selection_is_followed(client: TestClient, parts: Dependencies) -> None:
    web = {"team": "web"}
    parts.task_cache.replace([_record(1, "Queued", labels=web), task_record(task("other", 2))], 2)
    with client.websocket_connect(
        "/api/v1/ws?label_selector=team%3Dweb&phase=queued&phase=RUNNING"
    ) as socket:
        assert _told(socket, 2) == [("snapshot", "t"), ("synced", None)]
        _in_loop(client, parts.task_cache.put, _record(3, "Running", labels=web))
        _in_loop(client, parts.task_cache.put, task_record(task("other", 4)))
        _in_loop(client, parts.task_cache.put, task_record(task("third", 5, phase="Queued", labels=web)))
        assert _told(socket, 2) == [("update", "t"), ("update", "third")]
        _in_loop(client, parts.task_cache.put, _record(6, "Succeeded", labels=web))
        _in_loop(client, parts.task_cache.remove, task_record(task("third", 7, phase="Queued", labels=web)))
        assert _told(socket, 2) == [("left", "t"), ("deleted", "third")]


def test_without_parameters_all_tasks_are_followed_and_a_cursor_goes_on(
    client: TestClient, parts: Dependencies
) -> None:
    cache = parts.task_cache
    cache.replace([task_record(task(name, n)) for n, name in enumerate("abc", start=1)], 3)
    with client.websocket_connect("/api/v1/ws") as socket:
        assert _told(socket, 3) == [("snapshot", "a"), ("snapshot", "b"), ("snapshot", "c")]
        cursor = socket.receive_json()["cursor"]
    cache.put(task_record(task("b", 4)))
    cache.remove(task_record(task("a", 5)))
    with client.websocket_connect(f"/api/v1/ws?cursor={cursor}") as socket:
        assert _told(socket, 3) == [("update", "b"), ("deleted", "a"), ("synced", None)]


def _told(socket: WebSocketTestSession, messages: int) -> list[tuple[str, str | None]]:
    found = [socket.receive_json() for _ in range(messages)]
    return [(message["type"], message.get("task", {}).get("name")) for message in found]


def test_a_cursor_of_a_finished_task_that_was_told_ends_at_once(
    client: TestClient, parts: Dependencies
) -> None:
    parts.task_cache.replace([_record(1, "Queued")], 1)
    with client.websocket_connect("/api/v1/ws/t") as socket:
        queued = socket.receive_json()["cursor"]
        _in_loop(client, parts.task_cache.put, _record(2, "Succeeded"))
        succeeded = socket.receive_json()["cursor"]
    for cursor, types in ((queued, ["update"]), (succeeded, [])):
        with client.websocket_connect(f"/api/v1/ws/t?cursor={cursor}") as socket:
            assert [socket.receive_json()["type"] for _ in types] == types
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
        assert closed.value.code == 1000


@pytest.mark.parametrize(
    ("query", "status", "kind", "parameter"),
    [
        ("task_id=", 422, "invalid", "task_id"),
        ("taskid=t", 422, "invalid", "taskid"),
        ("task_id=t&phase=running&agent_type=text", 422, "invalid", "agent_type"),
        ("phase=sleeping", 422, "invalid", "phase"),
        ("label_selector=%3D", 422, "invalid", "label_selector"),
        ("cursor=abc", 400, "invalid-cursor", "cursor"),
        ("cursor=", 400, "invalid-cursor", "cursor"),
        (f"cursor={encode(Start('of another'))}", 400, "invalid-cursor", "cursor"),
        (f"task_id=t&cursor={encode(Start('of another'))}", 400, "invalid-cursor", "cursor"),
        (f"cursor={'x' * 2000}", 422, "invalid", "cursor"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/ws", "/api/v1/events"])
def test_wrong_parameters(
    client: TestClient, path: str, query: str, status: int, kind: str, parameter: str
) -> None:
    """They are refused before anything is accepted, and alike for both transports."""
    if path.endswith("ws"):
        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            client.websocket_connect(f"{path}?{query}"),
        ):
            pass
        answer: Any = denied.value
    else:
        answer = client.get(f"{path}?{query}")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, kind)
    assert parameter in [error["parameter"] for error in answer.json()["errors"]]


class Peer:
    """The other end of a WebSocket, message by message."""

    def __init__(self, client: str = "tester", block_sends: bool = False) -> None:
        self._client = client
        self.sent: list[Message] = []
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self._reads, self.shown, self.blocked = asyncio.Event(), asyncio.Event(), asyncio.Event()
        if not block_sends:
            self._reads.set()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self.blocked.set()
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
        grant(socket, Access(self._client, frozenset({Scope.READ})))
        return socket


def _sockets(parts: Dependencies, **limits: Any) -> WebSockets:
    return WebSockets(sources_of(parts), parts.sessions, parts.metrics, **limits)


ONE = Named("t", "scope", ANYONE)
ALL = Selected(Selection(None, frozenset(), Selector()), "scope", "access")


def _value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name)


@pytest.mark.parametrize("wanted", [ONE, ALL])
async def test_a_client_that_does_not_read_is_dropped(parts: Dependencies, wanted: Any) -> None:
    sockets = _sockets(parts, send_seconds=0.0)
    parts.task_cache.replace([_record(1, "Queued")], 1)
    peer = Peer(block_sends=True)
    await sockets.serve(peer.socket(), wanted)
    assert [message["type"] for message in peer.sent] == ["websocket.accept", "websocket.close"]
    assert (peer.sent[-1]["code"], peer.sent[-1]["reason"]) == (4408, "the client does not read")
    assert _value(parts.metrics, "harebell_api_streams_dropped_total") == 1
    assert _value(parts.metrics, "harebell_api_websockets") == 0


async def test_a_client_that_is_gone_leaves_nothing_behind(parts: Dependencies) -> None:
    sockets = _sockets(parts)
    parts.task_cache.replace([_record(1, "Queued")], 1)
    peer = Peer()
    serving = asyncio.ensure_future(sockets.serve(peer.socket(), ONE))
    await peer.shown.wait()
    assert _value(parts.metrics, "harebell_api_websockets") == 1
    peer.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
    await serving
    assert _value(parts.metrics, "harebell_api_websockets") == 0
    assert parts.task_cache._subscriptions == {}


async def test_there_is_a_limit_on_streams(parts: Dependencies) -> None:
    full = replace(parts, sessions=Sessions(max_streams=0))
    peer = Peer()
    with pytest.raises(ProblemError, match="too many streams"):
        await _sockets(full).serve(peer.socket(), ONE)
    assert peer.sent == []
    with TestClient(create_app(full), headers=AUTH) as client:
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/api/v1/ws"):
            pass
        assert (denied.value.status_code, denied.value.headers["retry-after"]) == (503, "5")
        assert client.get("/api/v1/events").status_code == 503


async def test_streams_end_when_the_process_does(parts: Dependencies) -> None:
    sockets = _sockets(parts)
    parts.task_cache.replace([_record(1, "Queued")], 1)
    peers = [Peer(), Peer()]
    serving = [asyncio.ensure_future(sockets.serve(peer.socket(), ONE)) for peer in peers]
    for peer in peers:
        await peer.shown.wait()
    parts.sessions.shut_down()
    await asyncio.gather(*serving)
    last = {"type": "websocket.close", "code": 1012, "reason": "the API is restarting"}
    assert [peer.sent[-1] for peer in peers] == [last, last]
    with pytest.raises(ProblemError, match="restarting"):
        await sockets.serve(Peer().socket(), ONE)


async def test_closing_does_not_wait_for_a_client_that_does_not_read(parts: Dependencies) -> None:
    sockets = _sockets(parts)
    parts.task_cache.replace([_record(1, "Queued")], 1)
    peer = Peer(block_sends=True)
    serving = asyncio.ensure_future(sockets.serve(peer.socket(), ONE))
    await peer.blocked.wait()
    parts.sessions.shut_down()
    await serving
    assert peer.sent[-1]["code"] == 1012


async def test_a_reason_fits_into_a_close_frame(parts: Dependencies) -> None:
    parts.task_cache.replace([], 1)
    peer = Peer()
    await _sockets(parts).serve(peer.socket(), Named("\u20ac" * 100, "scope", ANYONE))
    assert peer.sent[-1]["code"] == 4404
    assert 100 < len(peer.sent[-1]["reason"].encode()) <= 123


async def test_a_failure_is_not_hidden(parts: Dependencies, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: Tasks, task_id: str, access: Access) -> TaskRecord:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Tasks, "find", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await _sockets(parts).serve(Peer().socket(), ONE)
    assert _value(parts.metrics, "harebell_api_websockets") == 0


@pytest.mark.parametrize("path", ["/api/v1/ws", "/api/v1/events"])
def test_who_may_not_read_is_refused(client: TestClient, path: str, become: Become) -> None:
    become(Scope.DISPATCH, Scope.CANCEL)
    if path.endswith("ws"):
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(path):
            pass
        assert denied.value.status_code == 403
    else:
        assert client.get(path).status_code == 403
