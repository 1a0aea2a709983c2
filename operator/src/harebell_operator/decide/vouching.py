"""Which agents that ask are told to begin."""

from collections.abc import Iterable

from harebell_bus.envelopes import Started
from harebell_crds.task import TaskPhase, TaskSpec

from .observation import Report, TaskDecision


def may_begin(replies: Iterable[Report], decision: TaskDecision, spec: TaskSpec) -> tuple[Started, ...]:
    """Return those that ask and have the attempt. Whoever has not is told to stop, or will be."""
    status = decision.status
    if status.phase != TaskPhase.RUNNING or spec.cancel is not None or spec.suspend:
        return ()
    stopped = {(order.agent_id, order.attempt) for order in decision.stop}
    return tuple(
        reply
        for reply in replies
        if isinstance(reply, Started)
        and reply.asks
        and (reply.agent.id, reply.attempt) == (status.agent_name, status.attempt)
        and (reply.agent.id, reply.attempt) not in stopped
    )
