"""Which announcements hold for which agent, and whether it has to be told.

An agent is paused while a Pause in force is for it that no later Resume in force is for. So everything
follows from the Announcements that exist and the time: nothing has to be remembered, and deleting one, or its
expiry, undoes it. An agent whose Pod an AgentPool is about to remove is paused too, until that is done or
taken back; so is one whose own spec says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from harebell_crds.agent import AgentSpec
from harebell_crds.announcement import AgentSelector, AnnouncementKind, AnnouncementSpec

TELL_AGAIN = timedelta(seconds=5)
"""An agent that was told has so long to say so before it is told the same again."""


@dataclass(frozen=True)
class Announced:
    """An announcement."""

    uid: str
    name: str
    created_at: datetime
    spec: AnnouncementSpec


@dataclass(frozen=True)
class Listener:
    """An agent, as selectors see it."""

    name: str
    agent_type: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Position:
    """What an agent keeps to, or should."""

    paused: bool = False
    in_force: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Drain:
    """An agent is to take no more work, because its Pod is to be removed.

    Each time anew with another UID: an agent that acknowledges it was told this time, and has not been told
    otherwise since.
    """

    uid: str
    pool: str
    since: datetime


class OrderKind(StrEnum):
    """What an Agent's spec may ask, as agents are told it."""

    PAUSE = "Pause"
    DRAIN = "Drain"


@dataclass(frozen=True)
class Order:
    """An agent is to take no more work, because its Agent's spec says so."""

    uid: str
    """Of this generation of the spec: who acknowledges it was not told otherwise since, and a restarted
    operator asks for the same."""
    agent: str
    kind: OrderKind
    since: datetime

    @property
    def source(self) -> str:
        """The field that says so."""
        match self.kind:
            case OrderKind.PAUSE:
                return f"spec.paused of Agent {self.agent}"
            case OrderKind.DRAIN:
                return f"spec.drain of Agent {self.agent}"
            case _:
                assert_never(self.kind)


def ordered(spec: AgentSpec, name: str, uid: str, generation: int, now: datetime) -> Order | None:
    """Return what the spec asks of the agent, or None. Drain is the stronger word.

    :param uid: the Agent's.
    """
    if not (spec.paused or spec.drain):
        return None
    return Order(f"{uid}.{generation}", name, OrderKind.DRAIN if spec.drain else OrderKind.PAUSE, now)


@dataclass(frozen=True)
class Holding:
    """What holds for one agent."""

    announcements: tuple[Announced, ...] = ()
    """In force and for it, oldest first."""
    paused_by: tuple[str, ...] = ()
    """Names of the Pauses, of the AgentPool, and of the Agent's field, that keep it from taking work."""
    drain: Drain | None = None
    order: Order | None = None

    @property
    def in_force(self) -> tuple[str, ...]:
        """UIDs of all that holds."""
        own = (o.uid for o in (self.drain, self.order) if o is not None)
        return (*own, *(a.uid for a in self.announcements))

    @property
    def position(self) -> Position:
        """What it should keep to."""
        return Position(bool(self.paused_by), frozenset(self.in_force))

    def drained(self, drain: Drain) -> "Holding":
        """Return what holds when the agent is to be drained besides."""
        return replace(self, paused_by=(*self.paused_by, f"AgentPool {drain.pool}"), drain=drain)

    def ordered(self, order: Order) -> "Holding":
        """Return what holds when the agent's own spec asks for something besides."""
        return replace(self, paused_by=(*self.paused_by, order.source), order=order)


def selects(selector: AgentSelector, listener: Listener) -> bool:
    """Return whether the selector means the agent: it meets everything that is said."""
    return (
        (not selector.types or listener.agent_type in selector.types)
        and (not selector.names or listener.name in selector.names)
        and all(listener.labels.get(k) == v for k, v in selector.match_labels.items())
    )


def covers(wide: AgentSelector, narrow: AgentSelector) -> bool:
    """Return whether ``wide`` means every agent that ``narrow`` could ever mean, as far as can be told."""
    return (
        _covers(wide.types, narrow.types)
        and _covers(wide.names, narrow.names)
        and wide.match_labels.items() <= narrow.match_labels.items()
    )


def _covers(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def follows(one: Announced, other: Announced) -> bool:
    """Return whether a Pause or Resume has the last word over another.

    Kubernetes keeps whole seconds; in the same one a Resume is taken to have come later, because scripts that
    pause and resume are commoner than those that resume and pause.
    """
    return _order(one) > _order(other)


def _order(announced: Announced) -> tuple[datetime, bool]:
    return announced.created_at, announced.spec.kind == AnnouncementKind.RESUME


def is_expired(spec: AnnouncementSpec, now: datetime) -> bool:
    """Return whether its time is over."""
    return spec.expires_at is not None and now >= spec.expires_at


_OPPOSITE = {
    AnnouncementKind.PAUSE: AnnouncementKind.RESUME,
    AnnouncementKind.RESUME: AnnouncementKind.PAUSE,
}


def is_switch(kind: AnnouncementKind) -> bool:
    """Return whether an announcement of this kind ends the effect of others, and others may end its own."""
    return kind in _OPPOSITE


def superseded_by(one: Announced, unexpired: Iterable[Announced]) -> Announced | None:
    """Return a later announcement that says the opposite for everything this one is for, or None."""
    opposite = _OPPOSITE.get(one.spec.kind)
    if opposite is None:
        return None
    return next(
        (
            other
            for other in unexpired
            if other.spec.kind == opposite
            and follows(other, one)
            and covers(other.spec.agent_selector, one.spec.agent_selector)
        ),
        None,
    )


def in_force(announced: Iterable[Announced], now: datetime) -> tuple[Announced, ...]:
    """Return those that are neither over nor superseded, oldest first."""
    unexpired = [a for a in announced if not is_expired(a.spec, now)]
    switches = [a for a in unexpired if is_switch(a.spec.kind)]
    left = [a for a in unexpired if superseded_by(a, switches) is None]
    return tuple(sorted(left, key=lambda a: (*_order(a), a.uid)))


def holding(standing: Iterable[Announced], listener: Listener) -> Holding:
    """Return what of the announcements in force holds for the agent."""
    for_it = tuple(a for a in standing if selects(a.spec.agent_selector, listener))
    resumes = [a for a in for_it if a.spec.kind == AnnouncementKind.RESUME]
    pauses = (a for a in for_it if a.spec.kind == AnnouncementKind.PAUSE)
    return Holding(for_it, tuple(p.name for p in pauses if not any(follows(r, p) for r in resumes)))


def must_tell(
    said: Position, wanted: Position, told: tuple[Position, datetime] | None, now: datetime
) -> bool:
    """Return whether to tell an agent what holds for it.

    :param said: what its newest heartbeat says.
    :param told: what this process of it was last told, and when.
    """
    if told is None:
        return said != wanted
    position, at = told
    return position != wanted or (said != wanted and now - at >= TELL_AGAIN)
