"""Two Tasks of one key at the same time, and Tasks that go: what the reconciler adds to the decisions."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from harebell_bus.envelopes import AgentRef, Message, Removed, Started, Superseded, TaskRef, Work
from harebell_bus.errors import BrokerUnavailableError
from harebell_bus.publisher import Publisher
from harebell_operator.agents import AgentReconciler
from harebell_operator.broker import Broker
from harebell_operator.decide.observation import Sighting, StopOrder, Supply
from harebell_operator.kube import Kube
from harebell_operator.store import Store
from harebell_operator.superseding import Superseding
from harebell_operator.tasks import TaskReconciler
from harebell_operator.work_queues import WorkQueues
from harebell_operator.workforce import Workforce
from harebell_operator.workqueue import WorkQueue

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def body(name: str, seconds: int = 0, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": (T0 + timedelta(seconds=seconds)).isoformat(),
        },
        "spec": {"agentType": "t", "action": "a", **spec},
        "status": status or {},
    }


class Around(Publisher):
    """All that the reconciler acts on. Work is confirmed when ``confirm`` is set; ``down``: nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.instance = "this operator"
        self.done: list[str] = []
        self.confirm = asyncio.Event()
        self.confirm.set()
        self.asked = asyncio.Event()
        self.down = False
        self.error: str | None = None
        self.heard_until: datetime | None = None
        self.publisher = self
        self.objects: dict[str, dict[str, Any]] = {}
        self.spawned: list[Coroutine[Any, Any, None]] = []

    @property
    def attached(self) -> bool:
        return not self.down

    async def publish(self, exchange: str, message: Message | bytes, **_: Any) -> None:
        if self.down:
            raise BrokerUnavailableError("down")
        assert isinstance(message, Work | Removed | Superseded)
        about = "" if isinstance(message, Superseded) else f" {message.task.name}"
        self.done.append(f"publish {message.kind}{about}")
        self.asked.set()
        await self.confirm.wait()

    async def open(self, *_: Any) -> None: ...

    def hear_out(self) -> None:
        self.done.append("hear out")

    def acknowledge(self, messages: list[Any]) -> None: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.spawned.append(work)

    def sighting(self, *_: Any) -> Sighting:
        return Sighting.UNKNOWN

    def supply(self, *_: Any) -> Supply:
        return Supply(0, 0)

    def assigned(self, *_: Any) -> None: ...

    async def write_status(self, _: str, name: str, uid: str, status: dict[str, Any]) -> None:
        self.done.append(f"write {name} {status['phase']}")

    async def stop(self, task: TaskRef, order: StopOrder) -> None:
        self.done.append(f"stop {task.name} at {order.agent_id}")

    async def proceed(self, started: Started) -> None:
        self.done.append(f"proceed {started.task.name} at {started.agent.id}")

    async def record(self, *_: Any) -> None: ...

    async def get(self, _: str, name: str) -> dict[str, Any]:
        return self.objects[name]

    async def delete(self, _: str, name: str, uid: str) -> None:
        self.done.append(f"delete {name}")


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def tasks(around: Around, store: Store) -> TaskReconciler:
    return TaskReconciler(
        store,
        WorkQueue(),
        cast(Kube, around),
        cast(Broker, around),
        cast(AgentReconciler, around),
        cast(Workforce, around),
        cast(WorkQueues, around),
        Superseding(store, cast(Broker, around)),
        lambda: around.now,
        "operator-1",
    )


async def test_of_two_tasks_the_one_whose_message_is_on_its_way_is_done(
    tasks: TaskReconciler, around: Around, store: Store
) -> None:
    """Also when the other is the older one."""
    around.confirm.clear()
    tasks.observed(body("younger", 5, idempotencyKey="k"))
    async with asyncio.TaskGroup() as group:
        group.create_task(tasks.reconcile("uid-younger"))
        await around.asked.wait()
        tasks.observed(body("older", 0, idempotencyKey="k"))
        async with asyncio.timeout(10):  # it would wait for a confirm, if it were published
            await tasks.reconcile("uid-older")
        around.confirm.set()
    assert around.done[:2] == ["publish Work younger", "write older Cancelled"]
    older = store.tasks["uid-older"].status
    assert older.duplicate_of is not None
    assert older.duplicate_of.uid == "uid-younger"


async def test_without_a_message_on_its_way_the_older_task_is_done(
    tasks: TaskReconciler, around: Around, store: Store
) -> None:
    for name, seconds in (("younger", 5), ("older", 0)):
        tasks.observed(body(name, seconds, idempotencyKey="k"))
    await tasks.reconcile("uid-younger")
    await tasks.reconcile("uid-older")
    assert around.done == ["write younger Cancelled", "publish Work older"]


