"""What the history is told of a Task that is deleted, and how long a Task waits for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import Message
from harebell_bus.errors import BrokerUnavailableError
from harebell_bus.publisher import Publisher
from harebell_operator.removal import PATIENCE, recorded, removed

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TASK: dict[str, Any] = {
    "metadata": {
        "namespace": "ns",
        "name": "t",
        "uid": "u",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"team": "a"},
    },
    "spec": {"agentType": "text", "action": "echo", "payload": {"large": "x"}, "priority": "low"},
    "status": {"phase": "Succeeded", "attempt": 2, "result": None},
}


def test_the_record_is_the_task_without_its_payload() -> None:
    record = removed(TASK, T0)
    assert record.spec == {"agentType": "text", "action": "echo", "priority": "low"}
    assert (record.status, record.attempt, record.labels) == (TASK["status"], 2, {"team": "a"})
    assert (record.task.name, record.created_at) == ("t", T0)


@pytest.mark.parametrize("rest", [{"status": None}, {}])
def test_a_task_without_a_status_has_a_record(rest: dict[str, Any]) -> None:
    bare = {"metadata": {**TASK["metadata"], "labels": None}, "spec": TASK["spec"], **rest}
    record = removed(bare, T0)
    assert (record.status, record.attempt, record.labels) == ({}, 0, {})


class Told(Publisher):
    """A publisher whose broker answers, or does not."""

    def __init__(self, error: BrokerUnavailableError | None) -> None:
        super().__init__()
        self.error = error
        self.connected = True
        self.messages: list[Message | bytes] = []

    @property
    def attached(self) -> bool:
        return self.connected

    async def publish(self, exchange: str, message: Message | bytes, **_: Any) -> None:
        if self.error is not None:
            raise self.error
        assert exchange == "harebell.records"
        self.messages.append(message)


@pytest.mark.parametrize(
    ("reachable", "late", "may_go"),
    [
        (True, timedelta(0), True),
        (False, timedelta(0), False),
        (False, PATIENCE - timedelta(seconds=1), False),
        (False, PATIENCE, True),
    ],
)
async def test_a_task_waits_for_the_history_but_not_for_ever(
    reachable: bool, late: timedelta, may_go: bool
) -> None:
    publisher = Told(None if reachable else BrokerUnavailableError("down"))
    assert await recorded(publisher, TASK, T0, T0 + late) is may_go
    assert publisher.messages == ([removed(TASK, T0 + late)] if reachable else [])


async def test_nobody_waits_for_a_connection() -> None:
    publisher = Told(None)
    publisher.connected = False
    assert not await recorded(publisher, TASK, T0, T0)
    assert publisher.messages == []
