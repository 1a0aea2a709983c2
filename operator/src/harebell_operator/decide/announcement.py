"""What to say about an Announcement: one pure function, :func:`decide`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from harebell_crds.announcement import (
    MAX_NAMED,
    Acknowledgement,
    AnnouncementCondition,
    AnnouncementPhase,
    AnnouncementSpec,
    AnnouncementStatus,
)
from harebell_crds.conditions import ConditionStatus, set_condition

from .standing import is_expired

NAMED_IN_MESSAGE = 10
"""Stragglers named in the condition's message; more are in the status."""


@dataclass(frozen=True)
class Addressee:
    """An agent that the announcement is for."""

    name: str
    acknowledged_at: datetime | None


@dataclass(frozen=True)
class AnnouncementObservation:
    """Everything a decision may look at."""

    generation: int
    spec: AnnouncementSpec
    status: AnnouncementStatus
    """As last decided."""
    superseded_by: str | None
    """What ended its effect, for people, or None."""
    addressees: tuple[Addressee, ...]


@dataclass(frozen=True)
class AnnouncementDecision:
    """What is to be done."""

    status: AnnouncementStatus
    wake_at: datetime | None


def is_addressee(
    last_heard: datetime | None, gone: bool, created_at: datetime, offline_after: timedelta
) -> bool:
    """Return whether an agent counts, given that the selector means it.

    One that said goodbye, or whose Pod is gone, does not. One that fell silent does, unless it was offline
    before the announcement was made: it may still work, and has not been heard to acknowledge.
    """
    return not gone and last_heard is not None and last_heard + offline_after > created_at


def decide(obs: AnnouncementObservation, now: datetime) -> AnnouncementDecision:
    """Return the status as it should be, and when to look again.

    Once it has ended, who knew and who did not stays as it was.
    """
    phase, why = _phase(obs, now)
    # Counted once more when it ends: some may have acknowledged since it was last looked at.
    counts = AnnouncementPhase.ACTIVE in (phase, obs.status.phase)
    status = _counted(obs, now) if counts else obs.status
    status = _with_condition(
        status.model_copy(update={"phase": phase, "observed_generation": obs.generation}),
        AnnouncementCondition.IN_FORCE,
        phase == AnnouncementPhase.ACTIVE,
        phase.value,
        why,
        obs,
        now,
    )
    expires = obs.spec.expires_at
    return AnnouncementDecision(status, expires if expires is not None and now < expires else None)


def _phase(obs: AnnouncementObservation, now: datetime) -> tuple[AnnouncementPhase, str]:
    if is_expired(obs.spec, now):
        return AnnouncementPhase.EXPIRED, "its time is over"
    if obs.superseded_by is not None:
        return AnnouncementPhase.SUPERSEDED, f"superseded by {obs.superseded_by}"
    return AnnouncementPhase.ACTIVE, "agents are told, and so are those that join"


def _counted(obs: AnnouncementObservation, now: datetime) -> AnnouncementStatus:
    """Return the status with who knows and who does not."""
    known = sorted((a.name, a.acknowledged_at) for a in obs.addressees if a.acknowledged_at is not None)
    pending = sorted(a.name for a in obs.addressees if a.acknowledged_at is None)
    status = obs.status.model_copy(
        update={
            "targeted": len(obs.addressees),
            "acknowledged": len(known),
            "acknowledgements": tuple(Acknowledgement(agent=n, at=at) for n, at in known[:MAX_NAMED]),
            "pending": tuple(pending[:MAX_NAMED]),
        }
    )
    if not obs.addressees:
        reason, message = "NoAgents", "there is no agent that it is for"
    elif not pending:
        reason, message = "AllAcknowledged", f"all {len(known)} agents have acknowledged"
    else:
        reason = "Waiting"
        more = f" and {len(pending) - NAMED_IN_MESSAGE} more" if len(pending) > NAMED_IN_MESSAGE else ""
        message = (
            f"{len(known)} of {len(obs.addressees)} agents have acknowledged; "
            f"not yet: {', '.join(pending[:NAMED_IN_MESSAGE])}{more}"
        )
    return _with_condition(status, AnnouncementCondition.ACKNOWLEDGED, not pending, reason, message, obs, now)


def _with_condition(
    status: AnnouncementStatus,
    kind: AnnouncementCondition,
    holds: bool,
    reason: str,
    message: str,
    obs: AnnouncementObservation,
    now: datetime,
) -> AnnouncementStatus:
    conditions = set_condition(
        status.conditions,
        kind,
        ConditionStatus.TRUE if holds else ConditionStatus.FALSE,
        reason,
        message,
        now=now.replace(microsecond=0),
        generation=obs.generation,
    )
    return status.model_copy(update={"conditions": conditions})
