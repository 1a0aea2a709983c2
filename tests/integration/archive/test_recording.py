"""Work does not depend on the history, not even on its being there."""

from aio_pika.abc import AbstractConnection
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from tests.support.waiting import eventually

from harebell_bus.history import HISTORY_STREAM

from .conftest import AGENT_TYPE, Archivers


async def test_work_goes_on_where_the_history_cannot_be_declared(
    connection: AbstractConnection, archivers: Archivers, kubectl: Kubectl
) -> None:
    async with connection.channel() as channel:
        await channel.queue_delete(HISTORY_STREAM)
        # Somebody took the name for a queue of another type.
        await channel.declare_queue(HISTORY_STREAM, durable=True, arguments={"x-queue-type": "quorum"})
    operator = archivers.processes.operator()
    archivers.processes.agent("worker", AGENT_TYPE)
    kubectl.apply(manifest("unrecorded", AGENT_TYPE, payload={"text": "x"}))

    async def succeeded() -> bool:
        return bool(kubectl.get("task", "unrecorded").get("status", {}).get("phase") == "Succeeded")

    await eventually("the Task to succeed", succeeded, 90)
    assert "the history cannot be declared" in operator.log.read_text()
