"""Makes the manifest of a replay, with what the API knows of Tasks."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from harebell_crds.replay import DependencyGoneError, Known
from harebell_crds.replay import replay_manifest as lookups

from .kube import Object
from .problems import ProblemError, ProblemType
from .records import TaskRecord

FindTask = Callable[[str], Awaitable[TaskRecord]]
"""Returns a Task by name. Raises ProblemError of type NOT_FOUND: there is none."""


async def replay_manifest(original: Object, find: FindTask) -> dict[str, Any]:
    """Return the Task to create for a replay.

    :raises ProblemError: the original depends on a Task that does not exist.
    """
    steps = lookups(original)
    try:
        name = next(steps)
        while True:
            name = steps.send(await _known(name, find))
    except StopIteration as done:
        manifest: dict[str, Any] = done.value
        return manifest
    except DependencyGoneError as gone:
        raise ProblemError(ProblemType.NOT_REPLAYABLE, str(gone)) from gone


async def _known(name: str, find: FindTask) -> Known | None:
    try:
        task = await find(name)
    except ProblemError as error:
        if error.problem.type is not ProblemType.NOT_FOUND:
            raise
        return None
    replayed = json.loads(task.body)["replayOf"]
    return Known(task.name, task.uid, task.phase, str(replayed["uid"]) if replayed else None)
