"""A list that is read while the watches go on: what they tell meanwhile is newer."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_operator.agents import AgentReconciler
from harebell_operator.announcements import AnnouncementReconciler
from harebell_operator.pools import PoolReconciler
from harebell_operator.resync import Resync
from harebell_operator.store import Store
from harebell_operator.superseding import Superseding
from harebell_operator.tasks import TaskReconciler
from harebell_operator.workqueue import WorkQueue

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE = {"spec": {"containers": [{"name": "agent", "image": "i"}]}}
SPECS: dict[str, dict[str, Any]] = {
    "tasks": {"agentType": "t", "action": "a"},
    "agents": {"type": "t"},
    "announcements": {"kind": "Pause", "message": "m"},
    "agentpools": {"type": "t", "replicas": 1, "template": TEMPLATE},
}
CHANGES: dict[str, dict[str, Any]] = {
    "tasks": {"cancel": "Graceful"},
    "agents": {"paused": True},
    "announcements": {"expiresAt": "2026-01-02T00:00:00Z"},
    "agentpools": {"replicas": 5},
}


def object_of(plural: str, generation: int = 1, uid: str = "u", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "ns",
            "name": "n",
            "uid": uid,
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels,
        },
        "spec": {**SPECS[plural], **(CHANGES[plural] if generation > 1 else {})},
    }


class World:
    """An operator. Also stands in for the API server, the broker and all else that reconcilers act on."""

    def __init__(self) -> None:
        self.store = Store()
        self.served: dict[str, list[dict[str, Any]]] = {plural: [] for plural in SPECS}
        self.meanwhile: list[Callable[[], None]] = []
        """Happens once the last list was answered, and before the answer is there."""
        me: Any = self
        queue: WorkQueue[str] = WorkQueue()
        superseding = Superseding(self.store, me)
        self.agents = AgentReconciler(
            self.store, queue, queue, queue, me, me, me, me, me, superseding, self.clock, 60, None, "operator"
        )
        self.tasks = TaskReconciler(
            self.store, queue, me, me, self.agents, me, me, superseding, self.clock, "operator"
        )
        self.announcements = AnnouncementReconciler(
            self.store, queue, me, me, self.agents, self.clock, timedelta(seconds=180)
        )
        self.agentpools = PoolReconciler(
            self.store, queue, me, me, self.agents, self.clock, timedelta(seconds=180), None, "operator"
        )
        self.resync = Resync(self.store, me, self.tasks, self.agents, self.announcements, self.agentpools)

    def clock(self) -> datetime:
        return T0

    async def list_all(self, plural: str) -> list[dict[str, Any]]:
        answer = list(self.served[plural])
        if plural == "agents" and not self.served["tasks"]:
            self.happen()
        return answer

    async def list_pages(self, plural: str) -> AsyncIterator[list[dict[str, Any]]]:
        answer = list(self.served[plural])
        self.happen()
        for body in answer:
            yield [body]

    def happen(self) -> None:
        while self.meanwhile:
            self.meanwhile.pop(0)()

    async def list_pods(self) -> list[dict[str, Any]]:
        return []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None

    # ---- what is told

    def observed(self, plural: str, body: dict[str, Any]) -> None:
        getattr(self, plural).observed(body)

    def deleted(self, plural: str) -> None:
        getattr(self, plural).deleted("n" if plural == "agents" else "u")

    async def read(self) -> None:
        """Read everything once."""
        self.resync.synced = False
        await self.resync.first()

    def known(self, plural: str) -> dict[str, int]:
        """The generations of the objects there are."""
        entries: Any = {**vars(self.store), "agentpools": self.store.pools}[plural]
        return {e.uid: e.generation for e in entries.values() if plural != "agents" or e.exists}


@pytest.fixture
def world() -> World:
    return World()


async def test_not_all_tasks_are_held_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand finished ones with 20 KiB each would be more than the operator has memory for."""
    world.served["tasks"] = [object_of("tasks", uid=f"u{n}") for n in range(3)]
    known_before: list[int] = []

    async def pages(_: str) -> AsyncIterator[list[dict[str, Any]]]:
        for body in world.served["tasks"]:
            known_before.append(len(world.store.tasks))
            yield [body]

    monkeypatch.setattr(world, "list_pages", pages)
    await world.read()
    assert known_before == [0, 1, 2]
    world.served["tasks"] = world.served["tasks"][1:]
    await world.read()
    assert set(world.store.tasks) == {"u1", "u2"}


every_kind = pytest.mark.parametrize("plural", SPECS)


@every_kind
async def test_what_was_deleted_meanwhile_does_not_come_back(world: World, plural: str) -> None:
    world.served[plural] = [object_of(plural)]
    await world.read()
    assert world.known(plural) == {"u": 1}
    world.meanwhile = [lambda: world.deleted(plural)]
    await world.read()
    assert world.known(plural) == {}


@every_kind
async def test_what_came_and_went_meanwhile_does_not_come_back(world: World, plural: str) -> None:
    world.served[plural] = [object_of(plural)]
    # The watch tells of one that is gone at once only that it is.
    world.meanwhile = [lambda: world.deleted(plural)]
    await world.read()
    assert world.known(plural) == {}


@every_kind
async def test_what_was_changed_meanwhile_stays_so(world: World, plural: str) -> None:
    world.served[plural] = [object_of(plural)]
    await world.read()
    world.meanwhile = [lambda: world.observed(plural, object_of(plural, 2))]
    await world.read()
    assert world.known(plural) == {"u": 2}
    world.observed(plural, object_of(plural))
    assert world.known(plural) == {"u": 2}


@every_kind
async def test_what_a_watch_missed_is_caught_by_the_next_list(world: World, plural: str) -> None:
    world.served[plural] = [object_of(plural)]
    world.meanwhile = [lambda: world.deleted(plural)]
    await world.read()
    await world.read()
    assert world.known(plural) == {"u": 1}
    world.served[plural] = [object_of(plural, 2)]
    await world.read()
    assert world.known(plural) == {"u": 2}
    world.served[plural] = []
    await world.read()
    assert world.known(plural) == {}


async def test_an_agent_that_was_made_anew_meanwhile_is_there(world: World) -> None:
    world.served["agents"] = [object_of("agents", 3)]
    await world.read()
    again = object_of("agents", uid="another")
    for listed in ([], [object_of("agents", 3)]):
        world.served["agents"] = listed
        world.meanwhile = [lambda: world.deleted("agents"), lambda: world.observed("agents", again)]
        await world.read()
        assert world.known("agents") == {"another": 1}


async def test_labels_that_an_agent_was_given_meanwhile_stay(world: World) -> None:
    world.served["agents"] = [object_of("agents", team="old")]
    await world.read()
    world.meanwhile = [lambda: world.observed("agents", object_of("agents", team="new"))]
    await world.read()
    assert world.store.agents["n"].labels == {"team": "new"}
