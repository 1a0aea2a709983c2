"""The API against the real API server. The tests themselves play the operator: they write status."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.api import AUTH, KEY, Api, running
from tests.support.keys import key, record, write
from tests.support.kubectl import Kubectl
from tests.support.waiting import until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harebell_crds import API_VERSION
from harebell_crds.task import MAX_PAYLOAD_BYTES

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}


def _dispatch(api: Api, key: str | None = None, **changed: Any) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.http.post("/api/v1/dispatch", json={**BASE, **changed}, headers=headers)


def _set_status(kubectl: Kubectl, kind: str, name: str, **status: Any) -> None:
    patch = json.dumps({"status": status})
    kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def _kind_of_problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def test_a_task_is_made_as_asked_for(api: Api, kubectl: Kubectl) -> None:
    payload = {"null": None, "nested": {"null": None, "list": [None, 1.5, "\u20ac"]}, "snake_case": True}
    answer = _dispatch(api, payload=payload, priority="high", labels={"team": "web"}, generateName="made-")
    assert answer.status_code == 202
    task_id = answer.json()["taskId"]
    assert task_id.startswith("made-")
    stored = kubectl.get("task", task_id)
    assert stored["spec"]["payload"] == payload
    assert stored["spec"]["priority"] == "high"
    assert stored["metadata"]["labels"] == {"team": "web"}
    found = api.http.get(answer.headers["location"])
    assert (found.status_code, found.json()["uid"]) == (200, stored["metadata"]["uid"])
    assert api.http.get(f"/api/v1/status/{stored['metadata']['uid']}").json()["taskId"] == task_id


def test_the_largest_integers_are_kept_and_the_request_is_known_again(api: Api, kubectl: Kubectl) -> None:
    payload = {"most": 2**63 - 1, "least": -(2**63), "float": 1e300, "text": str(2**64)}
    task_id = _dispatch(api, "integers", payload=payload).json()["taskId"]
    assert kubectl.get("task", task_id)["spec"]["payload"] == payload
    again = _dispatch(api, "integers", payload=payload)
    assert (again.status_code, again.json()["taskId"]) == (202, task_id)
    # What Kubernetes would round, and so could not be compared either.
    assert _kind_of_problem(_dispatch(api, payload={"more": 2**63})) == (422, "invalid")


def test_the_largest_payload(api: Api, kubectl: Kubectl) -> None:
    text = "\u20ac" * ((MAX_PAYLOAD_BYTES - len('{"a":""}')) // 3)
    task_id = _dispatch(api, payload={"a": text}).json()["taskId"]
    assert kubectl.get("task", task_id)["spec"]["payload"] == {"a": text}
    assert _kind_of_problem(_dispatch(api, payload={"a": text + "xxx"})) == (413, "too-large")


def test_one_key_one_task_however_many_ask_at_once(api: Api, kubectl: Kubectl) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: _dispatch(api, "at once", payload={"a": None}), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["uid"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert _kind_of_problem(_dispatch(api, "at once", payload={"a": 1})) == (422, "idempotency-key-reused")
    made = [task for task in kubectl.items("tasks") if task["spec"].get("idempotencyKey") == "at once"]
    assert [task["metadata"]["name"] for task in made] == [answers[0].json()["taskId"]]


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [({"labels": {"team": "not a label value"}}, "/labels"), ({"labels": {"-": "x"}}, "/labels")],
)
def test_what_kubernetes_refuses(api: Api, changed: dict[str, Any], pointer: str) -> None:
    answer = _dispatch(api, **changed)
    assert _kind_of_problem(answer) == (422, "invalid")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_names_are_taken_once(api: Api) -> None:
    assert _dispatch(api, name="taken").status_code == 202
    assert _kind_of_problem(_dispatch(api, name="taken")) == (409, "already-exists")


def test_cancel(api: Api, kubectl: Kubectl) -> None:
    task_id = _dispatch(api).json()["taskId"]
    for body, shown in [(None, "Graceful"), ({"mode": "Immediate"}, "Immediate"), ({}, "Immediate")]:
        answer = api.http.post(f"/api/v1/cancel/{task_id}", json=body)
        assert (answer.status_code, answer.json()["cancel"]) == (202, shown)
        assert kubectl.get("task", task_id)["spec"]["cancel"] == shown
    _set_status(kubectl, "task", task_id, phase="Cancelled")
    assert _kind_of_problem(api.http.post(f"/api/v1/cancel/{task_id}")) == (409, "task-finished")
    assert _kind_of_problem(api.http.post("/api/v1/cancel/unknown")) == (404, "not-found")


async def _receive(socket: ClientConnection, until_phase: str) -> dict[str, Any]:
    """Return the first message that shows the phase."""
    async for text in socket:
        message: dict[str, Any] = json.loads(text)
        if message["task"]["phase"] == until_phase:
            return message
    raise AssertionError(f"closed with {socket.close_code} before {until_phase}")


async def test_a_task_made_with_kubectl_is_followed_to_its_end(api: Api, kubectl: Kubectl) -> None:
    manifest = {"apiVersion": API_VERSION, "kind": "Task", "metadata": {"name": "followed"}, "spec": BASE}
    await asyncio.to_thread(kubectl.apply, manifest)
    async with connect(f"{api.ws}?task_id=followed", additional_headers=AUTH, proxy=None) as socket:
        first = json.loads(await socket.recv())
        assert (first["type"], first["task"]["phase"]) == ("snapshot", "Pending")
        progress = {"percent": 10, "message": "reading"}
        await asyncio.to_thread(
            _set_status, kubectl, "task", "followed", phase="Running", attempt=1, progress=progress
        )
        assert (await _receive(socket, "Running"))["task"]["progress"] == progress
        result = {"big": "x" * 50_000}
        await asyncio.to_thread(_set_status, kubectl, "task", "followed", phase="Succeeded", result=result)
        last = await _receive(socket, "Succeeded")
        assert last["task"]["result"] == result
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert (socket.close_code, socket.close_reason) == (1000, "the Task has finished: Succeeded")
    shown = (await asyncio.to_thread(api.http.get, "/api/v1/status/followed")).json()
    assert shown == {**last["task"], "queue": None}


async def test_a_deleted_task(api: Api, kubectl: Kubectl) -> None:
    task_id = (await asyncio.to_thread(_dispatch, api)).json()["taskId"]
    async with connect(f"{api.ws}/{task_id}", additional_headers=AUTH, proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "snapshot"
        await asyncio.to_thread(kubectl, "delete", "task", task_id)
        assert json.loads(await socket.recv())["type"] == "deleted"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert (socket.close_code, socket.close_reason) == (1000, "the Task was deleted")
    assert (await asyncio.to_thread(api.http.get, f"/api/v1/status/{task_id}")).status_code == 404


async def test_websocket_handshakes(api: Api) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{api.ws}?task_id=t", proxy=None)
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["content-type"] == "application/problem+json"
    with pytest.raises(InvalidStatus) as misspelt:
        await connect(f"{api.ws}?taskid=t", additional_headers=AUTH, proxy=None)
    assert misspelt.value.response.status_code == 422
    offered: list[Any] = ["harebell.v1", f"bearer.{KEY}"]
    async with connect(f"{api.ws}?task_id=unknown", subprotocols=offered, proxy=None) as socket:
        assert socket.subprotocol == "harebell.v1"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert (socket.close_code, socket.close_reason) == (4404, "there is no Task unknown")


def test_agents(api: Api, kubectl: Kubectl) -> None:
    metadata, spec = {"name": "a"}, {"type": "infra"}
    kubectl.apply({"apiVersion": API_VERSION, "kind": "Agent", "metadata": metadata, "spec": spec})
    _set_status(
        kubectl,
        "agent",
        "a",
        phase="Online",
        version="1.2",
        lastHeartbeatTime="2026-01-01T00:00:00Z",
        capabilities={"actions": ["deploy"]},
        resources={"cpu": {"cores": 4, "utilizationPercent": 1}, "gpusReason": "no driver"},
    )
    # Nothing tells when the watch has brought the change: ask until it has.
    found = _until(lambda: api.http.get("/api/v1/agents?agent_type=infra&status=online").json()["items"])
    assert [a["name"] for a in found] == ["a"]
    assert (found[0]["status"], found[0]["actions"], found[0]["version"]) == ("Online", ["deploy"], "1.2")
    assert found[0]["resources"]["gpus"] is None
    assert found[0]["resources"]["gpusReason"] == "no driver"
    assert api.http.get("/api/v1/agents?status=offline").json()["items"] == []


def _until(ask: Any) -> Any:
    """Ask until there is an answer; the test's own timeout bounds it."""
    while not (answer := ask()):
        pass
    return answer


