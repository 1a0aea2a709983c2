"""What happened to Tasks, asked of the API, out of the archive that the archiver fills."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import pytest
from tests.support.api import KEY, Api, running
from tests.support.keys import record, write
from tests.support.kubectl import Kubectl
from tests.support.openapi import validate_answer
from tests.support.release import manifest
from tests.support.servers import Vhost
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

from harebell_bus.topology import REPLIES_EXCHANGE

from .conftest import PASSWORD, Archive, Archivers, reader_url

KIND = "told"
SECRET = "a-secret-of-the-payload"
PATH = "/api/v1/history"


def pages(api: Api, path: str, template: str, **query: Any) -> list[dict[str, Any]]:
    """Return everything that is listed, read page by page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = api.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        validate_answer("GET", template, 200, document)
        found += document["items"]
        if document["nextCursor"] is None:
            return found
        assert len(document["items"]) == query["limit"]
        query["cursor"] = document["nextCursor"]


def messages(api: Api, task_id: str) -> list[dict[str, Any]]:
    return pages(api, f"{PATH}/{task_id}", "/api/v1/history/{task_id}", limit=2)


def kinds(api: Api, task_id: str) -> list[str]:
    answer = api.http.get(f"{PATH}/{task_id}")
    return [m["kind"] for m in answer.json()["items"]] if answer.status_code == 200 else []


def names(api: Api, **query: Any) -> list[str]:
    return [t["name"] for t in pages(api, PATH, PATH, **{"limit": 100, **query})]


