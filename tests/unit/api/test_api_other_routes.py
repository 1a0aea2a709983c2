import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.kube import Kind
from harebell_api.records import agent_record

from .fakes import FakeStore, agent


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["a", "b"]),
        ("?agent_type=infra&status=online", ["b"]),
        ("?status=BUSY", ["a"]),
        ("?status=busy&status=Online", ["a", "b"]),
        ("?status=offline", []),
        ("?agent_type=text&agent_type=infra", ["a", "b"]),
    ],
)
def test_agents(
    client: TestClient, parts: Dependencies, store: FakeStore, query: str, names: list[str]
) -> None:
    parts.agent_cache.replace(
        [
            agent_record(agent("b", type="infra", status={"phase": "Online"})),
            agent_record(agent("a", type="text", status={"phase": "Busy"})),
        ],
        1,
    )
    answer = client.get(f"/api/v1/agents{query}")
    assert [item["name"] for item in answer.json()["items"]] == names
    assert store.calls == []


@pytest.mark.parametrize("query", ["status=asleep", "agentType=x"])
def test_wrong_parameters_of_agents(client: TestClient, query: str) -> None:
    assert client.get(f"/api/v1/agents?{query}").status_code == 422


def test_ready_when_all_caches_are_fresh(client: TestClient, parts: Dependencies) -> None:
    assert client.get("/readyz").status_code == 503
    parts.task_cache.replace([], 1)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert "agents" in answer.json()["detail"]
    parts.agent_cache.replace([], 1)
    assert "announcements" in client.get("/readyz").json()["detail"]
    parts.announcement_cache.replace([], 1)
    assert client.get("/readyz").status_code == 200


def test_metrics(client: TestClient, parts: Dependencies) -> None:
    parts.agent_cache.replace([agent_record(agent("a"))], 1)
    parts.metrics.watch_restarted(Kind.TASKS, "gone")
    client.get("/api/v1/status/unknown")
    client.get("/api/v1/nothing/1")
    client.get("/api/v1/nothing/2")
    client.request("BREW", "/api/v1/tasks")
    text = client.get("/metrics").text
    for line in (
        'harebell_api_requests_total{method="GET",route="/api/v1/status/{task_id}",status="404"} 1.0',
        'harebell_api_requests_total{method="GET",route="unknown",status="404"} 2.0',
        'harebell_api_requests_total{method="other",route="/api/v1/tasks",status="405"} 1.0',
        'harebell_api_request_seconds_count{method="GET",route="/api/v1/status/{task_id}"} 1.0',
        'harebell_api_watch_restarts_total{kind="tasks",reason="gone"} 1.0',
        'harebell_api_cached_objects{kind="agents"} 1.0',
        'harebell_api_cache_fresh{kind="agents"} 1.0',
        'harebell_api_cache_fresh{kind="tasks"} 0.0',
        "harebell_api_websockets 0.0",
        "harebell_api_keys_usable 1.0",
        "harebell_api_keys_fresh 1.0",
    ):
        assert line in text.splitlines()


@pytest.fixture
def openapi(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/v1/openapi.json").json()
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_operations_have_stable_ids(openapi: dict[str, Any]) -> None:
    found = {
        f"{method.upper()} {path.removeprefix('/api/v1')}": operation["operationId"]
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }
    assert found == {
        "POST /dispatch": "dispatchTask",
        "POST /dispatch/batch": "dispatchTasks",
        "GET /status/{task_id}": "getTask",
        "GET /tasks": "listTasks",
        "PATCH /tasks/{task_id}": "prioritizeTask",
        "POST /cancel/{task_id}": "cancelTask",
        "POST /suspend/{task_id}": "suspendTask",
        "POST /resume/{task_id}": "resumeTask",
        "POST /replay/{task_id}": "replayTask",
        "POST /replay": "replayTasks",
        "GET /agents": "listAgents",
        "GET /agents/{name}": "getAgent",
        "POST /agents/{name}/pause": "pauseAgent",
        "POST /agents/{name}/resume": "resumeAgent",
        "POST /agents/{name}/drain": "drainAgent",
        "POST /agents/{name}/undrain": "undrainAgent",
        "GET /announcements": "listAnnouncements",
        "GET /announcements/{name}": "getAnnouncement",
        "POST /announcements": "makeAnnouncement",
        "DELETE /announcements/{name}": "deleteAnnouncement",
        "GET /history": "listHistory",
        "GET /history/{task_id}": "getHistory",
        "GET /queues": "listQueues",
        "GET /events": "followTasks",
    }


def test_every_operation_declares_its_problems(openapi: dict[str, Any]) -> None:
    for path, operation in _operations(openapi):
        failures = {status: r for status, r in operation["responses"].items() if int(status) >= 400}
        assert {"401", "414", "431", "500"} <= set(failures), path
        for status, response in failures.items():
            assert response == {"$ref": f"#/components/responses/Problem{status}"}, path
    for response in openapi["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


def test_the_document_is_complete(openapi: dict[str, Any]) -> None:
    assert openapi["security"] == [{"apiKey": []}]
    assert openapi["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    text = json.dumps(openapi)
    assert "x-kubernetes" not in text
    assert "HTTPValidationError" not in text
    schemas = openapi["components"]["schemas"]
    references = set(_references(openapi))
    shared = openapi["components"]["responses"]
    assert references == {
        *(f"#/components/responses/{name}" for name in shared),
        *(f"#/components/schemas/{name}" for name in schemas if name != "StreamMessage"),
    }
    assert "StreamMessage" in schemas
    assert "cancel" not in schemas["DispatchRequest"]["properties"]
    assert schemas["DispatchRequest"]["examples"]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
