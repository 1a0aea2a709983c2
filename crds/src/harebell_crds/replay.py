"""What a Task that does another one again looks like.

It keeps what the other depends on, for its action needs the results; but it does not wait for what is gone.
So each of those Tasks must still be there, and of one that was done again itself, the replay counts.

Looking Tasks up is for the caller: this is a generator of the names that it needs, for whoever reads a cache
and for whoever asks the API server.
"""

import re
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

from . import API_VERSION
from .task import TaskPhase

REPLAYABLE = frozenset(p.value for p in TaskPhase if p.terminal and p is not TaskPhase.SUCCEEDED)
"""Phases of Tasks that can be done again."""
_NUMBERED = re.compile(r"(?P<stem>.+)-r(?P<number>[0-9]{1,6})")


class DependencyGoneError(Exception):
    """A Task that the original depends on does not exist."""


class Known(NamedTuple):
    """Of a Task, what counts here."""

    name: str
    uid: str
    phase: str | None
    replay_of: str | None
    """UID of the Task that it does again, if any."""


Lookups = Generator[str, Known | None, dict[str, Any]]
"""Yields the name of a Task, wants to be sent what there is of that name, and returns a manifest."""


def known(task: Mapping[str, Any]) -> Known:
    """Return what counts here of a Task as the API server sends it."""
    metadata, phase = task["metadata"], (task.get("status") or {}).get("phase")
    return Known(metadata["name"], metadata["uid"], phase, (task["spec"].get("replayOf") or {}).get("uid"))


def replay_manifest(original: Mapping[str, Any]) -> Lookups:
    """Return the Task to create for a replay: the same work, named after the original.

    :raises DependencyGoneError: the original depends on a Task that does not exist.
    """
    metadata, spec = original["metadata"], original["spec"]
    needed = []
    for dependency in spec.get("dependsOn") or []:
        needed.append({**dependency, "name": (yield from _newest(dependency["name"]))})
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


def _newest(name: str) -> Generator[str, Known | None, str]:
    """Return the name of a Task, or of its last replay. :raises DependencyGoneError: there is none."""
    task = yield name
    if task is None:
        raise DependencyGoneError(f"it depends on Task {name}, which does not exist")
    while task.phase in REPLAYABLE:
        again = yield replay_name(task.name, is_replay=task.replay_of is not None)
        if again is None or again.replay_of != task.uid:
            break
        task = again
    return task.name
