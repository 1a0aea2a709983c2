import asyncio
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from tests.support.keys import key, record

from harebell_api.app import Dependencies, create_app
from harebell_api.auth import AuthMiddleware, Door
from harebell_api.keyring import KeyRing
from harebell_api.records import task_record

from .fakes import KEY, FakeStore, task

OTHER = key("other")


@pytest.fixture
def stranger(parts: Dependencies) -> TestClient:
    return TestClient(create_app(parts))


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="harebell"'),
        ({"Authorization": "Basic YTpi"}, 'Bearer realm="harebell"'),
        ({"Authorization": "Bearer "}, 'Bearer realm="harebell"'),
        ({"Authorization": f"Bearer {OTHER}"}, 'Bearer realm="harebell", error="invalid_token"'),
        ({"Authorization": f"Bearer {KEY[:-1]}"}, 'Bearer realm="harebell", error="invalid_token"'),
        (
            {"Authorization": "Bearer \u00e4\u00e4\u00e4".encode("latin-1")},
            'Bearer realm="harebell", error="invalid_token"',
        ),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/dispatch"),
        ("GET", "/api/v1/status/t"),
        ("GET", "/api/v1/tasks"),
        ("GET", "/api/v1/agents"),
        ("POST", "/api/v1/cancel/t"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/unknown"),
        ("GET", "/"),
        ("GET", "/healthz/"),
    ],
)
def test_no_entry_without_a_key(
    stranger: TestClient, method: str, path: str, headers: dict[str, str], challenge: str
) -> None:
    answer = stranger.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == challenge
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "https://harebell.dev/problems/unauthenticated"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_entry_with_a_key(stranger: TestClient, scheme: str) -> None:
    assert stranger.get("/api/v1/tasks", headers={"Authorization": f"{scheme} {KEY}"}).status_code == 200


def test_a_body_is_not_read_before_the_key_is_known(stranger: TestClient) -> None:
    answer = stranger.post("/api/v1/dispatch", content=b"x" * 2_000_000)
    assert answer.status_code == 401


def test_probes_need_no_key(stranger: TestClient) -> None:
    assert stranger.get("/healthz").status_code == 200
    assert stranger.get("/metrics").status_code == 200
    assert stranger.get("/readyz").status_code == 503


@pytest.mark.parametrize("protocols", [None, ["harebell.v1"], ["harebell.v1", f"bearer.{OTHER}"]])
def test_a_websocket_is_refused_before_it_opens(stranger: TestClient, protocols: list[str] | None) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        stranger.websocket_connect("/api/v1/ws?task_id=t", subprotocols=protocols),
    ):
        pass
    assert caught.value.status_code == 401
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_browser_gives_its_key_as_a_subprotocol(stranger: TestClient, store: FakeStore) -> None:
    store.add(task("t", phase="Succeeded"))
    offered = ["harebell.v1", f"bearer.{KEY}"]
    with stranger.websocket_connect("/api/v1/ws?task_id=t", subprotocols=offered) as socket:
        assert socket.accepted_subprotocol == "harebell.v1"
        assert socket.receive_json()["type"] == "snapshot"


def test_a_subprotocol_is_no_key_for_a_request(stranger: TestClient) -> None:
    headers = {"Sec-WebSocket-Protocol": f"harebell.v1, bearer.{KEY}"}
    assert stranger.get("/api/v1/tasks", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("members", "status", "detail"),
    [
        ({"revoked": True}, 401, "API key tester was revoked"),
        ({"namespaces": ["other"]}, 403, "API key tester is not for namespace work, which is served here"),
    ],
)
def test_a_key_that_is_not_good_here(
    stranger: TestClient, keys: KeyRing, members: dict[str, Any], status: int, detail: str
) -> None:
    keys.replace(dict([record(KEY, **members)]))
    answer = stranger.get("/api/v1/tasks", headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ([], "API key tester was removed"),
        ([record(KEY, revoked=True)], "API key tester was revoked"),
        ([record(KEY, agent_types=["infra"])], "API key tester was changed"),
    ],
)
def test_an_open_websocket_ends_with_its_key(
    client: TestClient, parts: Dependencies, after: list[tuple[str, bytes]], reason: str
) -> None:
    parts.task_cache.replace([task_record(task("t", 1, phase="Queued"))], 1)
    with client.websocket_connect("/api/v1/ws/t") as socket:
        socket.receive_json()

        async def change() -> None:
            assert parts.keys is not None
            parts.keys.replace(dict(after))

        assert client.portal is not None
        client.portal.call(change)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (4401, reason)
    assert parts.metrics.registry.get_sample_value("harebell_api_websockets") == 0
    assert parts.task_cache._subscriptions == {}


async def test_an_answer_that_goes_on_ends_with_its_key(keys: KeyRing) -> None:
    shown: asyncio.Queue[Message] = asyncio.Queue()
    cancelled = asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def receive() -> Message:
        return await asyncio.Queue[Message]().get()

    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    answering = asyncio.ensure_future(AuthMiddleware(stream, Door(keys), [])(scope, receive, shown.put))
    async with asyncio.timeout(5):
        assert [(await shown.get())["type"] for _ in range(2)][-1] == "http.response.body"
        keys.replace(dict([record(KEY, revoked=True)]))
        await answering
    assert shown.get_nowait() == {"type": "http.response.body", "body": b"", "more_body": False}
    assert cancelled.is_set()


async def test_who_stops_the_server_stops_an_answer_that_goes_on(keys: KeyRing) -> None:
    begun = asyncio.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        begun.set()
        await asyncio.Event().wait()

    async def nothing(*_: Any) -> Any: ...

    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    answering = asyncio.ensure_future(AuthMiddleware(stream, Door(keys), [])(scope, nothing, nothing))
    async with asyncio.timeout(5):
        await begun.wait()
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
