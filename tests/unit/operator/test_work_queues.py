"""Which queues agents are told to look into."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from harebell_bus.envelopes import Message, WorkQueues
from harebell_bus.errors import BrokerUnavailableError
from harebell_bus.lanes import Lane, Tier, lane_of, work_queue_names
from harebell_bus.topology import type_key
from harebell_crds.task import Priority, TaskPhase, TaskSpec, TaskStatus
from harebell_operator import work_queues as module
from harebell_operator.broker import Broker
from harebell_operator.store import Store, TaskEntry
from harebell_operator.work_queues import USUAL

URGENT = lane_of("critical", Tier.DISK)
IDLE = lane_of("background", Tier.MEMORY)


class Around:
    """The broker. ``down``: it confirms nothing; ``away``: lanes that cannot be declared."""

    def __init__(self) -> None:
        self.publisher = self
        self.down = False
        self.declared: list[Lane] = []
        self.done: list[str] = []
        self.told: list[tuple[str, tuple[str, ...]]] = []

    async def ensure_lane(self, agent_type: str, lane: Lane) -> None:
        self.declared.append(lane)

    async def ensure_lanes(self, agent_type: str, lanes: frozenset[Lane]) -> None:
        self.declared.extend(lanes)

    def forget_lane(self, agent_type: str, lane: Lane) -> None:
        self.done.append(f"forget {lane.name}")

    async def publish(self, exchange: str, message: Message, *, routing_key: str, **_: Any) -> None:
        if self.down:
            raise BrokerUnavailableError("down")
        assert isinstance(message, WorkQueues)
        self.told.append((routing_key, message.work_queues))


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def queues(store: Store, around: Around) -> module.WorkQueues:
    return module.WorkQueues(store, cast(Broker, around))


def add(store: Store, name: str, kind: str, priority: Priority, phase: TaskPhase) -> None:
    spec = TaskSpec(agent_type=kind, action="a", payload={}, priority=priority)
    status = TaskStatus(phase=phase, attempt=1)
    store.add_task(
        TaskEntry(
            namespace="ns",
            name=name,
            uid=name,
            generation=1,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            spec=spec,
            status=status,
            written=status,
            payload_problem=None,
            queued_as=None,
        )
    )


async def test_agents_hear_of_a_lane_once_and_in_order(queues: module.WorkQueues, around: Around) -> None:
    assert queues.names("t") == work_queue_names("t", {USUAL})
    await queues.open("t", USUAL)
    assert around.told == []
    for lane in (URGENT, URGENT, IDLE):
        await queues.open("t", lane)
    assert around.told == [
        (type_key("t"), work_queue_names("t", {URGENT, USUAL})),
        (type_key("t"), work_queue_names("t", {URGENT, USUAL, IDLE})),
    ]
    # Each time: whether it is there is for the broker's side to know.
    assert around.declared == [USUAL, URGENT, URGENT, IDLE]
    assert queues.names("another") == work_queue_names("another", {USUAL})


async def test_a_lane_that_agents_could_not_be_told_of_is_not_open(
    queues: module.WorkQueues, around: Around
) -> None:
    around.down = True
    with pytest.raises(BrokerUnavailableError):
        await queues.open("t", URGENT)
    assert queues.names("t") == work_queue_names("t", {USUAL})
    around.down = False
    await queues.open("t", URGENT)
    assert around.told == [(type_key("t"), work_queue_names("t", {URGENT, USUAL}))]


async def test_what_waits_is_looked_into_whoever_published_it(
    queues: module.WorkQueues, around: Around, store: Store
) -> None:
    add(store, "waits", "t", Priority.CRITICAL, TaskPhase.QUEUED)
    add(store, "done", "t", Priority.HIGH, TaskPhase.SUCCEEDED)
    add(store, "not-yet", "t", Priority.HIGH, TaskPhase.PENDING)
    add(store, "another's", "u", Priority.BACKGROUND, TaskPhase.QUEUED)
    assert queues.names("t") == work_queue_names("t", {URGENT, USUAL})
    assert queues.names("u") == work_queue_names("u", {USUAL, IDLE})
    # A lane of an agent type that is opened beside it leaves none out.
    await queues.open("t", IDLE)
    assert around.told == [(type_key("t"), work_queue_names("t", {URGENT, USUAL, IDLE}))]


async def test_a_thousand_agents_that_register_at_once_cost_no_look_at_every_task(
    queues: module.WorkQueues, store: Store
) -> None:
    add(store, "waits", "t", Priority.CRITICAL, TaskPhase.QUEUED)
    store.tasks = cast(dict[str, TaskEntry], None)
    await queues.restore("t")
    assert queues.names("t") == work_queue_names("t", {URGENT, USUAL})


async def test_who_registers_finds_the_queues_that_somebody_deleted(
    queues: module.WorkQueues, around: Around
) -> None:
    await queues.open("t", URGENT)
    around.declared.clear()
    await queues.restore("t")
    assert set(around.declared) == {URGENT, USUAL}
    assert set(around.done) == {f"forget {URGENT.name}", f"forget {USUAL.name}"}
