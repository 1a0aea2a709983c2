"""How tests of the routes ask, and what they make of a refusal."""

from typing import Any

import httpx2
from starlette.testclient import TestClient

BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}


def dispatch(client: TestClient, key: str | None = None, **changed: Any) -> httpx2.Response:
    """Ask for a Task."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/api/v1/dispatch", json={**BASE, **changed}, headers=headers)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """Return the status and the type of a refusal, which must be a problem as RFC 9457 has it."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["instance"] == answer.request.url.path
    assert document["title"]
    assert document["detail"]
    return answer.status_code, document["type"].removeprefix("https://harebell.dev/problems/")
