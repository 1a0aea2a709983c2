"""What is done about an AgentPool, by tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_crds.conditions import find_condition
from harebell_crds.pool import AgentPoolStatus, RollingUpdate
from harebell_operator.decide.pod import PodFacts, Trouble
from harebell_operator.decide.pool import (
    BURST,
    REVIEW,
    SETTLED,
    STEADY,
    Member,
    PoolDecision,
    PoolObservation,
    Presence,
    Setback,
    another_setback,
    decide,
    presence_of,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ONLINE, OFFLINE, UNHEARD, ABSENT = Presence.ONLINE, Presence.OFFLINE, Presence.UNHEARD, Presence.ABSENT


def pod(name: str, version: str = "new", age: float = 0, **more: Any) -> PodFacts:
    created = T0 - timedelta(seconds=age)
    return PodFacts(name, name, "pool", created, version, created, **more)


def member(
    name: str, presence: Presence = ONLINE, version: str = "new", age: float = 0, **more: Any
) -> Member:
    return Member(pod(name, version, age), presence, **more)


def crashed(
    name: str, up_for: float | None = None, presence: Presence = ONLINE, version: str = "new"
) -> Member:
    """One whose agent ended and was started again so many seconds ago, or not yet."""
    since = None if up_for is None else T0 - timedelta(seconds=up_for)
    return Member(replace(pod(name, version), running_since=since, restarted=True), presence)


def decided(
    replicas: int, *members: Member, setback: Setback | None = None, surge: int = 1, unavailable: int = 0
) -> PoolDecision:
    rollout = RollingUpdate(max_surge=surge, max_unavailable=unavailable)
    return decide(
        PoolObservation("uid", 1, replicas, "new", "pool=p", AgentPoolStatus(), members, setback, rollout),
        T0,
    )


def condition(decision: PoolDecision, kind: str) -> tuple[str, str]:
    found = find_condition(decision.status.conditions, kind)
    assert found is not None
    return found.status.value, found.reason


IDLE, BUSY = member("idle"), member("busy", tasks=1)
DRAINING = member("draining", tasks=1, draining=True)
DRAINED = member("drained", draining=True, drained=True)


@pytest.mark.parametrize(
    ("replicas", "members", "drain", "undrain", "delete", "create"),
    [
        (3, (), "", "", "", 3),
        (2, (IDLE, BUSY), "", "", "", 0),
        (0, (), "", "", "", 0),
        # The idle one is told first, and goes only when it has said that it knows.
        (1, (IDLE, BUSY), "idle", "", "", 0),
        (1, (DRAINED, BUSY), "", "", "drained", 0),
        (1, (member("told", draining=True), BUSY), "", "", "", 0),
        # All work: the one with the least, and of those the newest, is not given more.
        (2, (member("two", tasks=2), member("old", age=9, tasks=1), BUSY), "busy", "", "", 0),
        (0, (BUSY,), "busy", "", "", 0),
        # Of equals the one that somebody wants to be gone, though not while another is idle.
        (1, (IDLE, member("leaving", age=9, leaving=True)), "leaving", "", "", 0),
        (1, (BUSY, member("leaving", age=9, tasks=2, leaving=True)), "leaving", "", "", 0),
        (1, (member("leaving", tasks=1, leaving=True), IDLE), "idle", "", "", 0),
        # Who falls idle goes instead of one that goes on working.
        (1, (IDLE, DRAINING), "idle", "draining", "", 0),
        (1, (BUSY, DRAINING), "", "", "", 0),
        # A scale-up takes back what has not happened yet, before anything is made.
        (2, (DRAINED, BUSY), "", "drained", "", 0),
        (3, (DRAINED, DRAINING), "", "drained draining", "", 1),
        # Those without an agent go first of all, and at once.
        (1, (IDLE, member("starting", ABSENT)), "starting", "", "starting", 0),
        (1, (IDLE, member("silent", OFFLINE, tasks=1)), "silent", "", "silent", 0),
        (1, (IDLE, crashed("crashed", version="new")), "crashed", "", "", 0),
        # One that may be there has to be heard of.
        (1, (IDLE, member("unheard", UNHEARD)), "unheard", "", "", 0),
        (1, (IDLE, member("known", UNHEARD, expected=True, age=9)), "idle", "", "", 0),
        # What it said before it was known to have a Task does not count.
        (0, (replace(DRAINED, tasks=1),), "", "", "", 0),
        # One that ended is taken away and another made.
        (2, (IDLE, Member(pod("ended", ended=True), OFFLINE)), "", "", "ended", 1),
    ],
)  # fmt: skip
def test_scaling(
    replicas: int, members: tuple[Member, ...], drain: str, undrain: str, delete: str, create: int
) -> None:
    decision = decided(replicas, *members)
    assert sorted(decision.drain) == sorted(drain.split())
    assert sorted(decision.undrain) == sorted(undrain.split())
    assert sorted(decision.delete) == sorted(delete.split())
    assert decision.create == create


def test_it_looks_again_after_so_many() -> None:
    assert decided(BURST + 1).create == BURST
    members = [member(f"m{n}", draining=True, drained=True) for n in range(BURST + 1)]
    assert len(decided(0, *members).delete) == BURST


OLD = [member(f"old{n}", version="old", age=n) for n in range(3)]


STEADIED = STEADY.total_seconds()


@pytest.mark.parametrize(
    ("replicas", "members", "drain", "delete", "create"),
    [
        # One more than wanted, and no old one goes before it is ready.
        (3, OLD, "", "", 1),
        (3, [*OLD, member("new", ABSENT)], "", "", 0),
        (3, [*OLD, member("new", UNHEARD)], "", "", 0),
        (3, [*OLD, IDLE], "old0", "", 0),
        (3, [replace(OLD[0], tasks=1), *OLD[1:], IDLE], "old1", "", 0),
        (3, [*OLD[1:], IDLE], "", "", 1),
        # The last one.
        (3, [OLD[0], *(member(f"new{n}") for n in range(3))], "old0", "", 0),
        # Old ones that do not work are in nobody's way.
        (2, [replace(o, presence=ABSENT) for o in OLD[:2]], "old0 old1", "old0 old1", 1),
        # A template that does not work stops at one Pod, and the next one replaces that.
        (2, [*OLD[:2], replace(IDLE, presence=ABSENT)], "", "", 0),
        (2, [*OLD[:2], member("bad", ABSENT, version="bad")], "bad", "bad", 0),
        # Nor does one whose agents register and crash: heartbeats of the dead are still young, and each start
        # would bring another.
        (3, [*OLD, crashed("bad")], "", "", 0),
        (3, [*OLD, crashed("bad", presence=UNHEARD)], "", "", 0),
        (3, [*OLD, crashed("bad", up_for=STEADIED - 1)], "", "", 0),
        (3, [*OLD, crashed("mended", up_for=STEADIED)], "old0", "", 0),
        # Which says nothing against old ones.
        (3, [*OLD[1:], crashed("old", up_for=1, version="old"), IDLE], "old", "", 0),
        # Scaled while it is rolled out.
        (1, OLD, "old0 old1", "", 0),
        (1, [*OLD, IDLE], "old0 old1 old2", "", 0),
        (0, [*OLD, BUSY], "old0 old1 old2 busy", "", 0),
        (5, [*OLD, IDLE], "", "", 2),
        # To a template of before.
        (1, [IDLE, member("other", version="old")], "other", "", 0),
    ],
)
def test_a_new_template(replicas: int, members: list[Member], drain: str, delete: str, create: int) -> None:
    decision = decided(replicas, *members)
    assert sorted(decision.drain) == sorted(drain.split())
    assert sorted(decision.delete) == sorted(delete.split())
    assert decision.create == create


@pytest.mark.parametrize(
    ("surge", "unavailable", "members", "drain", "delete", "create"),
    [
        # Where no node has room for one more: an old one goes first, an idle one if there is any.
        (0, 1, OLD, "old0", "", 0),
        (0, 1, [replace(OLD[0], tasks=1), *OLD[1:]], "old1", "", 0),
        (0, 1, [replace(OLD[0], draining=True), *OLD[1:]], "", "", 0),
        (0, 1, [replace(OLD[0], draining=True, drained=True), *OLD[1:]], "", "old0", 0),
        (0, 1, OLD[1:], "", "", 1),
        # And no other before the new one is ready: a template that does not work stops there.
        (0, 1, [*OLD[1:], member("new", ABSENT)], "", "", 0),
        (0, 1, [*OLD[1:], IDLE], "old1", "", 0),
        (0, 1, [*OLD[1:], crashed("bad")], "", "", 0),
        # Faster, and all at once.
        (2, 0, OLD, "", "", 2),
        (2, 0, [*OLD, IDLE, member("other")], "old0 old1", "", 0),
        (1, 1, OLD, "old0", "", 1),
        (0, 9, OLD, "old0 old1 old2", "", 0),
        # What is missing for another reason counts too.
        (0, 1, [*OLD[:2], replace(OLD[2], presence=ABSENT)], "old2", "old2", 0),
    ],
)
def test_a_new_template_by_the_strategy(
    surge: int, unavailable: int, members: list[Member], drain: str, delete: str, create: int
) -> None:
    decision = decided(3, *members, surge=surge, unavailable=unavailable)
    assert sorted(decision.drain) == sorted(drain.split())
    assert sorted(decision.delete) == sorted(delete.split())
    assert decision.create == create


def test_what_the_status_counts() -> None:
    members = [
        IDLE,
        BUSY,
        DRAINING,
        OLD[0],
        member("starting", ABSENT),
        Member(pod("x", ended=True), OFFLINE),
    ]
    status = decided(5, *members).status
    assert (status.replicas, status.ready_replicas, status.busy_replicas) == (5, 4, 2)
    assert (status.draining_replicas, status.updated_replicas) == (1, 4)
    assert (status.selector, status.observed_generation) == ("pool=p", 1)


@pytest.mark.parametrize(
    ("replicas", "members", "ready", "progressing"),
    [
        (2, (IDLE, BUSY), ("True", "AgentsReady"), ("False", "Stable")),
        (0, (), ("True", "AgentsReady"), ("False", "Stable")),
        (2, (IDLE,), ("False", "AgentsNotReady"), ("True", "ScalingUp")),
        (1, (IDLE, BUSY), ("True", "AgentsReady"), ("True", "ScalingDown")),
        (1, (OLD[0],), ("True", "AgentsReady"), ("True", "RollingOut")),
    ],
)
def test_conditions(
    replicas: int, members: tuple[Member, ...], ready: tuple[str, str], progressing: tuple[str, str]
) -> None:
    decision = decided(replicas, *members)
    assert condition(decision, "Ready") == ready
    assert condition(decision, "Progressing") == progressing
    assert condition(decision, "ReplicaFailure") == ("False", "NoFailure")


def test_why_a_pod_does_not_come_up_is_said() -> None:
    stuck = [
        Member(pod(f"stuck{n}", trouble=Trouble("ImagePullBackOff", "no such image")), ABSENT) for n in (1, 2)
    ]
    sidecar = Member(pod("a", trouble=Trouble("CrashLoopBackOff", "a sidecar")), ONLINE)
    decision = decided(3, sidecar, *stuck)
    assert condition(decision, "Ready") == ("False", "ImagePullBackOff")
    assert condition(decision, "ReplicaFailure") == ("True", "ImagePullBackOff")
    failure = find_condition(decision.status.conditions, "ReplicaFailure")
    assert failure is not None
    assert failure.message == "Pod stuck1 (and 2 more): no such image"


def test_after_a_setback_it_waits_longer_each_time() -> None:
    trouble = Trouble("FailedCreate", "exceeded quota")
    setback: Setback | None = None
    waits = []
    for n in range(12):
        setback = another_setback(setback, trouble, T0)
        assert setback.count == n + 1
        decision = decided(1, setback=setback)
        assert decision.create == 0
        assert condition(decision, "ReplicaFailure") == ("True", "FailedCreate")
        assert decision.wake_at is not None
        waits.append((decision.wake_at - T0).total_seconds())
    assert waits[0] <= 1
    assert waits[:8] == sorted(waits[:8])
    assert all(200 <= w <= 300 for w in waits[9:])
    assert setback is not None
    later = setback.due("uid")
    again = decide(PoolObservation("uid", 1, 1, "new", "", AgentPoolStatus(), (), setback), later)
    assert again.create == 1
    # Nobody is told of it once there is nothing to make, and in time it is forgotten.
    assert condition(decided(1, IDLE, setback=setback), "ReplicaFailure") == ("False", "NoFailure")
    assert another_setback(setback, trouble, T0 + SETTLED).count == 1


@pytest.mark.parametrize(
    ("running", "known", "heard", "gone", "due", "expected"),
    [
        (False, False, False, False, None, ABSENT),
        (True, False, False, False, None, UNHEARD),
        (True, False, False, False, T0 + REVIEW, UNHEARD),
        (True, False, False, False, T0, OFFLINE),
        (True, True, False, False, T0, UNHEARD),
        (False, True, False, False, T0, UNHEARD),
        (True, True, True, False, T0, ONLINE),
        (True, True, True, True, None, OFFLINE),
        (True, True, False, True, None, OFFLINE),
    ],
)
def test_presence(
    running: bool, known: bool, heard: bool, gone: bool, due: datetime | None, expected: Presence
) -> None:
    facts = replace(pod("p"), running_since=T0 if running else None)
    assert presence_of(facts, known=known, heard=heard, gone=gone, due=due, now=T0) == expected


def test_one_whose_agent_crashed_is_not_ready() -> None:
    trouble = Trouble("CrashLoopBackOff", "exit code 139")
    down = replace(crashed("p"), pod=replace(crashed("p").pod, trouble=trouble))
    decision = decided(1, down)
    assert decision.status.ready_replicas == 0
    assert condition(decision, "Ready") == ("False", "CrashLoopBackOff")
    assert decided(1, crashed("p", up_for=1)).status.ready_replicas == 1


def test_it_looks_again_at_what_no_event_tells() -> None:
    assert decided(1, OLD[0], crashed("new", up_for=20)).wake_at == T0 + STEADY - timedelta(seconds=20)
    assert decided(1, OLD[0], crashed("new", up_for=STEADIED)).wake_at is None
    assert decided(1, crashed("new", up_for=20)).wake_at is None
    assert decided(1, member("unheard", UNHEARD)).wake_at == T0 + REVIEW
    assert decided(1, IDLE).wake_at is None
