"""What agents are told, with a store and a broker that only writes down."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, Heartbeat, HeartbeatReason, PodRef, Standing
from harebell_bus.errors import UnroutableError
from harebell_crds.agent import AgentSpec, AgentStatus
from harebell_crds.announcement import AnnouncementKind, AnnouncementSpec, AnnouncementStatus
from harebell_operator.decide.pod import PodFacts
from harebell_operator.decide.standing import Drain, OrderKind, ordered
from harebell_operator.standings import BATCH, Standings
from harebell_operator.store import AgentEntry, AnnouncementEntry, PodEntry, Store
from harebell_operator.workqueue import WorkQueue

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """One agent, its operator's standings, and what passes between them. Also stands in for the broker."""

    def __init__(self) -> None:
        self.now = T0
        self.store = Store()
        self.queue: WorkQueue[str] = WorkQueue()
        self.sent: list[Standing] = []
        self.lost = False
        self.publisher = self
        broker: Any = self
        self.standings = Standings(self.store, self.queue, broker, lambda: self.now)
        self.agent = AgentEntry("anna", "text", True, 1, AgentStatus(), T0, T0, {})
        self.store.agents["anna"] = self.agent

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(work)

    async def publish(self, exchange: str, message: Standing, **_: Any) -> None:
        if self.lost:
            raise UnroutableError("nobody there")
        self.sent.append(message)

    def announce(self, uid: str, kind: str = "Pause", expires: float | None = None) -> None:
        spec = AnnouncementSpec(
            kind=AnnouncementKind(kind), expires_at=T0 + timedelta(seconds=expires) if expires else None
        )
        status = AnnouncementStatus()
        self.store.announcements[uid] = AnnouncementEntry(uid, uid, 1, self.now, spec, status, status)
        self.change()

    def change(self) -> None:
        self.standings.invalidate()
        self.standings.tell(self.agent)

    def beat(
        self, *known: str, paused: bool = False, reason: HeartbeatReason = HeartbeatReason.INTERVAL
    ) -> None:
        self.agent.heartbeat = Heartbeat(
            reason=reason,
            agent=AgentRef(id="anna", instance="a1"),
            agent_type="text",
            software_version="1",
            started_at=T0,
            at=self.now,
            paused=paused,
            acknowledged=known,
            pod=PodRef(namespace="ns", name="anna", uid="pod"),
        )
        self.standings.heard(self.agent, self.agent.heartbeat)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.mark.parametrize("never", ["9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59Z"])
def test_what_ends_when_time_does_keeps_nobody_from_being_told(never: str) -> None:
    world = World()
    world.announce("p")
    spec = AnnouncementSpec.model_validate({"kind": "Notice", "expiresAt": never})
    world.store.announcements["n"] = replace(world.store.announcements["p"], name="n", uid="n", spec=spec)
    world.standings.invalidate()
    world.beat()
    (told,) = world.sent
    assert (told.paused, {a.uid for a in told.announcements}) == (True, {"p", "n"})
    assert spec.to_wire()["expiresAt"] == "9999-12-31T23:59:59Z"


def test_an_agent_is_told_once_and_then_agrees() -> None:
    world = World()
    world.beat()
    assert world.sent == []
    world.announce("p")
    (told,) = world.sent
    assert (told.paused, told.in_force, [a.kind for a in told.announcements]) == (True, ("p",), ["Pause"])
    world.beat()
    world.beat("p", paused=True)
    world.wait(60)
    world.beat("p", paused=True)
    assert len(world.sent) == 1
    assert world.store.announcements["p"].acknowledged == {"anna": T0}


def test_one_that_does_not_say_so_is_told_again() -> None:
    world = World()
    world.beat()
    world.announce("p")
    world.wait(60)
    world.beat()
    assert [s.paused for s in world.sent] == [True, True]


def test_one_that_could_not_be_reached_is_told_with_its_next_heartbeat() -> None:
    world = World()
    world.beat()
    world.lost = True
    world.announce("p")
    world.lost = False
    world.beat()
    assert [s.paused for s in world.sent] == [True]


def test_one_that_joins_or_comes_back_is_told() -> None:
    world = World()
    world.announce("p")
    assert world.sent == []
    world.beat(reason=HeartbeatReason.REGISTERED)
    world.beat(reason=HeartbeatReason.REGISTERED)
    assert [s.paused for s in world.sent] == [True, True]
    world.beat("p", paused=True)
    assert "anna" in world.store.announcements["p"].acknowledged
    # Its process starts anew, and knows nothing.
    world.beat(reason=HeartbeatReason.REGISTERED)
    assert len(world.sent) == 3
    assert world.store.announcements["p"].acknowledged == {}


