"""What to do about an AgentPool: one pure function, :func:`decide`.

Which Pods are to go is worked out anew each time from what is there, so nothing has to be remembered: the
victims are those that come first in :func:`_rank`. One that is not yet drained is drained; one that is a
victim no longer takes work again; one that cannot have work any more is removed. A Pod whose agent works is
therefore never removed, and an agent that falls idle takes the place of one that goes on working.

A new template replaces Pods as the pool's strategy says. By default one by one: one more than wanted is made,
and an old one is drained for each new agent that is ready, and did not just crash. So a template that does
not work stops after as many Pods as may be too many, or missing, at a time.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from harebell_crds.conditions import ConditionStatus, set_condition
from harebell_crds.pool import AgentPoolCondition, AgentPoolStatus, RollingUpdate
from harebell_crds.task import Backoff

from .backoff import retry_delay
from .pod import PodFacts, Trouble

BURST = 50
"""Pods made or removed before looking again: what is wanted may have changed meanwhile."""
SETBACK_BACKOFF = Backoff(initial_seconds=1, factor=2, max_seconds=300)
SETTLED = timedelta(minutes=10)
"""A Pod that lived so long did not fail at once; as the kubelet resets its own backoff."""
STEADY = timedelta(seconds=60)
"""An agent that crashed has to run so long before an old one goes for it: each start registers one that is
about to crash again, and the last heartbeat of the dead stays young for minutes."""
NOTICE_SECONDS = 0.2
"""Pods and agents change in bursts; a pool is looked at once for all that came within this time."""
REVIEW = timedelta(seconds=15)
"""No event tells when the time to hear of an agent is over."""


class Presence(Enum):
    """What is known of the agent in a Pod."""

    ABSENT = auto()
    """There is no process that could have work, and none has been heard of."""
    UNHEARD = auto()
    """It may be there; this operator has not heard of it and the time to do so is not over."""
    ONLINE = auto()
    OFFLINE = auto()
    """It has left or fallen silent; its Tasks, if any, run again elsewhere."""


def presence_of(
    pod: PodFacts, *, known: bool, heard: bool, gone: bool, due: datetime | None, now: datetime
) -> Presence:
    """Return what is known of the agent in a Pod.

    :param known: whether there is an agent that belongs to the Pod, ``heard`` of by this operator or not.
    :param gone: whether that agent has left, or was not heard of in time.
    :param due: until when one nobody knows would have been heard of; None while none can be.
    """
    if gone:
        return Presence.OFFLINE
    if heard:
        return Presence.ONLINE
    if known:
        return Presence.UNHEARD
    if pod.running_since is None:
        # Whoever starts now is told, when it registers, whether to take work.
        return Presence.ABSENT
    return Presence.OFFLINE if due is not None and now >= due else Presence.UNHEARD


@dataclass(frozen=True)
class Member:
    """A Pod of the pool, and the agent in it."""

    pod: PodFacts
    presence: Presence
    expected: bool = False
    """Whether an unheard agent was there when it was last heard of, by an earlier operator."""
    tasks: int = 0
    leaving: bool = False
    """Whether its Agent's spec says that it is to go."""
    draining: bool = False
    drained: bool = False
    """Whether its agent said, since it was told to take no more work, that it takes none and has none."""

    @property
    def ready(self) -> bool:
        """Whether its agent counts as there."""
        expected = self.presence is Presence.UNHEARD and self.expected
        return (self.presence is Presence.ONLINE or expected) and not self.pod.down

    @property
    def steady_at(self) -> datetime | None:
        """From when on its agent, if ready, can take the place of another; None: at any time."""
        since = self.pod.running_since if self.pod.restarted else None
        return since + STEADY if since is not None else None

    @property
    def removable(self) -> bool:
        """Whether it has no work and will take none, given that it is draining."""
        return self.presence in (Presence.ABSENT, Presence.OFFLINE) or (self.drained and self.tasks == 0)


