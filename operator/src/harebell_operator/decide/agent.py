"""What to say about an agent: one pure function, :func:`decide`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from harebell_bus.envelopes import Heartbeat, HeartbeatReason
from harebell_crds.agent import (
    AgentCondition,
    AgentPhase,
    AgentStatus,
    Capabilities,
    CurrentTask,
    Resources,
    Summary,
)
from harebell_crds.conditions import Condition, ConditionStatus, find_condition, set_condition

from .consuming import consumption, is_deaf, stopped_event
from .figures import MOST, resources_of
from .observation import EventNote
from .standing import Order, OrderKind

BUSY_SETTLES = timedelta(seconds=1)
"""Shorter work does not show as Busy: a status write per short Task would cost more than it says."""


@dataclass(frozen=True)
class AgentObservation:
    """Everything a decision may look at."""

    generation: int
    status: AgentStatus
    """As last written."""
    heartbeat: Heartbeat | None
    """The newest one, or None if this operator has heard none."""
    last_seen: datetime
    """When it was last heard of; this operator's own start, if never."""
    tasks: tuple[CurrentTask, ...]
    """What it works on, by its heartbeat and by the replies since."""
    tasks_changed_at: datetime
    gone: str | None
    """Why it is known to be gone (its Pod was deleted, it said goodbye), or None."""
    offline_after: timedelta
    hearing_since: datetime | None
    """Since when heartbeats can be heard at all; None while the broker is away."""
    paused_by: tuple[str, ...] = ()
    """Names of what keeps it from taking work."""
    order: Order | None = None
    """What its spec asks of it."""
    deaf_since: datetime | None = None
    """Since when its heartbeats have said that it does not listen for work though it should."""


@dataclass(frozen=True)
class AgentDecision:
    """What is to be done."""

    status: AgentStatus
    write: bool
    wake_at: datetime | None
    events: tuple[EventNote, ...] = ()
    """To be recorded when the status is written."""


def is_offline(obs: AgentObservation, now: datetime) -> str | None:
    """Return why the agent cannot be reached, as a CamelCase reason, or None if it can.

    Silence counts only while heartbeats could be heard: after the broker was away, everybody has a whole
    window again.
    """
    if obs.gone is not None:
        return obs.gone
    due = _due(obs)
    return "HeartbeatMissed" if due is not None and now >= due else None


def _due(obs: AgentObservation) -> datetime | None:
    """Return until when the agent has to be heard of, or None while nobody can be."""
    if obs.hearing_since is None:
        return None
    return max(obs.last_seen, obs.hearing_since) + obs.offline_after


def decide(obs: AgentObservation, now: datetime) -> AgentDecision:
    """Return the agent's status as it should be, whether to write it now, and when to look again.

    Going on- or offline is written at once. Figures are written with the heartbeat that brought them. A
    change between Online, Busy, Paused and Draining is written when it has settled.
    """
    why_offline = is_offline(obs, now)
    status = _described(obs)
    if why_offline is not None:
        status = _with_phase(status, AgentPhase.OFFLINE, why_offline, _EXPLAIN[why_offline], obs, now, ())
        return AgentDecision(status, write=status != obs.status, wake_at=None)
    if obs.heartbeat is None:
        # Known from before this operator started; it has a whole window to be heard of.
        return AgentDecision(obs.status, write=False, wake_at=_due(obs))
    phase, reason, message = _presence(obs, obs.heartbeat)
    status = _with_phase(status, phase, reason, message, obs, now, obs.tasks)
    settled = obs.tasks_changed_at + BUSY_SETTLES
    news = status != obs.status
    figures = status.last_heartbeat_time != obs.status.last_heartbeat_time
    returned = obs.status.phase in (None, AgentPhase.OFFLINE) or status.instance != obs.status.instance
    write = news and (figures or returned or now >= settled)
    before, after = (find_condition(s.conditions, AgentCondition.CONSUMING) for s in (obs.status, status))
    return AgentDecision(
        status,
        write=write,
        wake_at=settled if news and not write else _due(obs),
        events=stopped_event(before, after) if write else (),
    )


def _presence(obs: AgentObservation, beat: Heartbeat) -> tuple[AgentPhase, str, str]:
    """Return phase, reason and message of an agent that can be reached; paused is what says it is."""
    if not beat.paused:
        phase = AgentPhase.BUSY if obs.tasks else AgentPhase.ONLINE
        return phase, "HeartbeatReceived", "heard of within the time allowed"
    names = f", by {', '.join(obs.paused_by[:5])}" if obs.paused_by else ""
    message = f"finishes what it does, takes nothing new{names}" if obs.tasks else f"takes no work{names}"
    phase = AgentPhase.BUSY if obs.tasks else AgentPhase.PAUSED
    match obs.order.kind if obs.order else None:
        case OrderKind.DRAIN:
            return AgentPhase.DRAINING, "DrainingBySpec", message
        case OrderKind.PAUSE:
            return phase, "PausedBySpec", message
        case None:
            return phase, "Paused", message
        case other:
            assert_never(other)