def test_the_end_of_a_pause_is_told_whatever_ends_it() -> None:
    for end in ("expiry", "deletion", "resume"):
        world = World()
        world.beat()
        world.announce("p", expires=10 if end == "expiry" else None)
        world.beat("p", paused=True)
        world.wait(11)
        if end == "resume":
            world.announce("r", "Resume")
        else:
            if end == "deletion":
                del world.store.announcements["p"]
                world.standings.invalidate()
            world.standings.tell(world.agent)
        last = world.sent[-1]
        assert (last.paused, last.in_force) == (False, ("r",) if end == "resume" else ())


def test_a_restarted_operator_pauses_who_missed_it_and_leaves_alone_who_did_not() -> None:
    for paused in (True, False):
        world = World()
        world.announce("p")
        world.beat(*(["p"] if paused else []), paused=paused)
        assert bool(world.sent) != paused


def test_who_has_left_is_not_told() -> None:
    world = World()
    world.beat()
    world.agent.gone = "Left"
    world.announce("p")
    assert world.sent == []


def test_very_many_are_told_in_parts() -> None:
    world = World()
    world.beat()
    for n in range(BATCH + 5):
        world.announce(f"n{n:03}", "Notice")
    first = world.sent[-1]
    assert (len(first.in_force), len(first.announcements)) == (BATCH + 5, BATCH)
    world.beat(*(a.uid for a in first.announcements))
    world.wait(6)
    world.beat(*(a.uid for a in first.announcements))
    assert len(world.sent[-1].announcements) == 5


def last(world: World) -> tuple[bool, tuple[str, ...]]:
    """Whether the agent was last told to pause, and what holds."""
    return world.sent[-1].paused, world.sent[-1].in_force


def test_one_whose_pod_is_to_go_is_paused_beside_what_is_announced() -> None:
    world = World()
    pod = world.store.pods["pod"] = PodEntry(PodFacts("anna", "pod", "pool", T0, "", T0), since=T0)
    world.beat()
    pod.drain = Drain("d1", "crew", T0)
    world.standings.tell(world.agent)
    (told,) = world.sent
    assert (told.paused, told.in_force) == (True, ("d1",))
    assert [(a.uid, a.kind, a.name) for a in told.announcements] == [("d1", "Drain", "crew")]
    assert world.standings.of(world.agent).paused_by == ("AgentPool crew",)
    world.beat("d1", paused=True)
    # The end of a Pause is not the end of the drain.
    world.announce("p")
    assert last(world)[1] == ("d1", "p")
    del world.store.announcements["p"]
    world.change()
    assert last(world) == (True, ("d1",))
    # Taken back, and begun anew: the old answer does not serve.
    pod.drain = None
    world.change()
    assert last(world) == (False, ())
    pod.drain = Drain("d2", "crew", T0)
    world.change()
    assert last(world) == (True, ("d2",))
    assert world.standings.of(world.agent).drain == pod.drain


def test_what_the_spec_asks_holds_beside_everything_else() -> None:
    world = World()
    world.agent.order = ordered(AgentSpec(type="text", paused=True), "anna", "u", 2, T0)
    world.beat()
    (told,) = world.sent
    assert (told.paused, told.in_force) == (True, ("u.2",))
    assert [(a.uid, a.kind, a.name) for a in told.announcements] == [("u.2", "Pause", "anna")]
    assert world.standings.of(world.agent).paused_by == ("spec.paused of Agent anna",)
    world.beat("u.2", paused=True)
    # A Resume is the end of Pauses, not of what the spec says.
    world.announce("r", "Resume")
    assert last(world) == (True, ("u.2", "r"))
    world.agent.order = ordered(AgentSpec(type="text"), "anna", "u", 3, T0)
    world.change()
    assert last(world) == (False, ("r",))


@pytest.mark.parametrize(
    ("paused", "drain", "asked"),
    [
        (False, False, None),
        (True, False, OrderKind.PAUSE),
        (False, True, OrderKind.DRAIN),
        (True, True, OrderKind.DRAIN),
    ],
)
def test_drain_is_the_stronger_word(paused: bool, drain: bool, asked: OrderKind | None) -> None:
    order = ordered(AgentSpec(type="text", paused=paused, drain=drain), "anna", "u", 7, T0)
    assert (order and (order.uid, order.kind)) == (asked and ("u.7", asked))


def test_only_the_agent_of_the_pod_is_drained() -> None:
    world = World()
    world.store.pods["other"] = PodEntry(
        PodFacts("bob", "other", "pool", T0, "", T0), Drain("d", "crew", T0), since=T0
    )
    world.beat()
    assert world.sent == []
