"""What agents are told not to begin, of Tasks that are there and of those that were deleted."""

from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from harebell_bus.envelopes import Message, Superseded
from harebell_bus.topology import type_key
from harebell_crds.agent import AgentStatus
from harebell_crds.task import TaskPhase, TaskSpec, TaskStatus
from harebell_operator import superseding as module
from harebell_operator.broker import Broker
from harebell_operator.decide.lanes import MessageNumber
from harebell_operator.store import AgentEntry, Store, TaskEntry
from harebell_operator.superseding import Superseding

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Around:
    """The broker."""

    def __init__(self) -> None:
        self.publisher = self
        self.told: list[tuple[str, dict[str, tuple[int, int]]]] = []
        self.spawned: list[Coroutine[Any, Any, None]] = []

    async def publish(self, exchange: str, message: Message, *, routing_key: str, **_: Any) -> None:
        assert isinstance(message, Superseded)
        self.told.append((routing_key, {n.uid: (n.attempt, n.dispatch) for n in message.newest}))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.spawned.append(work)


@pytest.fixture
def around() -> Iterator[Around]:
    around = Around()
    yield around
    for work in around.spawned:
        work.close()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def superseding(store: Store, around: Around) -> Superseding:
    return Superseding(store, cast(Broker, around))


def task(uid: str, kind: str, phase: TaskPhase, dispatch: int = 0, seconds: float = 0) -> TaskEntry:
    status = TaskStatus(phase=phase, attempt=1, dispatch=dispatch, queued_at=T0 + timedelta(seconds=seconds))
    return TaskEntry(
        namespace="ns",
        name=uid,
        uid=uid,
        generation=1,
        created_at=T0,
        spec=TaskSpec(agent_type=kind, action="a", payload={}),
        status=status,
        written=status,
        payload_problem=None,
        queued_as=None,
    )


def agent(name: str, kind: str) -> AgentEntry:
    return AgentEntry(
        name=name,
        agent_type=kind,
        exists=True,
        generation=1,
        order=None,
        status=AgentStatus(),
        last_seen=T0,
        tasks_changed_at=T0,
        labels={},
        uid=name,
        owned=False,
    )


async def test_one_that_was_deleted_while_it_waited_is_told_of_now_and_later(
    superseding: Superseding, around: Around
) -> None:
    superseding.deleted(task("waited", "t", TaskPhase.QUEUED, dispatch=1))
    for phase in TaskPhase:
        if phase != TaskPhase.QUEUED:
            superseding.deleted(task(phase.lower(), "t", phase))
    (telling,) = around.spawned
    await telling
    assert around.told == [(type_key("t"), {"waited": (2, 2)})]
    assert [(n.uid, n.attempt, n.dispatch) for n in superseding.of_type("t")] == [("waited", 2, 2)]
    assert superseding.of_type("u") == ()


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        (TaskPhase.CANCELLED, (2, 1)),  # called off while it waited, and gone by its TTL
        (TaskPhase.FAILED, (2, 1)),
        (TaskPhase.PENDING, (2, 1)),  # withdrawn
        (TaskPhase.SUCCEEDED, (2, 1)),  # moved, and done from one lane, while the other had no agent
    ],
)
async def test_one_that_is_gone_stays_void_for_those_that_come_later(
    superseding: Superseding, around: Around, store: Store, phase: TaskPhase, number: tuple[int, int]
) -> None:
    store.add_task(task("gone", "t", phase, dispatch=1))
    before = superseding.of_type("t")
    entry = store.drop_task("gone")
    assert entry is not None
    superseding.deleted(entry)
    assert superseding.of_type("t") == before
    assert [(n.uid, n.attempt, n.dispatch) for n in before] == [("gone", *number)]
    assert around.spawned == []  # those that are there know


async def test_of_many_the_newest_are_told_of(
    superseding: Superseding, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_AT_ONCE", 3)
    for n in range(2):
        store.add_task(task(f"moved-{n}", "t", TaskPhase.QUEUED, dispatch=1, seconds=n))
        store.add_task(task(f"never-moved-{n}", "t", TaskPhase.QUEUED, seconds=n))
        superseding.deleted(task(f"deleted-{n}", "t", TaskPhase.QUEUED))
    assert [n.uid for n in superseding.of_type("t")] == ["moved-1", "moved-0", "deleted-1"]


async def test_those_that_are_gone_are_forgotten_in_the_end(
    superseding: Superseding, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELETED_KEPT", 2)
    for n in range(3):
        superseding.deleted(task(f"deleted-{n}", "t", TaskPhase.QUEUED))
    assert [n.uid for n in superseding.of_type("t")] == ["deleted-2", "deleted-1"]
    assert len(around.spawned) == 3


async def test_every_type_that_has_agents_is_told_again(
    superseding: Superseding, around: Around, store: Store
) -> None:
    for kind in ("t", "u", "v"):
        store.agents[kind] = agent(kind, kind)
    store.add_task(task("moved", "t", TaskPhase.QUEUED, dispatch=1))
    store.add_task(task("cancelled", "u", TaskPhase.CANCELLED, dispatch=1))
    store.add_task(task("without-agents", "w", TaskPhase.QUEUED, dispatch=1))
    await superseding.tell_all()
    assert sorted(around.told) == [
        (type_key("t"), {"moved": (1, 1)}),
        (type_key("u"), {"cancelled": (2, 1)}),
    ]


async def test_one_is_told_of_when_it_changes(superseding: Superseding, around: Around) -> None:
    await superseding.tell(task("moved", "t", TaskPhase.QUEUED, dispatch=1), MessageNumber(1, 1))
    assert around.told == [(type_key("t"), {"moved": (1, 1)})]