@dataclass(frozen=True)
class Setback:
    """A Pod could not be made, or ended soon after."""

    count: int
    at: datetime
    trouble: Trouble

    def due(self, seed: str) -> datetime:
        """Return when to try again."""
        return self.at + retry_delay(SETBACK_BACKOFF, self.count, seed)


def another_setback(
    before: Setback | None, trouble: Trouble, now: datetime, since: datetime | None = None
) -> Setback:
    """Return the setback after ``before``, which is forgotten after a while.

    :param since: When the Pod that ended was first seen. One that was there before the last setback is no
        try that failed after it: Pods of a node that is lost end together.
    """
    if before is not None and since is not None and since <= before.at:
        return before
    count = before.count + 1 if before is not None and now - before.at < SETTLED else 1
    return Setback(count, now, trouble)


@dataclass(frozen=True)
class PoolObservation:
    """Everything a decision may look at."""

    uid: str
    generation: int
    replicas: int
    template_hash: str
    selector: str
    status: AgentPoolStatus
    """As last decided."""
    members: tuple[Member, ...]
    """Without those that are being deleted."""
    setback: Setback | None = None
    rollout: RollingUpdate = field(default_factory=RollingUpdate)


@dataclass(frozen=True)
class PoolDecision:
    """What is to be done, in this order. Pods are given by their UIDs."""

    undrain: tuple[str, ...]
    drain: tuple[str, ...]
    delete: tuple[str, ...]
    """Has no Pod that is not drained, or drained by the same decision."""
    create: int
    status: AgentPoolStatus
    wake_at: datetime | None


def decide(obs: PoolObservation, now: datetime) -> PoolDecision:
    """Return what to do about the pool, its status, and when to look again."""
    active = [m for m in obs.members if not m.pod.ended]
    victims = _victims(active, obs, now)
    chosen = {m.pod.uid for m in victims}
    missing = _missing(active, obs)
    removable = [m for m in obs.members if m.pod.ended] + [m for m in victims if m.removable]
    due = obs.setback.due(obs.uid) if obs.setback is not None and missing else None
    waits = due is not None and now < due
    return PoolDecision(
        undrain=tuple(m.pod.uid for m in active if m.draining and m.pod.uid not in chosen),
        drain=tuple(m.pod.uid for m in victims if not m.draining),
        delete=tuple(m.pod.uid for m in removable[:BURST]),
        create=0 if waits else min(missing, BURST),
        status=_status(active, len(victims), missing, obs, now),
        wake_at=_wake_at(active, due if waits else None, obs, now),
    )


def _is_updated(member: Member, obs: PoolObservation) -> bool:
    return member.pod.template_hash == obs.template_hash


def _victims(active: list[Member], obs: PoolObservation, now: datetime) -> list[Member]:
    """Return the Pods that are to go.

    Of those of the present template, what is more than wanted. Of older ones, all that are not ready, and as
    many of the others as leave enough agents that are.
    """
    updated = sorted((m for m in active if _is_updated(m, obs)), key=_rank)
    outdated = sorted((m for m in active if not _is_updated(m, obs)), key=_rank)
    surplus = updated[: max(0, len(updated) - obs.replicas)]
    kept = updated[len(surplus) :]
    ready = [m for m in outdated if m.ready]
    replacing = sum(m.ready and (m.steady_at is None or now >= m.steady_at) for m in kept)
    spare = replacing + len(ready) - max(0, obs.replicas - obs.rollout.max_unavailable)
    return [*surplus, *(m for m in outdated if not m.ready), *ready[: max(0, spare)]]


def _rank(member: Member) -> tuple[bool, bool, bool, bool, int, float, str]:
    """Order Pods by how readily they go: those that are not ready; idle; to go anyway; already draining; with
    the least work; the newest."""
    return (
        member.ready,
        member.tasks > 0,
        not member.leaving,
        not member.draining,
        member.tasks,
        -member.pod.created_at.timestamp(),
        member.pod.name,
    )


