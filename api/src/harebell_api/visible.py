"""What a client that is limited to some agent types may know of: to it, the rest does not exist."""

from .permissions import Access
from .problems import ProblemError, ProblemType
from .records import TaskRecord
from .tasks import Tasks


async def visible_task(tasks: Tasks, task_id: str, access: Access) -> TaskRecord:
    """Return a Task by name or UID. :raises ProblemError: there is none, as far as the client may know."""
    task = await tasks.find(task_id)
    refuse_hidden(access, task.agent_type, f"Task {task_id[:253]}")
    return task


def refuse_hidden(access: Access, agent_type: str, what: str) -> None:
    """:raises ProblemError: as where there is no such thing, if its agent type is hidden from the client."""
    if not access.sees(agent_type):
        raise ProblemError(ProblemType.NOT_FOUND, f"there is no {what}")


def refuse_foreign(access: Access, agent_type: str) -> None:
    """:raises ProblemError: the client asks for work of agents of a type that it may not use."""
    if not access.sees(agent_type):
        detail = f"{access.client} may not use agents of type {agent_type}"
        raise ProblemError(ProblemType.SCOPE_NEEDED, detail)
