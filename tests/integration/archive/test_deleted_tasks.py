"""Tasks that are deleted, by their TTL or by hand, and still answered for out of the archive."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
from tests.support.api import KEY, Api, running
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from tests.support.tasks import statuses
from tests.support.waiting import until

from .conftest import Archive, Archivers

KIND = "gone"
PASSWORD = "only-for-reading-0123456789"


def reader_url(url: str) -> str:
    return re.sub("//[^@]+@", f"//harebell_reader:{PASSWORD}@", url)


@pytest.fixture
def api(kubeconfig: Path, namespace: str, tmp_path: Path, database: Archive) -> Iterator[Api]:
    keys = tmp_path / "keys"
    keys.write_text(f"integration:{KEY}\n")
    with running(kubeconfig, namespace, keys, HAREBELL_ARCHIVE_URL=reader_url(database.url)) as api:
        yield api


def from_archive(api: Api, task_id: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        answer: httpx2.Response = api.http.get(f"/api/v1/status/{task_id}")
        document: dict[str, Any] = answer.json()
        return document if answer.status_code == 200 and document["source"] == "archive" else None

    return until(f"{task_id} answered for by the archive", found, 90)


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


def test_without_the_archive_what_is_in_the_cluster_is_served(
    kubeconfig: Path, namespace: str, tmp_path: Path, database: Archive, kubectl: Kubectl
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"integration:{KEY}\n")
    kubectl.apply(manifest("still-here", "nobody", "echo"))
    nowhere = f"postgresql://harebell_reader:x@127.0.0.1:9/{urlsplit(database.url).path[1:]}"
    with running(kubeconfig, namespace, keys, HAREBELL_ARCHIVE_URL=nowhere) as api:
        assert api.http.get("/api/v1/status/still-here").json()["source"] == "cluster"
        answer = api.http.get("/api/v1/status/never-was")
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/unavailable")
        assert answer.headers["retry-after"]
