"""REST and WebSocket through the ingress."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from tests.support.release import Release
from tests.support.waiting import until
from websockets.exceptions import ConnectionClosed, InvalidStatus


def test_dispatch_status_cancel(release: Release) -> None:
    answer = release.rest(
        "POST", "/api/v1/dispatch", {"agentType": "text", "action": "sleep", "payload": {"seconds": 300}}
    )
    assert answer.status == 202
    task_id = answer.body["taskId"]
    assert answer.headers["location"] == f"/api/v1/status/{task_id}"
    status = release.rest("GET", f"/api/v1/status/{task_id}")
    assert (status.status, status.body["agentType"]) == (200, "text")
    assert release.rest("POST", f"/api/v1/cancel/{task_id}", {"mode": "Immediate"}).status == 202
    assert release.finished(task_id)["phase"] == "Cancelled"
    assert release.rest("POST", f"/api/v1/cancel/{task_id}").status == 409


def test_the_same_idempotency_key_gives_the_same_task(release: Release) -> None:
    body = {"agentType": "text", "action": "echo", "payload": {"n": 1}}
    headers = {"Idempotency-Key": "e2e-1"}
    first = release.rest("POST", "/api/v1/dispatch", body, **headers)
    assert release.rest("POST", "/api/v1/dispatch", body, **headers).body["taskId"] == first.body["taskId"]
    other = release.rest("POST", "/api/v1/dispatch", body | {"action": "sleep"}, **headers)
    assert 400 <= other.status < 500
    assert other.headers["content-type"].startswith("application/problem+json")


def test_agents_can_be_filtered(release: Release) -> None:
    body = release.rest("GET", "/api/v1/agents?agent_type=infra&status=online").body
    assert {a["type"] for a in body["items"]} == {"infra"}
    assert release.rest("GET", "/api/v1/agents?agent_type=nobody").body["items"] == []


@pytest.mark.parametrize("key", ["", "wrong", "x" * 40])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/dispatch"),
        ("GET", "/api/v1/status/any"),
        ("GET", "/api/v1/agents"),
        ("GET", "/api/v1/tasks"),
        ("POST", "/api/v1/cancel/any"),
    ],
)
def test_nothing_without_a_key(release: Release, method: str, path: str, key: str) -> None:
    answer = release.rest(method, path, {} if method == "POST" else None, key=key)
    assert answer.status == 401
    assert answer.body["status"] == 401


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_the_ingress_serves_the_api_only(release: Release, path: str) -> None:
    assert release.rest("GET", path).status == 404


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"action": "echo"}, "agentType"),
        ({"agentType": "text", "action": "echo", "priority": "urgent"}, "priority"),
        ({"agentType": "text", "action": "echo", "pirority": "low"}, "pirority"),
    ],
)
def test_bad_requests_name_the_field(release: Release, body: dict[str, Any], named: str) -> None:
    answer = release.rest("POST", "/api/v1/dispatch", body)
    assert answer.status == 422
    assert named in json.dumps(answer.body)


async def test_live_status(release: Release) -> None:
    body = {"agentType": "text", "action": "sleep", "payload": {"seconds": 8}}
    task_id = release.rest("POST", "/api/v1/dispatch", body).body["taskId"]
    messages = []
    async with release.socket(task_id) as socket:
        async for line in socket:
            messages.append(json.loads(line))
    assert messages[0]["type"] == "snapshot"
    phases = [m["task"]["phase"] for m in messages if m.get("task")]
    assert "Running" in phases
    assert phases[-1] == "Succeeded"


async def test_no_socket_without_a_key(release: Release) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with release.socket("any", key="wrong"):
            pass
    assert refused.value.response.status_code in (401, 403)


async def test_a_key_that_is_revoked_ends_what_it_began(release: Release) -> None:
    def keys(*arguments: str) -> str:
        line = [sys.executable, "-m", "harebell_cli", "keys", *arguments]
        where = ["-n", release.kubectl.namespace, "--release", release.name]
        environment = {**os.environ, "KUBECONFIG": str(release.kubectl.cluster.kubeconfig)}
        return subprocess.run(
            [*line, *where], env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60
        ).stdout.strip()

    def status(method: str = "GET", path: str = "/api/v1/agents") -> int:
        return release.rest(method, path, body if method == "POST" else None, key=made).status

    body = {"agentType": "text", "action": "sleep", "payload": {"seconds": 300}}
    made = keys("create", "--name", "e2e", "--scope", "read", "--agent-type", "text")
    until("the key to be known", lambda: status() == 200, 10)
    assert status("POST", "/api/v1/dispatch") == 403
    task_id = release.rest("POST", "/api/v1/dispatch", body).body["taskId"]
    async with release.socket(task_id, key=made) as socket:
        await socket.recv()
        await asyncio.to_thread(keys, "revoke", "e2e")
        async with asyncio.timeout(10):
            with suppress(ConnectionClosed):
                async for _ in socket:
                    pass
        assert socket.close_code == 4401
    assert status() == 401
    release.rest("POST", f"/api/v1/cancel/{task_id}", {"mode": "Immediate"})
