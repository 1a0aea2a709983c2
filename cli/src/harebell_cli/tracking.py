"""Following a Task to its end."""

from collections.abc import Callable

from .errors import CommandError
from .news import news
from .resources import Kind, Watched
from .tasks import Task
from .watching import Deadline, follow


class DeletedError(CommandError):
    """The Task was deleted before it had finished, as far as one saw."""


def track(
    resources: Watched, name: str, deadline: Deadline, tell: Callable[[str], None], uid: str | None = None
) -> Task:
    """Return a Task when it has finished, and tell meanwhile what happens to it.

    :param uid: of the Task that is meant, where it is known to have been there.
    :raises DeletedError: it was deleted.
    :raises CommandError: there is no such Task, it may not be watched, or the API server is away.
    :raises TimeIsUpError: the deadline is over.
    """
    task: Task | None = None
    for found in follow(resources, Kind.TASKS, name, deadline, tell, uid):
        if found is None:
            break
        before, task = task, Task(found)
        for line in news(before, task):
            tell(line)
        if task.finished:
            return task
    if task is None and uid is None:
        raise CommandError(
            f"there is no Task {name} in namespace {resources.namespace}; name another with -n"
        )
    last = f" when it was {task.phase}" if task else ""
    raise DeletedError(f"task/{name} was deleted{last}; whether it was done is not known here")
