"""Why a Task waits, as its status says it.

The words stay the same while the cause does: every change of them is a write for each Task that waits. How
long it may take changes all the time, so it is worked out for who asks: see the API's ``queue``.
"""

from datetime import datetime
from typing import NamedTuple

from harebell_crds.task import TaskError

from .observation import Supply

NAMED = 5
"""Names in a message, at most."""


class Cause(NamedTuple):
    """What keeps a Task waiting: a CamelCase reason, and a message for people."""

    reason: str
    message: str


BROKER_AWAY = Cause(
    "BrokerUnreachable",
    "the message broker cannot be reached; the Task goes on as soon as it can be",
)
"""The same words whatever the error is, so that an outage does not rewrite every waiting Task."""


def in_queue(agent_type: str, supply: Supply, broker_error: str | None) -> Cause:
    """Return why a Task whose message was published has not been started."""
    if broker_error is not None:
        return BROKER_AWAY
    if supply.online == 0:
        return Cause("NoAgent", f"no agent of type {agent_type} is online")
    if supply.paused == supply.online:
        names = f" by {', '.join(supply.paused_by[:NAMED])}" if supply.paused_by else ""
        return Cause("AgentsPaused", f"all agents of type {agent_type} are paused{names}")
    if supply.paused + supply.deaf == supply.online:
        others = ", the others are paused" if supply.paused else ""
        return Cause("AgentsNotConsuming", f"agents of type {agent_type} are online but take no work{others}")
    if supply.idle == 0:
        return Cause("AgentsBusy", f"all agents of type {agent_type} are busy")
    return Cause("WaitingForAgent", f"an agent of type {agent_type} will take it")


def backing_off(attempt: int, error: TaskError, until: datetime) -> Cause:
    """Return why a Task of which an attempt failed is not published again yet."""
    due = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Cause("Backoff", f"tried again at {due}; attempt {attempt} ended: {error.code}: {error.message}")