def test_lists(api: Api) -> None:
    made = [_dispatch(api, labels={"suite": "lists"}).json()["taskId"] for _ in range(5)]
    shown: list[str] = []
    query: dict[str, str | int] = {"label_selector": "suite=lists", "limit": 2}
    while True:
        page = api.http.get("/api/v1/tasks", params=query).json()
        shown += [item["taskId"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert sorted(shown) == sorted(made)
    assert len(shown) == len(set(shown))


def test_keys_rotate_while_it_runs(kubeconfig: Path, namespace: str, tmp_path: Path) -> None:
    new = key("rotated", "1")
    folder = write(tmp_path / "keys", record(KEY))

    def status(shown: str) -> int:
        return api.http.get("/api/v1/tasks", headers={"Authorization": f"Bearer {shown}"}).status_code

    with running(kubeconfig, namespace, folder) as api:
        assert (status(KEY), status(new)) == (200, 401)
        write(folder, record(new))
        until("both keys to be good", lambda: (status(KEY), status(new)) == (200, 200), 10)
        (folder / "integration").unlink()
        until("the new key alone to be good", lambda: (status(KEY), status(new)) == (401, 200), 10)


async def test_it_stops_in_order(kubeconfig: Path, namespace: str, key_folder: Path) -> None:
    with running(kubeconfig, namespace, key_folder) as api:
        task_id = (await asyncio.to_thread(_dispatch, api)).json()["taskId"]
        async with connect(f"{api.ws}/{task_id}", additional_headers=AUTH, proxy=None) as socket:
            await socket.recv()
            stopped = asyncio.ensure_future(asyncio.to_thread(api.stop))
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1012
        assert await stopped == 0


def test_a_quota_is_a_403(api: Api, kubectl: Kubectl) -> None:
    """The last one: the quota stays until the namespace goes."""
    quota = {"hard": {"count/tasks.harebell.dev": "1"}}
    kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": quota})
    refused = _until(lambda: a if (a := _dispatch(api)).status_code != 202 else None)
    assert _kind_of_problem(refused) == (403, "forbidden")
