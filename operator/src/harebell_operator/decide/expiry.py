"""When the Agent of an agent that is offline is deleted, so that those that come and go do not pile up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from harebell_crds.agent import AgentCondition, AgentStatus
from harebell_crds.conditions import ConditionStatus, find_condition

REVIEW = timedelta(seconds=60)
"""How often one that is kept for its Tasks alone is looked at again."""


@dataclass(frozen=True)
class Remains:
    """What there is of an agent that is offline."""

    status: AgentStatus
    made_here: bool
    """Whether the operator made its resource; one that somebody declared is theirs to delete."""
    owned: bool
    """Whether it has an owner; Kubernetes deletes it with its Pod, and not before."""
    paused: bool
    """Whether its spec pauses it; that is to hold when it comes back."""
    has_tasks: bool
    """Whether unfinished Tasks name it."""
    hearing_since: datetime | None
    """Since when heartbeats can be heard at all; None while the broker is away."""
    offline_after: timedelta


def delete_at(remains: Remains, ttl: timedelta | None, now: datetime) -> datetime | None:
    """Return when to look whether to delete it: a time that is past means now, None not as things are.

    Its time begins with the condition Ready becoming False, so a restart of the operator changes nothing. As
    with calling it offline, it has a whole window to be heard of after the broker was away.

    :param ttl: How long it is kept; None: for good.
    """
    ready = find_condition(remains.status.conditions, AgentCondition.READY)
    if ttl is None or ready is None or ready.status != ConditionStatus.FALSE:
        return None
    if not remains.made_here or remains.owned or remains.paused or remains.hearing_since is None:
        return None
    due = max(ready.last_transition_time + ttl, remains.hearing_since + remains.offline_after)
    return max(due, now + REVIEW) if remains.has_tasks else due
