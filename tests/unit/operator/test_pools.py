"""The reconciler of AgentPools, with a store, and an API server that only writes down."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, CurrentTask, Heartbeat, HeartbeatReason, PodRef, TaskRef
from harebell_crds.agent import AgentStatus
from harebell_operator.apiserver import (
    AlreadyExistsError,
    KubeError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
)
from harebell_operator.decide.pod import PodFacts
from harebell_operator.decide.pool import SETTLED
from harebell_operator.decide.standing import Order, OrderKind
from harebell_operator.pools import PoolReconciler
from harebell_operator.store import AgentEntry, Store
from harebell_operator.workqueue import WorkQueue

T0 = datetime(2026, 1, 1, tzinfo=UTC)
UID = "pool-1"
OFFLINE_AFTER = timedelta(seconds=180)


class World:
    """An operator. Also stands in for the API server, the broker and the reconciler of Agents."""

    def __init__(self) -> None:
        self.now = T0
        self.failing: list[KubeError] = []
        self.made = 0
        self.removed: list[str] = []
        self.written: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.told: list[str] = []
        self.store = Store()
        self.queue: WorkQueue[str] = WorkQueue()
        me: Any = self
        self.hearing_since: datetime | None = T0
        self.reconciler = PoolReconciler(
            self.store, self.queue, me, me, me, lambda: self.now, OFFLINE_AFTER, None, "operator"
        )

    # ---- the API server

    async def create_pod(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.failing:
            raise self.failing.pop(0)
        self.made += 1
        return self.pod(self.made, body)

    def pod(self, number: int, body: dict[str, Any], **status: Any) -> dict[str, Any]:
        meta = body["metadata"]
        name = f"{meta['generateName']}{number}"
        created = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "metadata": {**meta, "name": name, "uid": f"u-{number}", "creationTimestamp": created},
            "status": status,
        }

    async def delete_pod(self, name: str, uid: str) -> None:
        if self.failing:
            raise self.failing.pop(0)
        self.removed.append(name)

    async def write_status(self, plural: str, name: str, uid: str, status: dict[str, Any]) -> None:
        assert (plural, name, uid) == ("agentpools", "crew", UID)
        self.written.append(status)

    async def record(self, about: Any, note: Any, reporter: str) -> None:
        assert about.name == "crew"
        self.events.append(note.reason)

    # ---- the reconciler of Agents

    def redirected(self, entry: AgentEntry) -> None:
        self.told.append(entry.name)

    # ---- what happens

    def observe(self, replicas: int, generation: int, env: Any = None, **meta: Any) -> None:
        spec = {
            "type": "crew",
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "agent", "image": "i", "env": env or []}]}},
        }
        self.reconciler.observed(
            {"metadata": {"name": "crew", "uid": UID, "generation": generation, **meta}, "spec": spec}
        )

    async def later(self, seconds: float = 0) -> None:
        self.now += timedelta(seconds=seconds)
        await self.reconciler.reconcile(UID)

    def beat(self, number: int, *tasks: str, keeps_to_drain: bool = False) -> AgentEntry:
        name = f"crew-{number}"
        entry = self.store.agents.setdefault(
            name, AgentEntry(name, "crew", True, 1, AgentStatus(), T0, T0, {})
        )
        drain = self.store.pods[f"u-{number}"].drain
        current = tuple(CurrentTask(task=TaskRef(namespace="ns", name=t, uid=t), attempt=1) for t in tasks)
        entry.tasks = dict.fromkeys(tasks)  # type: ignore[assignment]
        entry.heartbeat = Heartbeat(
            reason=HeartbeatReason.INTERVAL,
            agent=AgentRef(id=name, instance="i"),
            agent_type="crew",
            software_version="1",
            started_at=T0,
            at=self.now,
            current_tasks=current,
            pod=PodRef(namespace="ns", name=name, uid=f"u-{number}"),
            paused=keeps_to_drain,
            acknowledged=(drain.uid,) if drain and keeps_to_drain else (),
        )
        return entry

    async def with_agents(self, replicas: int) -> None:
        self.observe(replicas, 1)
        await self.later()
        for number in range(1, replicas + 1):
            self.beat(number)


async def test_pods_are_made_once_though_the_watch_is_late() -> None:
    world = World()
    world.observe(3, 1)
    await world.later()
    await world.later()
    assert (world.made, world.events) == (3, ["Created"])
    await world.later(2)
    assert world.written[-1]["replicas"] == 3


async def test_an_agent_is_told_and_its_pod_goes_when_it_has_said_so() -> None:
    world = World()
    await world.with_agents(2)
    world.beat(1, "work")
    world.observe(1, 2)
    await world.later()
    assert (world.told, world.removed) == (["crew-2"], [])
    # An answer to an earlier drain, or one that still lists a Task, is none.
    stale = world.beat(2, keeps_to_drain=True)
    assert stale.heartbeat is not None
    stale.heartbeat = stale.heartbeat.model_copy(update={"acknowledged": ("another",)})
    await world.later()
    world.beat(2, "late", keeps_to_drain=True)
    await world.later()
    assert world.removed == []
    world.beat(2, keeps_to_drain=True)
    await world.later()
    await world.later()
    assert (world.removed, world.made) == (["crew-2"], 2)


async def test_a_scale_up_takes_a_drain_back_and_the_next_one_is_another() -> None:
    world = World()
    await world.with_agents(1)
    world.beat(1, "work")
    world.observe(0, 2)
    await world.later()
    first = world.store.pods["u-1"].drain
    world.observe(1, 3)
    await world.later()
    assert world.store.pods["u-1"].drain is None
    assert (world.told, world.made) == (["crew-1", "crew-1"], 1)
    world.observe(0, 4)
    await world.later()
    second = world.store.pods["u-1"].drain
    assert first is not None
    assert second is not None
    assert first.uid != second.uid


async def test_a_refusal_is_said_and_tried_again_later() -> None:
    world = World()
    world.failing = [RefusedError("403 Forbidden: exceeded quota")]
    world.observe(2, 1)
    await world.later()
    await world.later()
    assert (world.made, world.events) == (0, ["FailedCreate"])
    pool = world.store.pools[UID]
    failure = next(c for c in pool.status.conditions if c.type == "ReplicaFailure")
    assert (failure.status, failure.reason) == ("True", "FailedCreate")
    assert "quota" in failure.message
    await world.later(2)
    await world.later()
    assert (world.made, pool.setback) == (2, None)


def failure(status: dict[str, Any]) -> tuple[str, str]:
    """The reason and the message of the failure that a written status tells of."""
    found = next(c for c in status["conditions"] if c["type"] == "ReplicaFailure")
    assert found["status"] == "True"
    return found["reason"], found["message"]


async def test_a_template_of_no_pod_is_told_and_tried_again_when_it_is_another() -> None:
    world = World()
    world.observe(2, 1, env=["A=b"])
    for seconds in (0, 0, 1, 2):
        await world.later(seconds)
    assert set(world.events) == {"FailedCreate"}
    reason, message = failure(world.written[-1])
    assert reason == "FailedCreate"
    assert message.startswith("spec.template.spec.containers.0.env.0: ")
    pool = world.store.pools[UID]
    assert pool.setback is not None
    assert pool.setback.count > 1
    world.observe(2, 2, env=[{"name": "A", "value": "b"}])
    await world.later()
    assert world.made == 2
    assert world.store.pools[UID].setback is None


@pytest.mark.parametrize(
    "error", [KubeError("500: webhook"), NotFoundError("404"), AlreadyExistsError("409")]
)
async def test_a_pod_that_the_api_server_does_not_make_is_told_and_tried_again_with_patience(
    error: KubeError,
) -> None:
    world = World()
    world.failing = [error] * 100
    world.observe(1, 1)
    for _ in range(600):
        await world.later(1)
    assert failure(world.written[-1]) == ("FailedCreate", str(error))
    tries = len(world.events)
    assert 5 < tries < 20
    world.failing.clear()
    await world.later(300)
    assert world.made == 1


async def test_while_the_api_server_does_not_answer_no_patience_is_lost() -> None:
    world = World()
    world.failing = [NoAnswerError("TimeoutError")] * 100
    world.observe(1, 1)
    for _ in range(60):
        await world.later(2)
    assert (world.made, world.events, len(world.failing)) == (0, [], 40)
    world.failing.clear()
    await world.later(2)
    assert world.made == 1


async def test_the_status_is_written_though_nothing_can_be_done() -> None:
    world = World()
    await world.with_agents(2)
    world.store.agents["crew-1"].gone = "Left"
    world.observe(1, 2)
    world.failing = [KubeError("500: webhook")] * 2
    await world.later()
    await world.later(1)
    assert world.removed == []
    assert (world.written[-1]["observedGeneration"], world.written[-1]["drainingReplicas"]) == (2, 1)


def ended(facts: PodFacts, reason: str = "OutOfcpu") -> dict[str, Any]:
    """A Pod of the pool as it looks when it has ended for good."""
    owner = {"apiVersion": "harebell.dev/v1alpha1", "kind": "AgentPool", "uid": UID, "controller": True}
    return {
        "metadata": {
            "name": facts.name,
            "uid": facts.uid,
            "creationTimestamp": facts.created_at.isoformat(),
            "ownerReferences": [owner],
            "labels": {"harebell.dev/template-hash": facts.template_hash},
        },
        "status": {"phase": "Failed", "reason": reason},
    }


async def test_a_pod_that_ends_at_once_is_replaced_with_patience() -> None:
    world = World()
    await world.with_agents(1)
    for n in range(1, 4):
        pool = world.store.pools[UID]
        entry = world.store.pods[f"u-{n}"]
        body = ended(entry.facts)
        world.reconciler.pod_observed(body)
        world.reconciler.pod_observed(body)
        await world.later()
        assert world.made == n
        assert world.removed[-1] == entry.facts.name
        assert pool.setback is not None
        assert (pool.setback.count, pool.setback.trouble.reason) == (n, "OutOfcpu")
        world.reconciler.pod_deleted(f"u-{n}")
        await world.later(9)
        assert world.made == n + 1


async def test_a_pod_that_cannot_be_removed_is_in_nobodys_way() -> None:
    world = World()
    await world.with_agents(2)
    world.now += SETTLED
    for entry in list(world.store.pods.values()):
        world.reconciler.pod_observed(ended(entry.facts, "Evicted"))
    world.failing = [RefusedError("403 Forbidden: a webhook is against it")]
    await world.later()
    assert (world.removed, world.made) == (["crew-2"], 4)
    await world.later()
    assert (world.removed, world.made) == (["crew-2", "crew-1"], 4)


async def test_pods_that_end_together_are_one_setback() -> None:
    world = World()
    await world.with_agents(16)
    world.now += timedelta(seconds=60)
    for entry in list(world.store.pods.values()):
        # Their node is shut down, as one that was lent for a while.
        world.reconciler.pod_observed(ended(entry.facts, "Terminated"))
        world.now += timedelta(seconds=0.1)
    await world.later()
    assert len(world.removed) == 16
    for number in range(1, 17):
        world.reconciler.pod_deleted(f"u-{number}")
    await world.later(1)
    assert world.made == 32


async def test_one_being_deleted_makes_no_more_pods() -> None:
    world = World()
    await world.with_agents(1)
    world.observe(1, 1, deletionTimestamp="2026-01-01T00:00:00Z")
    world.reconciler.pod_deleted("u-1")
    await world.later()
    assert world.made == 1
    world.reconciler.deleted(UID)
    await world.later()
    assert world.store.pools == {}


async def test_a_pod_that_outlives_its_pool_works_again() -> None:
    world = World()
    await world.with_agents(1)
    world.observe(0, 2)
    await world.later()
    world.reconciler.deleted(UID)
    orphan = {"metadata": {"name": "crew-1", "uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    world.reconciler.pod_observed(orphan)
    assert world.store.pods == {}
    assert world.told == ["crew-1", "crew-1"]


async def test_a_list_does_not_undo_what_was_heard_while_it_was_read() -> None:
    world = World()
    await world.with_agents(2)
    world.reconciler.listing()
    world.reconciler.pod_deleted("u-1")
    world.observe(3, 2)
    await world.later()
    assert set(world.store.pods) == {"u-2", "u-3", "u-4"}
    world.reconciler.listed([])
    assert set(world.store.pods) == {"u-3", "u-4"}


async def test_a_pod_gone_before_it_was_removed_is_forgotten() -> None:
    world = World()
    await world.with_agents(1)
    world.observe(0, 2)
    await world.later()
    world.beat(1, keeps_to_drain=True)
    world.failing = [NotFoundError("gone")]
    await world.later()
    assert world.store.pods == {}
    assert list(world.store.pools) == [UID]


async def test_after_a_restart_who_had_work_counts_as_working() -> None:
    world = World()
    world.observe(2, 1)
    await world.later()
    for number, task in ((1, "work"), (2, None)):
        status = AgentStatus.model_validate(
            {
                "phase": "Online",
                "podName": f"crew-{number}",
                "currentTasks": [{"namespace": "ns", "name": task, "uid": task, "attempt": 1}]
                if task
                else [],
            }
        )
        world.store.agents[f"crew-{number}"] = AgentEntry(
            f"crew-{number}", "crew", True, 1, status, T0, T0, {}
        )
    world.observe(1, 2)
    await world.later()
    assert world.store.pods["u-1"].drain is None
    assert world.store.pods["u-2"].drain is not None
    assert world.removed == []


async def test_one_that_runs_and_is_not_heard_of_goes_when_it_could_have_been() -> None:
    for hearing, goes in ((T0, True), (None, False)):
        world = World()
        world.hearing_since = hearing
        world.observe(1, 1)
        await world.later()
        pod = world.store.pods["u-1"]
        pod.facts = replace(pod.facts, running_since=T0)
        world.observe(0, 2)
        await world.later(179)
        assert world.removed == []
        await world.later(1)
        assert bool(world.removed) == goes


@pytest.mark.parametrize("kind", list(OrderKind))
async def test_one_that_somebody_drained_goes_before_those_that_are_idle_too(kind: OrderKind) -> None:
    world = World()
    await world.with_agents(2)
    world.store.agents["crew-2"].order = Order("o", "crew-2", kind, T0)
    world.observe(1, 2)
    await world.later()
    drained = {entry.facts.name for entry in world.store.pods.values() if entry.drain}
    assert drained == {"crew-2" if kind is OrderKind.DRAIN else "crew-1"}


async def test_one_whose_agent_has_left_goes_at_once() -> None:
    world = World()
    await world.with_agents(1)
    world.store.agents["crew-1"].gone = "Left"
    world.observe(0, 2)
    await world.later()
    assert world.removed == ["crew-1"]


async def test_the_figures_of_the_metrics() -> None:
    world = World()
    await world.with_agents(2)
    world.beat(1, "work")
    await world.later()
    assert world.store.queue_depths() == {"crew": 0}
    assert world.store.pools[UID].counts() == {
        "desired": 2, "current": 2, "ready": 2, "busy": 1, "draining": 0, "updated": 2,
    }  # fmt: skip
