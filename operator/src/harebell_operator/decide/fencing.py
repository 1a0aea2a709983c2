"""Whether what an agent says it does is still wanted."""

from harebell_bus.envelopes import AgentRef
from harebell_crds.task import TaskPhase, TaskStatus


def is_stale(status: TaskStatus | None, attempt: int, agent: AgentRef) -> str | None:
    """Return why an agent should stop an attempt it lists, or None if it should go on.

    An attempt newer than the Task's status is no reason: the status may simply not have been written by the
    operator that published it.
    """
    if status is None:
        return "the Task was deleted"
    if status.phase is not None and status.phase.terminal:
        return "the Task is finished"
    if status.phase == TaskPhase.PENDING and attempt <= status.attempt:
        return "the attempt was given up"
    if attempt < status.attempt:
        return "another attempt has taken its place"
    owner = (status.agent_name, status.agent_instance)
    if attempt == status.attempt and status.agent_name is not None and owner != (agent.id, agent.instance):
        return "another agent has this attempt"
    return None
