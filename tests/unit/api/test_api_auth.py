import logging
import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from harebell_api.app import Dependencies, create_app
from harebell_api.auth import KeyFileError, KeyRing, parse_keys

from .fakes import KEY, FakeStore, task

OTHER = "fedcba9876543210"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (KEY, ["line-1"]),
        (f"ci:{KEY}\n\n# a comment\n{OTHER}\n", ["ci", "line-4"]),
        (f"ci:{KEY}\nci:{OTHER}", ["ci", "ci"]),
        (f"  ci: {KEY}  \r\n", ["ci"]),
        (f"{KEY}:{OTHER}", [KEY]),
    ],
)
def test_key_files(text: str, names: list[str]) -> None:
    assert [key.name for key in parse_keys(text)] == names


@pytest.mark.parametrize(
    "text", ["", "\n# nothing\n", "short", "ci:short", f"{KEY}\nshort", "ci:", "a key with spaces", "k" * 15]
)
def test_unusable_key_files(text: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        parse_keys(text)
    assert "short" not in str(caught.value)


def test_start_up_needs_the_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="key file"):
        KeyRing(tmp_path / "missing")


def test_rotation(key_file: Path) -> None:
    keys = KeyRing(key_file)
    assert (keys.owner(KEY), keys.owner(OTHER)) == ("tester", None)
    _replace(key_file, f"tester:{KEY}\nnew:{OTHER}\n")
    assert (keys.owner(KEY), keys.owner(OTHER)) == ("tester", "new")
    _replace(key_file, f"new:{OTHER}\n")
    assert (keys.owner(KEY), keys.owner(OTHER)) == (None, "new")


@pytest.mark.parametrize("content", ["", "short", None])
def test_a_file_that_became_unusable_changes_nothing(
    key_file: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    keys = KeyRing(key_file)
    if content is None:
        key_file.unlink()
    else:
        _replace(key_file, content)
    with caplog.at_level(logging.ERROR):
        assert keys.owner(KEY) == "tester"
    assert "old keys stay valid" in caplog.text
    _replace(key_file, f"new:{OTHER}\n")
    assert (keys.owner(KEY), keys.owner(OTHER)) == (None, "new")


def _replace(file: Path, content: str) -> None:
    """Replace the file as Kubernetes does: a new one in its place."""
    new = file.with_suffix(".new")
    new.write_text(content)
    os.replace(new, file)  # noqa: PTH105


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
