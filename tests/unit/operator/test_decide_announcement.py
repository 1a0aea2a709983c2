"""Who is paused, who is to be told, and what an Announcement says: tables, and random histories."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_crds.announcement import (
    MAX_NAMED,
    AgentSelector,
    AnnouncementKind,
    AnnouncementPhase,
    AnnouncementSpec,
    AnnouncementStatus,
)
from harebell_crds.conditions import ConditionStatus, find_condition
from harebell_operator.decide.announcement import (
    Addressee,
    AnnouncementDecision,
    AnnouncementObservation,
    decide,
    is_addressee,
)
from harebell_operator.decide.standing import (
    TELL_AGAIN,
    Announced,
    Listener,
    Position,
    covers,
    follows,
    holding,
    in_force,
    must_tell,
    selects,
    superseded_by,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(seconds=180)
ANNA = Listener("anna", "text", {"zone": "a", "team": "x"})


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def announced(kind: str, seconds: float = 0, expires: float | None = None, **selector: Any) -> Announced:
    spec = AnnouncementSpec(
        kind=AnnouncementKind(kind),
        agent_selector=AgentSelector(**selector),
        expires_at=None if expires is None else at(expires),
    )
    return Announced(f"{kind}-{seconds:g}", f"{kind.lower()}-{seconds:g}", at(seconds), spec)


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ({}, True),
        ({"types": ("text",)}, True),
        ({"types": ("infra", "text")}, True),
        ({"types": ("infra",)}, False),
        ({"names": ("anna",)}, True),
        ({"names": ("bert",)}, False),
        ({"types": ("text",), "names": ("bert",)}, False),
        ({"match_labels": {"zone": "a"}}, True),
        ({"match_labels": {"zone": "a", "team": "y"}}, False),
        ({"match_labels": {"none": ""}}, False),
    ],
)
def test_whom_a_selector_means(selector: dict[str, Any], meant: bool) -> None:
    assert selects(AgentSelector(**selector), ANNA) == meant


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ({}, {}, True),
        ({}, {"types": ("text",)}, True),
        ({"types": ("text",)}, {}, False),
        ({"types": ("a", "b")}, {"types": ("a",)}, True),
        ({"types": ("a",)}, {"types": ("a", "b")}, False),
        ({"names": ("x",)}, {"types": ("a",)}, False),
        ({"match_labels": {"k": "v"}}, {"match_labels": {"k": "v", "l": "w"}}, True),
        ({"match_labels": {"k": "v", "l": "w"}}, {"match_labels": {"k": "v"}}, False),
    ],
)
def test_what_covers_what(wide: dict[str, Any], narrow: dict[str, Any], expected: bool) -> None:
    assert covers(AgentSelector(**wide), AgentSelector(**narrow)) == expected


@pytest.mark.parametrize(
    ("exist", "now", "paused_by"),
    [
        ([], 10, ()),
        ([announced("Pause")], 10, ("pause-0",)),
        ([announced("Notice"), announced("Maintenance")], 10, ()),
        ([announced("Pause"), announced("Resume", 5)], 10, ()),
        ([announced("Resume"), announced("Pause", 5)], 10, ("pause-5",)),
        ([announced("Pause"), announced("Resume", 5), announced("Pause", 9)], 10, ("pause-9",)),
        # A Resume of the same second is taken to be the later one.
        ([announced("Pause", 5), announced("Resume", 5)], 10, ()),
        ([announced("Pause", expires=9)], 10, ()),
        ([announced("Pause", expires=11)], 10, ("pause-0",)),
        # A Resume that is over ends nothing.
        ([announced("Pause"), announced("Resume", 5, expires=9)], 10, ("pause-0",)),
        # One for others ends nothing for this agent.
        ([announced("Pause"), announced("Resume", 5, types=("infra",))], 10, ("pause-0",)),
        ([announced("Pause"), announced("Resume", 5, names=("anna",))], 10, ()),
        ([announced("Pause", types=("infra",))], 10, ()),
        ([announced("Pause"), announced("Pause", 1)], 10, ("pause-0", "pause-1")),
    ],
)
def test_who_is_paused(exist: list[Announced], now: float, paused_by: tuple[str, ...]) -> None:
    assert holding(in_force(exist, at(now)), ANNA).paused_by == paused_by


def test_a_later_word_for_all_of_them_supersedes_and_one_for_some_does_not() -> None:
    pause, resume = announced("Pause"), announced("Resume", 5)
    some = announced("Resume", 5, names=("anna",))
    assert superseded_by(pause, [pause, resume]) == resume
    assert superseded_by(pause, [pause, some]) is None
    assert superseded_by(resume, [pause, resume, announced("Pause", 9)]) == announced("Pause", 9)
    assert superseded_by(announced("Notice"), [announced("Notice"), resume]) is None
    assert [a.name for a in in_force([pause, resume], at(9))] == ["resume-5"]
    assert [a.name for a in in_force([pause, some], at(9))] == ["pause-0", "resume-5"]


SELECTORS = st.builds(
    AgentSelector,
    types=st.lists(st.sampled_from(["text", "infra"]), max_size=2, unique=True).map(tuple),
    names=st.lists(st.sampled_from(["anna", "bert", "carl"]), max_size=2, unique=True).map(tuple),
    match_labels=st.dictionaries(st.sampled_from(["zone", "team"]), st.sampled_from(["a", "x"]), max_size=2),
)
LISTENERS = st.builds(
    Listener,
    st.sampled_from(["anna", "bert", "carl"]),
    st.sampled_from(["text", "infra"]),
    st.dictionaries(st.sampled_from(["zone", "team"]), st.sampled_from(["a", "x"]), max_size=2),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Announced]:
    found = []
    for n in range(draw(st.integers(0, 7))):
        kind = draw(
            st.sampled_from([AnnouncementKind.PAUSE, AnnouncementKind.RESUME, AnnouncementKind.NOTICE])
        )
        expires = draw(st.none() | st.integers(0, 12))
        spec = AnnouncementSpec(
            kind=kind,
            agent_selector=draw(SELECTORS),
            expires_at=None if expires is None else at(expires),
        )
        found.append(Announced(f"u{n}", f"n{n}", at(draw(st.integers(0, 6))), spec))
    return found


@given(histories(), LISTENERS, st.integers(0, 12))
def test_superseding_changes_nothing_for_any_agent(
    exist: list[Announced], agent: Listener, seconds: int
) -> None:
    """Leaving out what is superseded is for the status; who is paused is what the plain rule says."""
    for_it = [
        a
        for a in exist
        if selects(a.spec.agent_selector, agent)
        and (a.spec.expires_at is None or a.spec.expires_at > at(seconds))
    ]
    resumes = [a for a in for_it if a.spec.kind == AnnouncementKind.RESUME]
    pauses = [a for a in for_it if a.spec.kind == AnnouncementKind.PAUSE]
    paused = any(not any(follows(r, p) for r in resumes) for p in pauses)
    assert holding(in_force(exist, at(seconds)), agent).position.paused == paused


@given(SELECTORS, SELECTORS, LISTENERS)
def test_what_covers_means_whatever_is_covered(
    wide: AgentSelector, narrow: AgentSelector, agent: Listener
) -> None:
    if covers(wide, narrow) and selects(narrow, agent):
        assert selects(wide, agent)


FREE, PAUSED = Position(), Position(True, frozenset({"p"}))


@pytest.mark.parametrize(
    ("said", "wanted", "told", "tell"),
    [
        (FREE, FREE, None, False),
        (FREE, PAUSED, None, True),
        (PAUSED, PAUSED, None, False),
        # Just told: its answer is on the way.
        (FREE, PAUSED, (PAUSED, at(0)), False),
        # Told, and it still does not say so: the message was lost.
        (FREE, PAUSED, (PAUSED, at(0) - TELL_AGAIN), True),
        # Told something else that it has not answered yet.
        (FREE, FREE, (PAUSED, at(0)), True),
        (PAUSED, FREE, (PAUSED, at(0)), True),
    ],
)
def test_when_an_agent_is_told(
    said: Position, wanted: Position, told: tuple[Position, datetime] | None, tell: bool
) -> None:
    assert must_tell(said, wanted, told, at(1)) == tell


@pytest.mark.parametrize(
    ("last_heard", "gone", "counts"),
    [(0, False, True), (-179, False, True), (-180, False, False), (0, True, False), (None, False, False)],
)
def test_whom_it_waits_for(last_heard: float | None, gone: bool, counts: bool) -> None:
    heard = None if last_heard is None else at(last_heard)
    assert is_addressee(heard, gone, T0, WINDOW) == counts


def decided(
    *agents: tuple[str, float | None],
    status: AnnouncementStatus | None = None,
    now: float = 1,
    superseded: str | None = None,
    expires: float | None = None,
) -> AnnouncementDecision:
    observation = AnnouncementObservation(
        generation=2,
        spec=announced("Pause", expires=expires).spec,
        status=status or AnnouncementStatus(),
        superseded_by=superseded,
        addressees=tuple(Addressee(n, None if s is None else at(s)) for n, s in agents),
    )
    return decide(observation, at(now))


def condition(status: AnnouncementStatus, kind: str) -> tuple[ConditionStatus, str, str]:
    found = find_condition(status.conditions, kind)
    assert found
    return found.status, found.reason, found.message


def test_stragglers_are_named() -> None:
    status = decided(("carl", None), ("anna", 0.5), ("bert", None)).status
    assert (status.phase, status.observed_generation) == (AnnouncementPhase.ACTIVE, 2)
    assert (status.targeted, status.acknowledged, status.pending) == (3, 1, ("bert", "carl"))
    assert [(a.agent, a.at) for a in status.acknowledgements] == [("anna", at(0.5))]
    assert condition(status, "Acknowledged") == (
        ConditionStatus.FALSE,
        "Waiting",
        "1 of 3 agents have acknowledged; not yet: bert, carl",
    )
    done = decided(("anna", 0.5), ("bert", 0.6), status=status).status
    assert condition(done, "Acknowledged")[:2] == (ConditionStatus.TRUE, "AllAcknowledged")
    assert condition(decided().status, "Acknowledged")[:2] == (ConditionStatus.TRUE, "NoAgents")


def test_lists_are_bounded_and_counts_exact() -> None:
    many = [(f"a-{n:04}", None if n % 2 else 0.5) for n in range(1000)]
    status = decided(*many).status
    assert (status.targeted, status.acknowledged) == (1000, 500)
    assert (len(status.pending), len(status.acknowledgements)) == (MAX_NAMED, MAX_NAMED)
    assert condition(status, "Acknowledged")[2].endswith(" and 490 more")


def test_it_ends_at_its_time_and_stays_as_it_was() -> None:
    early = decided(("anna", 0.5), ("bert", None), expires=9)
    assert early.wake_at == at(9)
    over = decided(("anna", 0.5), ("bert", None), status=early.status, expires=9, now=9)
    assert (over.status.phase, over.wake_at) == (AnnouncementPhase.EXPIRED, None)
    assert condition(over.status, "InForce")[:2] == (ConditionStatus.FALSE, "Expired")
    later = decided(("carl", None), status=over.status, expires=9, now=99)
    assert later.status == over.status
    assert later.status.pending == ("bert",)
    # Prolonged, it is in force again.
    again = decided(("carl", None), status=over.status, expires=200, now=99).status
    assert (again.phase, again.pending) == (AnnouncementPhase.ACTIVE, ("carl",))


def test_it_says_what_supersedes_it() -> None:
    status = decided(("anna", 0.5), superseded="Resume go-on").status
    assert status.phase == AnnouncementPhase.SUPERSEDED
    assert condition(status, "InForce") == (
        ConditionStatus.FALSE,
        "Superseded",
        "superseded by Resume go-on",
    )