@pytest.mark.timeout(300)
async def test_what_happened_is_told(
    archivers: Archivers, kubectl: Kubectl, api: Api, database: Archive, tmp_path: Path, vhost: Vhost
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    archivers.processes.operator()
    archivers.start(HAREBELL_READER_PASSWORD_FILE=str(password))
    archivers.processes.agent(f"{KIND}-1", KIND)
    begun = datetime.now(UTC) - timedelta(minutes=1)

    secret = {"said": SECRET, "nothing": "\0"}
    kubectl.apply(
        manifest("stays", KIND, "sleep", payload={"seconds": 2}, idempotencyKey="private-key"),
        manifest(
            "fails", KIND, "sleep", payload={"seconds": "x", "note": SECRET}, retryPolicy={"maxRetries": 0}
        ),
        manifest("odd", KIND, "echo", payload={"text": "\0"}),
        manifest("waits", "nobody", "echo", payload=secret, cancel="Graceful"),
    )
    kubectl("label", "task", "stays", "team=web")
    kubectl("label", "task", "fails", "team=db", "tier=1")
    until("it to be done", lambda: all_in("Succeeded", kubectl, ["stays", "odd"]), 90)
    until("it to have failed", lambda: statuses(kubectl)["fails"].get("completedAt"), 90)
    until("it to be cancelled", lambda: all_in("Cancelled", kubectl, ["waits"]), 90)

    # Of a Task that is there, with every attempt, in order.
    uid = kubectl.get("task", "stays")["metadata"]["uid"]
    until("its outcome in the archive", lambda: "Succeeded" in kinds(api, "stays"), 90)
    told = messages(api, "stays")
    assert [m["kind"] for m in told if m["kind"] not in ("Progressed", "Checkpointed")] == [
        "Work",
        "Started",
        "Succeeded",
    ]
    assert "Checkpointed" in [m["kind"] for m in told]
    assert [m["time"] for m in told] == sorted(m["time"] for m in told)
    assert len({m["id"] for m in told}) == len(told)
    assert {m["agentName"] for m in told[1:]} == {f"{KIND}-1"}
    assert {m["content"]["task"]["uid"] for m in told} == {uid}
    assert messages(api, uid) == told
    # What jsonb cannot hold is told of without its content.
    until("the odd one", lambda: "Succeeded" in kinds(api, "odd"), 90)
    assert next(m for m in messages(api, "odd") if m["kind"] == "Succeeded")["content"] is None

    # Somebody else calls something a record.
    forged = {
        "kind": "Removed",
        "task": {"namespace": kubectl.namespace, "name": "forged", "uid": "u-forged"},
    }
    async with await aio_pika.connect(vhost.agent_url(KIND)) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(REPLIES_EXCHANGE, ensure=False)
        await exchange.publish(aio_pika.Message(json.dumps(forged).encode()), routing_key="")

    kubectl("delete", "task", "stays", "fails", "odd", "waits")
    until("all of them recorded", lambda: len(names(api)) == 3, 90)
    # The record of the odd one is no JSON to the database either: it is found by name, and in no list.
    until("the odd one", lambda: "Removed" in kinds(api, "odd") and status(api, "odd") == "Succeeded", 90)
    assert kinds(api, "stays")[-1] == "Removed"
    assert messages(api, uid)[:-1] == told
    shown = {t["name"]: t for t in pages(api, PATH, PATH, limit=1)}
    assert list(shown) == names(api)
    assert {name: t["phase"] for name, t in shown.items()} == {
        "stays": "Succeeded",
        "fails": "Failed",
        "waits": "Cancelled",
    }
    assert names(api, label_selector="team") == [n for n in shown if n in ("stays", "fails")]
    assert names(api, label_selector="team=web") == ["stays"]
    assert names(api, label_selector="team!=web,tier in (1,2)") == ["fails"]
    assert names(api, label_selector="!team") == ["waits"]
    assert names(api, phase="succeeded") == ["stays"]
    assert names(api, phase=["cancelled", "running"]) == ["waits"]
    assert names(api, agent_type="nobody") == ["waits"]
    assert names(api, **{"from": begun.isoformat()}) == list(shown)
    assert names(api, to=begun.isoformat()) == []
    middle = list(shown.values())[1]["removedAt"]
    assert names(api, to=middle) == [n for n, t in shown.items() if t["removedAt"] < middle]
    assert names(api, **{"from": middle}) == [n for n, t in shown.items() if t["removedAt"] >= middle]

    # Neither a payload nor a client's key is told to anybody.
    everything = json.dumps([shown, *(messages(api, name) for name in shown)])
    for private in (SECRET, "private-key"):
        assert private not in everything
    assert await database.rows("SELECT 1 FROM harebell.messages WHERE body::text LIKE $1", f"%{SECRET}%")
    forgeries = await database.rows("SELECT kind FROM harebell.messages WHERE task_name = 'forged'")
    assert {row["kind"] for row in forgeries} == {"Removed"}  # the operator has buried it, too
    assert api.http.get(f"{PATH}/forged").status_code == 404
    assert api.http.get("/api/v1/status/forged").status_code == 404
    await only_reads(database)


def status(api: Api, name: str) -> str | None:
    answer = api.http.get(f"/api/v1/status/{name}")
    return str(answer.json()["phase"]) if answer.status_code == 200 else None


async def only_reads(database: Archive) -> None:
    """Whoever reads may read the views and nothing else."""
    reader = await asyncpg.connect(reader_url(database.url), timeout=20)
    try:
        assert await reader.fetchval("SELECT count(*) FROM harebell.task_messages") > 0
        assert not await reader.fetch(
            "SELECT 1 FROM harebell.task_messages WHERE body::text LIKE $1", f"%{SECRET}%"
        )
        for statement in ("SELECT 1 FROM harebell.messages", "DELETE FROM harebell.task_messages"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)
    finally:
        await reader.close(timeout=5)


def test_while_the_archive_is_away(
    kubeconfig: Path, namespace: str, tmp_path: Path, kubectl: Kubectl
) -> None:
    keys = tmp_path / "keys"
    write(keys, record(KEY))
    kubectl.apply(manifest("here", "nobody", "echo"))
    nowhere = "postgresql://harebell_reader:x@127.0.0.1:9/none"
    with running(kubeconfig, namespace, keys, HAREBELL_ARCHIVE_URL=nowhere) as api:
        for path in (PATH, f"{PATH}/here", f"{PATH}/never-was"):
            answer = api.http.get(path)
            assert answer.status_code == 503
            assert answer.json()["type"].endswith("/unavailable")
            assert answer.headers["retry-after"]
        assert api.http.get("/api/v1/status/here").status_code == 200