FINISHED = {
    "phase": "Succeeded",
    "attempt": 1,
    "completedAt": "2026-01-01T00:00:00Z",
    "observedGeneration": 1,
}


async def test_payloads_are_kept_no_longer_than_somebody_may_be_given_them(
    tasks: TaskReconciler, around: Around, store: Store
) -> None:
    given = {"text": "much"}
    tasks.observed(body("ends", payload=given, cancel="Graceful"))
    tasks.observed(body("waits", payload=given))
    tasks.observed(body("ended", payload=given, status=FINISHED))
    assert {n: store.tasks[f"uid-{n}"].spec.payload for n in ("ends", "waits", "ended")} == {
        "ends": given, "waits": given, "ended": {},
    }  # fmt: skip
    await tasks.reconcile("uid-ends")
    await tasks.reconcile("uid-waits")
    assert (store.tasks["uid-ends"].spec.payload, store.tasks["uid-waits"].spec.payload) == ({}, given)
    # Its TTL may still be changed.
    changed = body("ended", payload=given, status=FINISHED, ttlSecondsAfterFinished=5)
    changed["metadata"]["generation"] = 2
    tasks.observed(changed)
    spec = store.tasks["uid-ended"].spec
    assert (spec.payload, spec.ttl_seconds_after_finished) == ({}, 5)


async def test_an_expired_task_is_recorded_before_it_is_deleted_and_once(
    tasks: TaskReconciler, around: Around
) -> None:
    gone = around.objects["t"] = body("t", status=FINISHED, ttlSecondsAfterFinished=5)
    tasks.observed(gone)
    around.now += timedelta(seconds=4)
    await tasks.reconcile("uid-t")
    assert around.done == []
    around.now += timedelta(seconds=1)
    around.down = True
    await tasks.reconcile("uid-t")
    assert around.done == []
    around.down = False
    await tasks.reconcile("uid-t")
    assert around.done == ["publish Removed t", "delete t"]
    tasks.removed(gone)
    assert around.spawned == []


async def test_each_change_of_a_finished_task_is_one_write(tasks: TaskReconciler, around: Around) -> None:
    tasks.observed(body("t", status=FINISHED))
    changed = body("t", status=FINISHED, ttlSecondsAfterFinished=5)
    changed["metadata"]["generation"] = 2
    for _ in range(2):
        tasks.observed(changed)
        await tasks.reconcile("uid-t")
    await tasks.reconcile("uid-t")
    assert around.done == ["write t Succeeded"]


async def test_a_task_that_somebody_deletes_is_recorded(tasks: TaskReconciler, around: Around) -> None:
    gone = body("t", status={"phase": "Pending"})
    tasks.observed(gone)
    tasks.removed(gone)
    (recording,) = around.spawned
    await recording
    assert around.done == ["publish Removed t"]


QUEUED = {"phase": "Queued", "attempt": 1, "queuedAt": "2026-01-01T00:00:00Z", "observedGeneration": 1}


def started(name: str, *, asks: bool = False) -> Started:
    task = TaskRef(namespace="ns", name=name, uid=f"uid-{name}")
    agent = AgentRef(id="anna", instance="a1")
    return Started(task=task, attempt=1, agent=agent, at=T0 + timedelta(seconds=1), asks=asks)


@pytest.mark.parametrize("first", ["it is deleted", "the agent is heard"])
async def test_whoever_begins_a_task_that_is_deleted_is_told_to_stop(
    tasks: TaskReconciler, around: Around, first: str
) -> None:
    """Also when both come before the Task is looked at."""
    gone = body("t", status=QUEUED)
    message: Any = object()
    tasks.observed(gone)
    if first == "the agent is heard":
        tasks.heard(started("t"), message)
    tasks.removed(gone)
    if first == "it is deleted":
        tasks.heard(started("t"), message)
    while around.spawned:
        await around.spawned.pop()
    assert "stop t at anna" in around.done


@pytest.mark.parametrize("asks", [True, False])
async def test_whoever_asks_is_told_to_begin(tasks: TaskReconciler, around: Around, asks: bool) -> None:
    message: Any = object()
    tasks.observed(body("t", status=QUEUED))
    tasks.heard(started("t", asks=asks), message)
    await tasks.reconcile("uid-t")
    assert ("proceed t at anna" in around.done) is asks
