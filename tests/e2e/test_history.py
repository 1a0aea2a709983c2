"""The history of a release: every message of a Task, in PostgreSQL, and the resource that says how it is."""

from typing import Any

from tests.support.kubectl import Kubectl
from tests.support.release import Release, manifest
from tests.support.waiting import until

QUERY = "SELECT kind FROM harebell.messages WHERE correlation_id = '{}' ORDER BY epoch, stream_offset"


def test_every_message_of_a_task_is_archived(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("archived", payload={"text": "kept"}))
    release.finished("archived")
    uid = release.task("archived")["metadata"]["uid"]
    (database,) = release.pods("postgresql")

    def kinds() -> list[str]:
        select = ("psql", "-U", "harebell", "-AtXc", QUERY.format(uid))
        return kubectl("exec", database, "--", *select).split()

    until("all of its messages", lambda: len(kinds()) >= 3, 60)
    assert kinds() == ["Work", "Started", "Succeeded"]


def test_a_deleted_task_is_answered_for(release: Release, kubectl: Kubectl) -> None:
    kubectl.apply(manifest("passing", payload={"text": "kept"}, ttlSecondsAfterFinished=0))

    def answer() -> Any:
        found = release.rest("GET", "/api/v1/status/passing")
        return found.body if found.status == 200 and found.body["source"] == "archive" else None

    found = until("the archive to answer", answer, 90)
    assert (found["phase"], found["result"]) == ("Succeeded", {"text": "kept"})


def test_the_bus_says_how_it_goes(release: Release, kubectl: Kubectl) -> None:
    def conditions() -> dict[str, Any]:
        status = kubectl.get("bus", "harebell").get("status", {})
        return {c["type"]: c["status"] for c in status.get("conditions", [])}

    wanted = {"BrokerReachable": "True", "ArchiveCurrent": "True", "ArchiveComplete": "True"}
    until("all to be well", lambda: conditions() == wanted, 60)
    assert kubectl.get("bus", "harebell")["status"]["archive"]["archivedMessages"] > 0
