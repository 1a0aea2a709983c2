"""What the operator says of the archive, and does for it."""

from typing import Any

import pytest
from aio_pika.abc import AbstractConnection
from tests.support.kubectl import Kubectl
from tests.support.waiting import eventually

from harebell_bus.history import HISTORY_STREAM
from harebell_bus.publisher import Publisher

from .conftest import Archive, Archivers
from .traffic import publish_many


@pytest.mark.timeout(300)
async def test_the_bus_tells_how_the_archive_does(
    connection: AbstractConnection,
    publisher: Publisher,
    archivers: Archivers,
    database: Archive,
    kubectl: Kubectl,
) -> None:
    async def says(kind: str, status: str, reason: str) -> dict[str, Any]:
        async def said() -> dict[str, Any] | None:
            found = kubectl.items("buses")
            conditions = found[0].get("status", {}).get("conditions", []) if found else []
            wanted = (kind, status, reason)
            there = any((c["type"], c["status"], c["reason"]) == wanted for c in conditions)
            return dict(found[0]["status"]) if there else None

        return await eventually(f"{kind} {status} {reason}", said, 120)

    archivers.processes.operator()
    await says("BrokerReachable", "True", "Connected")
    await says("ArchiveCurrent", "Unknown", "Waiting")
    await says("ArchiveComplete", "Unknown", "NotRead")
    archivers.start()
    await says("ArchiveCurrent", "True", "Archiving")
    status = await says("ArchiveComplete", "True", "NoGap")
    assert status["broker"]["version"].startswith("4.")
    await publish_many(publisher, range(20))
    await database.reaches(20)

    async def counted() -> bool:
        archive = kubectl.get("bus", "harebell")["status"]["archive"]
        return archive["archivedMessages"] == await database.count() and "lastArchivedTime" in archive

    await eventually("the figures", counted, 60)
    async with connection.channel() as channel:
        await channel.queue_delete(HISTORY_STREAM)
    # The operator makes it anew, the archiver begins anew, and both say that something may be missing.
    await publish_many(publisher, range(20, 25))

    async def another() -> bool:
        return bool(await database.rows("SELECT 1 FROM harebell.archive_gaps"))

    await says("ArchiveCurrent", "False", "StreamUnreachable")
    await says("ArchiveCurrent", "True", "Archiving")
    await publish_many(publisher, range(25, 30))
    await eventually("the gap to be noticed", another, 60)
    await says("ArchiveComplete", "False", "GapFound")
    printed = kubectl("get", "buses")
    print(printed)
    assert printed.split()[:4] == ["NAME", "BROKER", "ARCHIVE", "LAG"]
