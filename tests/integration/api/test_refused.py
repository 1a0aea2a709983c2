"""Who is let in, and may not: a key of another namespace, without the scope, or for other agent types.

On every route, the WebSocket and the event stream.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.api import ELSEWHERE, ONLY, OTHERS, Api, running
from tests.support.kubectl import Kubectl
from tests.support.openapi import operations
from tests.support.release import manifest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harebell_crds import API_VERSION
from harebell_crds.keys import Scope

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

NAME = "refused"
WORK = {"agentType": "text", "action": "echo"}
BODIES: dict[str, Any] = {
    "dispatchTask": WORK,
    "dispatchTasks": {"tasks": [WORK]},
    "prioritizeTask": {"priority": "high"},
    "replayTasks": {"agentTypes": ["text"]},
    "makeAnnouncement": {"kind": "Notice", "agentSelector": {"types": ["text"]}},
}
OPERATIONS = {
    operation["operationId"]: (method, path.format(task_id=NAME, name=NAME))
    for method, path, operation in operations()
}
NAMED = [operation for operation, (_, path) in OPERATIONS.items() if NAME in path]
LISTS = [operation for operation in OPERATIONS if operation.startswith("list")]
TRIED: Counter[str] = Counter()
"""Requests, by what became of them."""
SOCKETS = ("/ws", f"/ws?task_id={NAME}", f"/ws/{NAME}", "/ws?agent_type=text")


def needed(method: str, path: str) -> Scope:
    """Return the scope that an operation asks for."""
    match method, path.split("/")[3]:
        case "GET", _:
            return Scope.READ
        case _, "dispatch" | "replay":
            return Scope.DISPATCH
        case _, "cancel" | "suspend" | "resume" | "tasks":
            return Scope.CANCEL
        case _:
            return Scope.ADMIN


def bearer(shown: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shown}"}


@pytest.fixture(scope="module")
def seeded(
    kubeconfig: Path, namespace: str, key_folder: Path, archive_url: str, kubectl: Kubectl
) -> Iterator[Api]:
    """An API with an archive, and a Task, an Agent and an Announcement for agents of type text."""
    agent = {"kind": "Agent", "spec": {"type": "text"}}
    announcement = {"kind": "Announcement", "spec": {"kind": "Notice", "agentSelector": {"types": ["text"]}}}
    made = ({"apiVersion": API_VERSION, "metadata": {"name": NAME}, **each} for each in (agent, announcement))
    kubectl.apply(manifest(NAME), *made)
    with running(kubeconfig, namespace, key_folder, HAREBELL_ARCHIVE_URL=archive_url) as api:
        for path in ("status", "agents", "announcements"):
            answer = api.http.get(f"/api/v1/{path}/{NAME}")
            assert answer.status_code == 200, answer.text
        yield api


def ask(api: Api, shown: str, operation: str, **query: str) -> httpx2.Response:
    method, path = OPERATIONS[operation]
    with httpx2.Client(base_url=api.http.base_url, trust_env=False, timeout=30) as http:
        body = BODIES.get(operation)
        return http.request(method, path, params=query, json=body, headers=bearer(shown))


def kind(answer: httpx2.Response) -> tuple[int, str]:
    """Return how a request was refused."""
    TRIED["refused" if answer.status_code >= 400 else "let in"] += 1
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def resources(kubectl: Kubectl) -> dict[str, str]:
    """Return the version of everything that a client may have changed."""
    return {
        f"{kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for kind in ("tasks", "agents", "announcements")
        for item in kubectl.items(kind)
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_key_of_another_namespace(seeded: Api, kubectl: Kubectl, operation: str) -> None:
    before = resources(kubectl)
    answer = ask(seeded, ELSEWHERE, operation)
    assert kind(answer) == (403, "scope-needed")
    assert kubectl.namespace in answer.json()["detail"]
    assert resources(kubectl) == before


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_key_without_the_scope(seeded: Api, kubectl: Kubectl, operation: str) -> None:
    wanted, before = needed(*OPERATIONS[operation]), resources(kubectl)
    for scope in set(Scope) - {wanted, Scope.ADMIN}:
        answer = ask(seeded, ONLY[scope], operation)
        assert kind(answer) == (403, "scope-needed"), scope
        assert answer.headers["www-authenticate"].endswith(f'scope="{wanted.value}"')
    assert resources(kubectl) == before


@pytest.mark.parametrize("operation", NAMED)
def test_what_is_of_another_type_does_not_exist(seeded: Api, kubectl: Kubectl, operation: str) -> None:
    before = resources(kubectl)
    assert kind(ask(seeded, OTHERS, operation)) == (404, "not-found")
    assert resources(kubectl) == before


@pytest.mark.parametrize("operation", LISTS)
def test_lists_hold_nothing_of_another_type(seeded: Api, operation: str) -> None:
    assert NAME in ask(seeded, ONLY[Scope.READ], operation).text or operation in ("listQueues", "listHistory")
    assert ask(seeded, OTHERS, operation).json()["items"] == []


def test_nothing_is_made_for_another_type(seeded: Api, kubectl: Kubectl) -> None:
    before = resources(kubectl)
    for operation in ("dispatchTask", "makeAnnouncement"):
        assert kind(ask(seeded, OTHERS, operation)) == (403, "scope-needed")
    (entry,) = ask(seeded, OTHERS, "dispatchTasks").json()["items"]
    assert (entry["status"], entry["task"]) == (403, None)
    assert ask(seeded, OTHERS, "replayTasks").json()["items"] == []
    assert resources(kubectl) == before


def test_every_operation_is_one_of_these() -> None:
    making = {"dispatchTask", "dispatchTasks", "makeAnnouncement", "replayTasks"}
    assert {*NAMED, *LISTS, *making, "followTasks"} == set(OPERATIONS)


def test_an_event_stream_of_another_type(seeded: Api) -> None:
    assert kind(ask(seeded, OTHERS, "followTasks", task_id=NAME)) == (404, "not-found")
    with (
        httpx2.Client(base_url=seeded.http.base_url, trust_env=False, timeout=30) as http,
        http.stream("GET", "/api/v1/events", headers=bearer(OTHERS)) as answer,
    ):
        events = (line for line in answer.iter_lines() if line.startswith("event: "))
        assert next(events) == "event: synced"


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("shown", [ELSEWHERE, ONLY[Scope.DISPATCH], ONLY[Scope.CANCEL]])
async def test_handshakes(seeded: Api, path: str, shown: str) -> None:
    root = seeded.ws.removesuffix("/ws")
    with pytest.raises(InvalidStatus) as refused:
        await connect(root + path, additional_headers=bearer(shown), proxy=None)
    assert refused.value.response.status_code == 403
    assert refused.value.response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_websocket_of_another_type(seeded: Api, path: str) -> None:
    root = seeded.ws.removesuffix("/ws")
    async with connect(root + path, additional_headers=bearer(OTHERS), proxy=None) as socket:
        if NAME in path:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4404, f"there is no Task {NAME}")
        else:
            assert json.loads(await socket.recv())["type"] == "synced"


def test_nobody_did_what_they_may_not() -> None:
    print(f"{TRIED.total()} requests with a key that is not enough, {TRIED['let in']} bypasses")
    assert not TRIED["let in"]
