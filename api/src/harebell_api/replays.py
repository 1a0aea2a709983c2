"""What a Task that does another one again looks like.

It keeps what the other depends on, for its action needs the results; but it does not wait for what is gone.
So each of those Tasks must still be there, and of one that was done again itself, the replay counts.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from harebell_crds import API_VERSION
from harebell_crds.task import TaskPhase

from .kube import Object
from .problems import ProblemError, ProblemType
from .records import TaskRecord

REPLAYABLE = frozenset(p.value for p in TaskPhase if p.terminal and p is not TaskPhase.SUCCEEDED)
_NUMBERED = re.compile(r"(?P<stem>.+)-r(?P<number>[0-9]{1,6})")

FindTask = Callable[[str], Awaitable[TaskRecord]]
"""Returns a Task by name. Raises ProblemError of type NOT_FOUND: there is none."""


async def replay_manifest(original: Object, find: FindTask) -> dict[str, Any]:
    """Return the Task to create for a replay: the same work, named after the original.

    :raises ProblemError: the original depends on a Task that does not exist.
    """
    metadata, spec = original["metadata"], original["spec"]
    needed = [
        {**dependency, "name": await _newest(dependency["name"], find)}
        for dependency in spec.get("dependsOn") or []
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": "Task",
        "metadata": {
            "name": replay_name(metadata["name"], is_replay=bool(spec.get("replayOf"))),
            "labels": metadata.get("labels") or {},
        },
        "spec": {
            **{k: v for k, v in spec.items() if k not in ("cancel", "suspend", "idempotencyKey")},
            **({"dependsOn": needed} if needed else {}),
            "replayOf": {"name": metadata["name"], "uid": metadata["uid"]},
        },
    }


def replay_name(name: str, *, is_replay: bool) -> str:
    """Return what the replay of a Task is called.

    It follows from the Task's name, so asking twice makes one Task, and a replay of a replay counts on.
    """
    numbered = _NUMBERED.fullmatch(name) if is_replay else None
    stem, number = (numbered["stem"], int(numbered["number"])) if numbered else (name, 0)
    return f"{stem[:240]}-r{number + 1}"


async def _newest(name: str, find: FindTask) -> str:
    """Return the name of a Task, or of its last replay. :raises ProblemError: there is no such Task."""
    task = await _found(name, find)
    if task is None:
        raise ProblemError(ProblemType.NOT_REPLAYABLE, f"it depends on Task {name}, which does not exist")
    while task.phase in REPLAYABLE:
        again = await _found(replay_name(task.name, is_replay=_replay_of(task) is not None), find)
        if again is None or _replay_of(again) != task.uid:
            break
        task = again
    return task.name


async def _found(name: str, find: FindTask) -> TaskRecord | None:
    try:
        return await find(name)
    except ProblemError as error:
        if error.problem.type is not ProblemType.NOT_FOUND:
            raise
        return None


def _replay_of(task: TaskRecord) -> str | None:
    """Return the UID of the Task that this one does again, or None."""
    replayed = json.loads(task.body)["replayOf"]
    return str(replayed["uid"]) if replayed else None
