"""Replays: what they are called, and which Tasks have to be known to make one."""

from collections.abc import Mapping
from typing import Any

import pytest

from harebell_crds.replay import DependencyGoneError, Known, known, replay_manifest, replay_name


@pytest.mark.parametrize(
    ("name", "is_replay", "expected"),
    [
        ("t", False, "t-r1"),
        ("t-r1", True, "t-r2"),
        ("t-r9", True, "t-r10"),
        ("t-r1", False, "t-r1-r1"),
        ("x" * 253, False, "x" * 240 + "-r1"),
    ],
)
def test_names_of_replays(name: str, is_replay: bool, expected: str) -> None:
    assert replay_name(name, is_replay=is_replay) == expected


def _made(original: Mapping[str, Any], *others: Known) -> tuple[dict[str, Any], list[str]]:
    """Return the manifest, and the names that were asked for."""
    there, asked = {task.name: task for task in others}, []
    steps = replay_manifest(original)
    try:
        asked.append(next(steps))
        while True:
            asked.append(steps.send(there.get(asked[-1])))
    except StopIteration as done:
        return done.value, asked


def _dead(**spec: Any) -> dict[str, Any]:
    spec = {"agentType": "text", "action": "echo", **spec}
    return {"metadata": {"name": "t", "uid": "u"}, "spec": spec, "status": {"phase": "DeadLettered"}}


def test_the_same_work_without_what_was_said_of_the_first_time() -> None:
    manifest, asked = _made(_dead(cancel="Graceful", suspend=True, idempotencyKey="k", payload={"a": None}))
    assert manifest["metadata"] == {"name": "t-r1", "labels": {}}
    assert manifest["spec"] == {
        "agentType": "text",
        "action": "echo",
        "payload": {"a": None},
        "replayOf": {"name": "t", "uid": "u"},
    }
    assert asked == []


def test_the_last_replay_of_a_dependency_counts() -> None:
    manifest, asked = _made(
        _dead(dependsOn=[{"name": "a", "condition": "Finished"}, {"name": "b"}]),
        Known("a", "1", "Failed", None),
        Known("a-r1", "2", "Cancelled", "1"),
        Known("a-r2", "3", "Running", "2"),
        Known("b", "4", "Failed", None),
        Known("b-r1", "5", "Succeeded", "of another"),
    )
    assert manifest["spec"]["dependsOn"] == [{"name": "a-r2", "condition": "Finished"}, {"name": "b"}]
    assert asked == ["a", "a-r1", "a-r2", "b", "b-r1"]


def test_what_is_gone_is_not_waited_for() -> None:
    with pytest.raises(DependencyGoneError, match="Task a,"):
        _made(_dead(dependsOn=[{"name": "a"}]))


def test_what_counts_of_a_task() -> None:
    assert known(_dead()) == Known("t", "u", "DeadLettered", None)
    assert known(_dead(replayOf={"name": "s", "uid": "0"})).replay_of == "0"
    assert known({"metadata": {"name": "t", "uid": "u"}, "spec": {}}).phase is None