def _drained(obs: AgentObservation, why_offline: str | None) -> tuple[ConditionStatus, str, str] | None:
    """Return whether the agent has done what its spec asks, and why; None: it asks nothing."""
    if obs.order is None:
        return None
    if why_offline is not None:
        return ConditionStatus.UNKNOWN, why_offline, "what it does is not known"
    beat = obs.heartbeat
    if beat is None or not beat.paused or obs.order.uid not in beat.acknowledged:
        return ConditionStatus.FALSE, "NotAcknowledged", "it has not said yet that it takes nothing new"
    if obs.tasks:
        names = ", ".join(t.name for t in obs.tasks[:5])
        return ConditionStatus.FALSE, "TasksLeft", f"{len(obs.tasks)} left to finish: {names}"
    return ConditionStatus.TRUE, "NoTasksLeft", "it takes nothing new, and has finished what it did"


def _consuming(obs: AgentObservation, why_offline: str | None) -> tuple[ConditionStatus, str, str] | None:
    """Return whether the agent listens for work, and why; None: nothing is known."""
    known = find_condition(obs.status.conditions, AgentCondition.CONSUMING)
    if why_offline is not None:
        text = "whether it listens for work is not known"
        return (ConditionStatus.UNKNOWN, why_offline, text) if known else None
    if obs.heartbeat is not None and obs.heartbeat.agent.instance != obs.status.instance:
        known = None  # It was said of another process.
    deaf = is_deaf(obs.deaf_since, obs.last_seen, obs.offline_after)
    return consumption(obs.heartbeat, deaf=deaf, doubtful=obs.deaf_since is not None, known=known)


_EXPLAIN = {
    "HeartbeatMissed": "no heartbeat within the time allowed",
    "PodGone": "its Pod was deleted or has ended",
    "Left": "it said that it was shutting down",
}


def _described(obs: AgentObservation) -> AgentStatus:
    """Return the status with what the newest heartbeat says of the agent."""
    beat = obs.heartbeat
    if beat is None:
        return obs.status
    return obs.status.model_copy(
        update={
            "instance": beat.agent.instance,
            "version": beat.software_version,
            "registered_at": beat.started_at.replace(microsecond=0),
            "last_heartbeat_time": obs.last_seen.replace(microsecond=0),
            # Not known to a process that has received none yet, but to the one before.
            "last_delivery_time": (
                beat.last_delivery_at.replace(microsecond=0)
                if beat.last_delivery_at
                else obs.status.last_delivery_time
            ),
            "pod_name": beat.pod.name if beat.pod else None,
            "node_name": beat.pod.node_name if beat.pod else None,
            "capacity": min(beat.capacity, MOST),
            "capabilities": Capabilities(
                actions=tuple(sorted(beat.actions)),
                resumable=tuple(sorted(beat.resumable)),
                idempotent=tuple(sorted(beat.idempotent)),
            ),
            "resources": resources_of(beat.resources),
        }
    )


def _with_phase(
    status: AgentStatus,
    phase: AgentPhase,
    reason: str,
    message: str,
    obs: AgentObservation,
    now: datetime,
    tasks: tuple[CurrentTask, ...],
) -> AgentStatus:
    ready = ConditionStatus.FALSE if phase == AgentPhase.OFFLINE else ConditionStatus.TRUE
    why_offline = reason if phase == AgentPhase.OFFLINE else None
    drained = _drained(obs, why_offline)
    consuming = _consuming(obs, why_offline)
    return status.model_copy(
        update={
            "phase": phase,
            "reason": reason,
            "current_tasks": tasks,
            "summary": summarize(status.resources, tasks, stale=phase == AgentPhase.OFFLINE),
            "observed_generation": obs.generation,
            "conditions": _conditions(
                status.conditions,
                {
                    AgentCondition.READY: (ready, reason, message),
                    AgentCondition.CONSUMING: consuming,
                    AgentCondition.DRAINED: drained,
                },
                now.replace(microsecond=0),
                obs.generation,
            ),
        }
    )


def _conditions(
    conditions: tuple[Condition, ...],
    wanted: Mapping[AgentCondition, tuple[ConditionStatus, str, str] | None],
    now: datetime,
    generation: int,
) -> tuple[Condition, ...]:
    """Return ``conditions`` as wanted, without those of which there is nothing to say."""
    for kind, said in wanted.items():
        if said is None:
            conditions = tuple(c for c in conditions if c.type != kind)
        else:
            conditions = set_condition(conditions, kind, *said, now=now, generation=generation)
    return conditions


def summarize(resources: Resources, tasks: tuple[CurrentTask, ...], *, stale: bool) -> Summary:
    """Return the figures as ``kubectl get agents`` prints them. An unknown figure says so, none is ``-``."""
    if stale:
        return Summary(task="-", cpu="-", gpu_memory="-")
    task = tasks[0].name + (f" +{len(tasks) - 1}" if len(tasks) > 1 else "") if tasks else "-"
    used = resources.cpu.utilization_percent
    return Summary(
        task=task, cpu="unknown" if used is None else f"{used}%", gpu_memory=_gpu_memory(resources)
    )


def _gpu_memory(resources: Resources) -> str:
    if resources.gpus is None:
        return "unknown"
    if not resources.gpus:
        return "-"
    used = [g.memory_used_bytes for g in resources.gpus]
    total = [g.memory_total_bytes for g in resources.gpus]
    return f"{_gib(used)}/{_gib(total)}Gi"


def _gib(figures: list[int | None]) -> str:
    known = [f for f in figures if f is not None]
    return f"{sum(known) / 2**30:.1f}" if len(known) == len(figures) else "?"


def left(beat: Heartbeat) -> bool:
    """Return whether the heartbeat was a goodbye."""
    return beat.reason == HeartbeatReason.LEAVING
