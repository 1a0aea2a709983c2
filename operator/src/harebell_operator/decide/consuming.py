"""Whether an agent listens for work when it should, as its heartbeats tell.

One heartbeat that says it does not proves nothing: it may have been sent between two Tasks, or before the
agent was welcomed. What counts is that one after the other says so.
"""

from datetime import datetime, timedelta

from harebell_bus.envelopes import Heartbeat, HeartbeatReason
from harebell_crds.conditions import Condition, ConditionStatus

from .observation import EventNote, EventType

HOLD_OFF_SHARE = 6
"""An agent is given a sixth of the time that it may be silent: of 180 s, 30 s, twice the longest pause
between two tries to connect."""
STOPPED = "StoppedConsuming"


def deaf_since(
    beat: Heartbeat, heard_at: datetime, previous: Heartbeat | None, before: datetime | None
) -> datetime | None:
    """Return since when the heartbeats have said that the agent does not listen though it should.

    It begins anew with each connection, but not with each try to be welcomed on one.

    :param previous: The heartbeat before, and ``before`` what this function returned for it.
    """
    should = not beat.paused and len(beat.current_tasks) < beat.capacity
    if beat.consuming is not False or not should:
        return None
    if previous is None or previous.agent.instance != beat.agent.instance:
        return heard_at
    registered = HeartbeatReason.REGISTERED
    if beat.reason is registered and previous.reason is not registered:
        return heard_at
    return before or heard_at


def is_deaf(since: datetime | None, last_heard: datetime, offline_after: timedelta) -> bool:
    """Return whether the agent has not listened for longer than connecting anew takes."""
    return since is not None and last_heard - since >= offline_after / HOLD_OFF_SHARE


def consumption(
    beat: Heartbeat | None, *, deaf: bool, doubtful: bool, known: Condition | None
) -> tuple[ConditionStatus, str, str] | None:
    """Return status, reason and message of the condition Consuming, or None while nothing can be said.

    :param deaf: What :func:`is_deaf` says.
    :param doubtful: Whether the last heartbeat said that it does not listen though it should.
    :param known: The condition as it was, of the same process.
    """
    if beat is None or (beat.consuming is None and known is None):
        return None
    if deaf:
        text = "heartbeats arrive, but no loop that takes work gets an answer from the broker; restart it"
        return ConditionStatus.FALSE, "NotListening", text
    if doubtful and known and known.status != ConditionStatus.UNKNOWN:
        return known.status, known.reason, known.message
    if doubtful:
        return ConditionStatus.UNKNOWN, "NotYetListening", "it has not said yet that it listens for work"
    if beat.paused:
        return ConditionStatus.UNKNOWN, "Paused", "it is to take no work, so whether it would is not seen"
    if beat.consuming is None:
        return ConditionStatus.UNKNOWN, "NotReported", "its heartbeats do not say"
    return ConditionStatus.TRUE, "Listening", "it listens for work whenever it has room for some"


def stopped_event(before: Condition | None, after: Condition | None) -> tuple[EventNote, ...]:
    """Return the Event of an agent that no longer listens, if the condition has just become False."""
    if after is None or after.status != ConditionStatus.FALSE or (before and before.status == after.status):
        return ()
    return (EventNote(EventType.WARNING, STOPPED, after.message),)