def _missing(active: list[Member], obs: PoolObservation) -> int:
    """Return how many Pods to make."""
    updated = sum(_is_updated(m, obs) for m in active)
    most = obs.replicas + (obs.rollout.max_surge if updated < len(active) else 0)
    return max(0, min(obs.replicas - updated, most - len(active)))


def _wake_at(
    active: list[Member], due: datetime | None, obs: PoolObservation, now: datetime
) -> datetime | None:
    unheard = any(m.presence is Presence.UNHEARD for m in active)
    updated = [m for m in active if _is_updated(m, obs)]
    steady = [m.steady_at for m in updated if len(updated) < len(active)]
    moments = [due, now + REVIEW if unheard else None, *(t for t in steady if t is not None and now < t)]
    return min((t for t in moments if t is not None), default=None)


# ---- what to say about it --------------------------------------------------------------------------------


def _status(
    active: list[Member], leaving: int, missing: int, obs: PoolObservation, now: datetime
) -> AgentPoolStatus:
    ready = sum(m.presence is Presence.ONLINE and m.ready for m in active)
    outdated = sum(not _is_updated(m, obs) for m in active)
    trouble = _trouble(active, missing, obs)
    status = obs.status.model_copy(
        update={
            "observed_generation": obs.generation,
            "replicas": len(active),
            "ready_replicas": ready,
            "busy_replicas": sum(m.tasks > 0 for m in active),
            "draining_replicas": sum(m.draining for m in active),
            "updated_replicas": len(active) - outdated,
            "selector": obs.selector,
        }
    )
    enough = ready >= obs.replicas
    count = f"{ready} of {obs.replicas} agents are ready"
    if enough or trouble is None:
        reason, message = ("AgentsReady" if enough else "AgentsNotReady"), count
    else:
        reason, message = trouble.reason, f"{count}: {trouble.message}"
    status = _with(status, AgentPoolCondition.READY, enough, reason, message, obs, now)
    if outdated:
        moves, reason, message = True, "RollingOut", f"{outdated} Pods are of an older template"
    elif leaving:
        moves, reason, message = True, "ScalingDown", f"{leaving} Pods go when their agents have finished"
    elif missing or not enough:
        moves, reason, message = True, "ScalingUp", count
    else:
        moves, reason, message = False, "Stable", "there is nothing to do"
    status = _with(status, AgentPoolCondition.PROGRESSING, moves, reason, message, obs, now)
    if trouble is None:
        reason, message = "NoFailure", ""
    else:
        reason, message = trouble.reason, trouble.message
    return _with(status, AgentPoolCondition.REPLICA_FAILURE, trouble is not None, reason, message, obs, now)


def _trouble(active: list[Member], missing: int, obs: PoolObservation) -> Trouble | None:
    """Return why Pods cannot be made, or what ails one; first those whose agents are not there."""
    if obs.setback is not None and missing:
        return obs.setback.trouble
    stuck = [(m.ready, m.pod.name, m.pod.trouble) for m in active if m.pod.trouble is not None]
    if not stuck:
        return None
    _, name, trouble = min(stuck, key=lambda each: each[:2])
    more = f" (and {len(stuck) - 1} more)" if len(stuck) > 1 else ""
    return Trouble(trouble.reason, f"Pod {name}{more}: {trouble.message}")


def _with(
    status: AgentPoolStatus,
    kind: AgentPoolCondition,
    holds: bool,
    reason: str,
    message: str,
    obs: PoolObservation,
    now: datetime,
) -> AgentPoolStatus:
    conditions = set_condition(
        status.conditions,
        kind,
        ConditionStatus.TRUE if holds else ConditionStatus.FALSE,
        reason,
        message[:1024],
        now=now.replace(microsecond=0),
        generation=obs.generation,
    )
    return status.model_copy(update={"conditions": conditions})
