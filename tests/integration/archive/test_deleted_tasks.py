"""Tasks that are deleted, by their TTL or by hand, and still answered for out of the archive."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import asyncpg
import httpx2
import pytest
from tests.support.api import AUTH, KEY, Api, running
from tests.support.feed import Model
from tests.support.keys import record, write
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from tests.support.tasks import statuses
from tests.support.waiting import eventually, until
from websockets.asyncio.client import connect

from .conftest import PASSWORD, Archive, Archivers, reader_url

KIND = "gone"


def from_archive(api: Api, task_id: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        answer: httpx2.Response = api.http.get(f"/api/v1/status/{task_id}")
        document: dict[str, Any] = answer.json()
        return document if answer.status_code == 200 and document["source"] == "archive" else None

    return until(f"{task_id} answered for by the archive", found, 90)


async def deletions_archived(database: Archive, namespace: str, count: int) -> None:
    """Wait for the records of that many: until then the archive tells of a Task what its messages do."""
    recorded = "SELECT count(*) FROM harebell.task_history WHERE kind = 'Removed' AND task_namespace = $1"

    async def archived() -> bool:
        return bool((await database.rows(recorded, namespace))[0][0] >= count)

    await eventually("the deletions in the archive", archived, 60)


@pytest.mark.timeout(300)
async def test_deleted_tasks_are_answered_for(
    archivers: Archivers, kubectl: Kubectl, api: Api, database: Archive, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    archivers.processes.operator()
    archivers.start(HAREBELL_READER_PASSWORD_FILE=str(password))
    archivers.processes.agent(f"{KIND}-1", KIND)

    kubectl.apply(
        # echo answers with its payload.
        manifest("gone-done", KIND, "echo", payload={"said": [1, None]}, ttlSecondsAfterFinished=1),
        manifest("gone-cancelled", "nobody", "echo", cancel="Graceful", ttlSecondsAfterFinished=0),
        manifest("gone-by-hand", "nobody", "echo"),
    )
    by_hand = kubectl.get("task", "gone-by-hand")["metadata"]["uid"]
    until("it to wait", lambda: statuses(kubectl)["gone-by-hand"].get("phase") == "Queued", 60)
    kubectl("delete", "task", "gone-by-hand")
    until("all of them deleted", lambda: not statuses(kubectl), 90)
    await deletions_archived(database, kubectl.namespace, 3)

    done = from_archive(api, "gone-done")
    assert (done["phase"], done["attempt"], done["agentName"]) == ("Succeeded", 1, f"{KIND}-1")
    assert done["result"] == {"said": [1, None]}
    assert from_archive(api, done["uid"]) == done
    # The operator alone knew of this one's end; no message but its record tells of it.
    cancelled = from_archive(api, "gone-cancelled")
    assert (cancelled["phase"], cancelled["attempt"], cancelled["cancel"]) == ("Cancelled", 0, "Graceful")
    assert from_archive(api, by_hand)["phase"] == "Queued"
    assert api.http.get("/api/v1/status/never-was").status_code == 404

    # Whoever reads may read that and nothing else.
    reader = await asyncpg.connect(reader_url(database.url), timeout=20)
    try:
        assert await reader.fetchval("SELECT count(*) FROM harebell.task_history") > 0
        for statement in ("SELECT 1 FROM harebell.messages", "DELETE FROM harebell.task_history"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)
    finally:
        await reader.close(timeout=5)


@pytest.mark.timeout(300)
async def test_streams_go_on_over_deletions_and_restarts(
    archivers: Archivers,
    kubectl: Kubectl,
    kubeconfig: Path,
    namespace: str,
    database: Archive,
    tmp_path: Path,
) -> None:
    """What was deleted while no API ran is told out of the archive, to who follows many Tasks, or one."""
    password, keys = tmp_path / "password", tmp_path / "keys"
    password.write_text(PASSWORD)
    write(keys, record(KEY))
    archivers.processes.operator()
    archivers.start(HAREBELL_READER_PASSWORD_FILE=str(password))
    names = ("stream-a", "stream-b", "stream-c")
    kubectl.apply(*(manifest(name, "nobody", "echo") for name in names))
    waits = {"Queued"}
    until("all to wait", lambda: {statuses(kubectl)[n].get("phase") for n in names} == waits, 60)
    many, one = Model(), Model()
    archive = {"HAREBELL_ARCHIVE_URL": reader_url(database.url)}
    with running(kubeconfig, namespace, keys, **archive) as before:
        await _read(before, many, lambda: many.types[-1:] == ["synced"])
        await _read(before, one, lambda: one.types == ["snapshot"], task_id="stream-a")
    assert len(many.known) == len(names)
    kubectl("delete", "task", "stream-a")
    kubectl.apply(manifest("stream-d", "nobody", "echo"))
    until("it to wait", lambda: statuses(kubectl)["stream-d"].get("phase") == "Queued", 60)
    kubectl("delete", "task", "stream-d")  # nobody who comes back has ever heard of it
    await deletions_archived(database, namespace, 2)
    with running(kubeconfig, namespace, keys, **archive) as after:
        many.types.clear()
        await _read(after, many, lambda: many.types[-1:] == ["synced"])
        await _read(after, one, lambda: "deleted" in one.types, task_id="stream-a")
    assert many.types == ["deleted", "synced"]
    assert one.types == ["snapshot", "deleted"]
    kubectl("delete", "task", *names[1:])


async def _read(api: Api, model: Model, enough: Callable[[], bool], **query: str) -> None:
    model.come_back()
    given = urlencode({**query, **({"cursor": model.cursor} if model.cursor else {})})
    async with connect(f"{api.ws}?{given}", additional_headers=AUTH, proxy=None) as socket:
        async with asyncio.timeout(30):
            while not enough():
                model.take(json.loads(await socket.recv()))


def test_without_the_archive_what_is_in_the_cluster_is_served(
    kubeconfig: Path, namespace: str, tmp_path: Path, database: Archive, kubectl: Kubectl
) -> None:
    keys = tmp_path / "keys"
    write(keys, record(KEY))
    kubectl.apply(manifest("still-here", "nobody", "echo"))
    nowhere = f"postgresql://harebell_reader:x@127.0.0.1:9/{urlsplit(database.url).path[1:]}"
    with running(kubeconfig, namespace, keys, HAREBELL_ARCHIVE_URL=nowhere) as api:
        assert api.http.get("/api/v1/status/still-here").json()["source"] == "cluster"
        answer = api.http.get("/api/v1/status/never-was")
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/unavailable")
        assert answer.headers["retry-after"]
