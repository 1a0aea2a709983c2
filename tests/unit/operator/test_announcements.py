"""The reconciler of Announcements, with a store, and an API server that only writes down."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from harebell_bus.envelopes import AgentRef, Heartbeat, HeartbeatReason
from harebell_crds.agent import AgentStatus
from harebell_operator.announcements import AnnouncementReconciler
from harebell_operator.apiserver import KubeError, NotFoundError
from harebell_operator.resync import Resync
from harebell_operator.standings import Standings
from harebell_operator.store import AgentEntry, Store
from harebell_operator.workqueue import WorkQueue

T0 = datetime(2026, 1, 1, tzinfo=UTC)
UID = "u-1"


class World:
    """An operator. Also stands in for the API server, the broker and the reconciler of Agents."""

    def __init__(self, agents: int) -> None:
        self.now = T0
        self.failing: list[KubeError] = []
        self.written: list[dict[str, Any]] = []
        self.spread = 0
        self.store = Store()
        for n in range(agents):
            name = f"agent-{n:02}"
            entry = AgentEntry(name, "text", True, 1, AgentStatus(), T0, T0, {})
            self.store.agents[name] = entry
            self.beat(entry)
        me: Any = self
        self.queue: WorkQueue[str] = WorkQueue()
        self.standings = Standings(self.store, self.queue, me, lambda: self.now)
        self.reconciler = AnnouncementReconciler(
            self.store, self.queue, me, self.standings, me, lambda: self.now, timedelta(seconds=180)
        )

    def beat(self, entry: AgentEntry, *known: str) -> Heartbeat:
        entry.heartbeat = Heartbeat(
            reason=HeartbeatReason.QUERIED,
            agent=AgentRef(id=entry.name, instance="i"),
            agent_type="text",
            software_version="1",
            started_at=T0,
            at=self.now,
            acknowledged=known,
        )
        return entry.heartbeat

    def announced(self) -> None:
        self.spread += 1

    def spawn(self, work: Any) -> None:
        work.close()

    async def write_status(self, plural: str, name: str, uid: str, status: dict[str, Any]) -> None:
        if self.failing:
            raise self.failing.pop(0)
        assert (plural, name, uid) == ("announcements", "halt", UID)
        self.written.append(status)

    async def list_all(self, plural: str) -> list[dict[str, Any]]:
        if plural in ("announcements", "agentpools"):
            raise NotFoundError("no such resource")
        return []

    async def list_pages(self, plural: str) -> AsyncIterator[list[dict[str, Any]]]:
        assert plural == "tasks"
        yield []

    async def list_pods(self) -> list[dict[str, Any]]:
        return []

    def listing(self) -> None:
        """Of the reconciler of AgentPools."""

    def listed(self, bodies: list[dict[str, Any]]) -> None:
        assert bodies == []

    def observe(self, generation: int = 1, uid: str = UID, **spec: Any) -> None:
        self.reconciler.observed(
            {
                "metadata": {
                    "name": "halt",
                    "uid": uid,
                    "generation": generation,
                    "creationTimestamp": "2026-01-01T00:00:00Z",
                },
                "spec": {"kind": "Pause", **spec},
            }
        )

    async def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await self.reconciler.reconcile(UID)


async def test_a_burst_of_acknowledgements_costs_one_write() -> None:
    world = World(50)
    world.observe()
    await world.later(0)
    for entry in world.store.agents.values():
        world.standings.heard(entry, world.beat(entry, UID))
        await world.later(0.01)
    assert world.written == []
    await world.later(1)
    (status,) = world.written
    assert (status["targeted"], status["acknowledged"]) == (50, 50)
    assert "pending" not in status or status["pending"] == []
    await world.later(60)
    assert len(world.written) == 1


async def test_a_write_that_fails_is_tried_again() -> None:
    world = World(1)
    world.observe()
    world.failing = [KubeError("away")]
    await world.later(0)
    await world.later(1)
    await world.later(1)
    assert [s["phase"] for s in world.written] == ["Active"]


async def test_its_end_is_told_to_everybody_and_a_change_of_its_time_too() -> None:
    world = World(1)
    world.observe(expiresAt="2026-01-01T00:01:00Z")
    await world.later(0)
    assert world.spread == 1
    await world.later(60)
    assert world.store.announcements[UID].status.phase == "Expired"
    assert world.spread == 2
    world.observe(generation=1, expiresAt="2026-01-01T00:01:00Z")
    assert world.spread == 2
    world.observe(generation=2, expiresAt="2026-01-01T01:00:00Z")
    await world.later(0)
    assert world.store.announcements[UID].status.phase == "Active"
    assert world.spread == 3
    world.reconciler.deleted(UID)
    assert (world.spread, world.store.announcements) == (4, {})


async def test_only_those_are_looked_at_that_may_be_superseded_now() -> None:
    """Notices pile up where nobody gives them an end; a further one must not cost a look at them all."""
    world = World(1)

    async def looked_at() -> set[str]:
        found = set()
        while len(world.queue) and (uid := await world.queue.get()):
            found.add(uid)
            world.queue.done(uid)
        return found

    for uid, kind in (("n", "Notice"), ("q", "QuotaAlert"), ("p", "Pause")):
        world.observe(uid=uid, kind=kind)
    assert await looked_at() == {"n", "q", "p"}
    world.observe(uid="m", kind="Maintenance")
    assert await looked_at() == {"m"}
    world.observe(uid="r", kind="Resume")
    assert await looked_at() == {"p", "r"}
    world.reconciler.deleted("n")
    assert await looked_at() == set()
    world.reconciler.deleted("r")
    assert await looked_at() == {"p"}


async def test_one_deleted_while_it_is_written_is_forgotten() -> None:
    world = World(1)
    world.observe()
    world.failing = [NotFoundError("gone")]
    await world.later(0)
    await world.later(1)
    assert world.store.announcements == {}


async def test_what_an_earlier_operator_heard_stands_until_the_agent_says_otherwise() -> None:
    world = World(2)
    for entry in world.store.agents.values():
        entry.heartbeat = None
        entry.status = AgentStatus(phase="Online", last_heartbeat_time=T0)
    gone = AgentEntry("gone", "text", True, 1, AgentStatus(), T0, T0, {})
    gone.status = AgentStatus(phase="Offline", reason="Left", last_heartbeat_time=T0)
    world.store.agents["gone"] = gone
    at = "2025-12-31T23:59:59.000000Z"
    body = {
        "metadata": {
            "name": "halt", "uid": UID, "generation": 1, "creationTimestamp": "2025-12-31T23:59:00Z",
        },
        "spec": {"kind": "Pause"},
        "status": {"phase": "Active", "acknowledgements": [{"agent": "agent-00", "at": at}]},
    }  # fmt: skip
    world.reconciler.observed(body)
    await world.later(0)
    status = world.store.announcements[UID].status
    assert ([a.agent for a in status.acknowledgements], status.pending) == (["agent-00"], ("agent-01",))
    first = world.store.agents["agent-00"]
    world.standings.heard(first, world.beat(first))
    await world.later(0)
    assert world.store.announcements[UID].status.pending == ("agent-00", "agent-01")


async def test_an_old_cluster_without_the_resource_has_no_announcements() -> None:
    me: Any = World(0)
    resync = Resync(me.store, me, me, me, me.reconciler, me)
    await resync.first()
    assert resync.synced
