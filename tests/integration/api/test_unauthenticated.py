"""Whoever has no valid key gets 401 and nothing else, whatever the path, the method and the way."""

import itertools
from collections import Counter
from typing import Any

import httpx2
import pytest
from tests.support.api import EXPIRED, KEY, REVOKED, Api
from tests.support.openapi import operations
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

CREDENTIALS: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"Authorization": ""},
    "scheme alone": {"Authorization": "Bearer"},
    "no scheme": {"Authorization": KEY},
    "another scheme": {"Authorization": f"Basic {KEY}"},
    "garbage": {"Authorization": "Bearer garbage-0123456789"},
    "a part": {"Authorization": f"Bearer {KEY[:-1]}"},
    "more": {"Authorization": f"Bearer {KEY}0"},
    "other case": {"Authorization": f"Bearer {KEY.upper()}"},
    "twice": {"Authorization": f"Bearer {KEY} {KEY}"},
    "quoted": {"Authorization": f'Bearer "{KEY}"'},
    "long": {"Authorization": "Bearer " + "x" * 8000},
    "revoked": {"Authorization": f"Bearer {REVOKED}"},
    "expired": {"Authorization": f"Bearer {EXPIRED}"},
    "a token where none are taken": {"Authorization": "Bearer aaaa.bbbb.cccc"},
    "elsewhere": {"X-Api-Key": KEY, "Cookie": f"key={KEY}"},
}
"""Headers by what is wrong with them; a row more is tried everywhere."""

PATHS = sorted(
    {(method, path.format(task_id="unknown", name="unknown")) for method, path, _ in operations()}
    | {
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/ws"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/"),
        ("PUT", "/api/v1/tasks"),
        ("OPTIONS", "/api/v1/tasks"),
        ("POST", "/api/v1/dispatch/"),
        ("GET", "//api/v1/tasks"),
        ("GET", "/healthz/"),
        ("GET", "/healthz/../api/v1/tasks"),
    }
)
TRIED: Counter[str] = Counter()
"""Requests and handshakes, by what became of them."""
SOCKETS = ("/ws?task_id=unknown", "/ws/unknown", "/ws", "/nothing")


@pytest.mark.parametrize("wrong", CREDENTIALS)
def test_requests(api: Api, wrong: str) -> None:
    with httpx2.Client(base_url=api.http.base_url, trust_env=False, timeout=30) as http:
        for (method, path), body in itertools.product(PATHS, (None, b"{", b'{"agentType": "text"}')):
            answer = http.request(
                method,
                path,
                content=body if method in ("POST", "PATCH", "PUT") else None,
                headers={"Content-Type": "application/json", **CREDENTIALS[wrong]},
            )
            TRIED["refused" if answer.status_code >= 400 else "let in"] += 1
            found = (answer.status_code, answer.headers.get("content-type"))
            assert found == (401, "application/problem+json"), (method, path)
            assert answer.json()["type"].endswith("/unauthenticated")
            assert answer.headers["www-authenticate"].startswith('Bearer realm="harebell"')
            assert KEY not in answer.text


def test_a_header_that_is_no_ascii(api: Api) -> None:
    with httpx2.Client(base_url=api.http.base_url, trust_env=False, timeout=30) as http:
        for value in (
            b"Bearer \xff\xfe\xe2\x82\xac",
            b"\xff",
            KEY.encode() + b"\xff",
            b"Bearer " + KEY.encode() + b"\xff",
        ):
            assert http.get("/api/v1/tasks", headers={b"Authorization": value}).status_code == 401


def test_a_key_in_the_url_is_none(api: Api) -> None:
    with httpx2.Client(base_url=api.http.base_url, trust_env=False, timeout=30) as http:
        for name in ("key", "api_key", "access_token", "authorization"):
            assert http.get("/api/v1/tasks", params={name: KEY}).status_code == 401


@pytest.mark.parametrize("wrong", CREDENTIALS)
async def test_handshakes(api: Api, wrong: str) -> None:
    root = api.ws.removesuffix("/ws")
    for path in SOCKETS:
        with pytest.raises(InvalidStatus) as refused:
            await connect(root + path, additional_headers=CREDENTIALS[wrong], proxy=None)
        TRIED["refused"] += 1
        assert refused.value.response.status_code == 401, path
        assert refused.value.response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "protocols", [["harebell.v1"], ["harebell.v1", "bearer."], ["bearer.garbage-0123456789"], [KEY]]
)
async def test_subprotocols(api: Api, protocols: list[Any]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{api.ws}?task_id=unknown", subprotocols=protocols, proxy=None)
    assert refused.value.response.status_code == 401


def test_nobody_was_let_in() -> None:
    print(f"{TRIED.total()} requests and handshakes without a good key, {TRIED['let in']} bypasses")
    assert not TRIED["let in"]
