"""Documents hold what the resources hold, and are what the OpenAPI document says."""

import json
from typing import Any

import pytest

from harebell_api.feed.cursor import OneTask, Start
from harebell_api.feed.message import End, of_task, reset, synced
from harebell_api.models import AgentDocument, AnnouncementDocument, StreamMessage, TaskDocument
from harebell_api.records import agent_record, announcement_record, task_record

from .fakes import agent, announcement, task

FULL_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "phase": "Running",
    "reason": "Started",
    "conditions": [
        {
            "type": "Started",
            "status": "True",
            "reason": "Running",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "attempt": 2,
    "failures": 1,
    "attempts": [
        {"attempt": 1, "agentName": "a", "outcome": "Lost", "startedAt": "2026-01-01T00:00:00.000001Z"},
        {"attempt": 2, "agentName": "b"},
    ],
    "agentName": "b",
    "agentInstance": "i",
    "progress": {"percent": 50, "message": "half"},
    "result": {"any": ["thing", None, 1.5]},
    "error": {"code": "X", "message": "y"},
    "checkpoint": {"attempt": 1, "savedAt": "2026-01-01T00:00:00.500000Z", "data": {"secret": "\u20ac"}},
    "onInterruption": "Resume",
    "resumedAt": "2026-01-01T00:00:00.600000Z",
    "queuedAt": "2026-01-01T00:00:00.000001Z",
    "startedAt": "2026-01-01T00:00:01.000001Z",
    "completedAt": "2026-01-01T00:00:02.000001Z",
    "nextAttemptTime": "2026-01-01T00:00:03.000001Z",
}

AGENT_STATUS: dict[str, Any] = {
    "phase": "Busy",
    "reason": "Working",
    "version": "1.0",
    "registeredAt": "2026-01-01T00:00:00Z",
    "lastHeartbeatTime": "2026-01-01T00:01:00Z",
    "podName": "p",
    "nodeName": "n",
    "capacity": 2,
    "currentTasks": [{"namespace": "work", "name": "t", "uid": "u", "attempt": 1}],
    "capabilities": {"actions": ["echo"]},
    "resources": {
        "cpu": {"cores": 4, "utilizationPercent": 10},
        "memory": {"totalBytes": 10, "usedBytes": 5},
        "gpus": [{"index": 0, "name": "H100", "memoryTotalBytes": 80, "memoryUsedBytes": 0}],
    },
}


@pytest.mark.parametrize("status", [None, {}, FULL_STATUS])
def test_task_documents_are_as_described(status: dict[str, Any] | None) -> None:
    record = task_record(task("t", 7, status=status, spec={"cancel": "Graceful"}, labels={"a": "b"}))
    TaskDocument.model_validate_json(record.body)
    assert set(json.loads(record.body)) == {f.alias for f in TaskDocument.model_fields.values()}
    cursor = OneTask("scope", record.uid, record.version)
    StreamMessage.model_validate_json(of_task("update", cursor, record.body).text)


ANNOUNCEMENT_STATUS: dict[str, Any] = {
    "phase": "Active",
    "conditions": FULL_STATUS["conditions"],
    "targeted": 2,
    "acknowledged": 1,
    "acknowledgements": [{"agent": "a", "at": "2026-01-01T00:00:00.000001Z"}],
    "pending": ["b"],
}


@pytest.mark.parametrize("status", [None, {}, ANNOUNCEMENT_STATUS])
def test_announcement_documents_are_as_described(status: dict[str, Any] | None) -> None:
    spec = {"agentSelector": {"types": ["text"]}, "expiresAt": "2026-01-02T00:00:00Z", "message": "m"}
    record = announcement_record(announcement("n", status=status, spec=spec))
    AnnouncementDocument.model_validate_json(record.body)
    shown = json.loads(record.body)
    assert set(shown) == {f.alias for f in AnnouncementDocument.model_fields.values()}
    assert shown["agentSelector"] == {"types": ["text"], "names": [], "matchLabels": {}}
    assert {k: shown[k] for k in status or {}} == (status or {})


@pytest.mark.parametrize("status", [None, {}, AGENT_STATUS])
def test_agent_documents_are_as_described(status: dict[str, Any] | None) -> None:
    record = agent_record(agent("a", status=status))
    AgentDocument.model_validate_json(record.body)
    assert set(json.loads(record.body)) == {f.alias for f in AgentDocument.model_fields.values()}


def test_other_messages_are_as_described() -> None:
    for message in (synced(Start("scope")), reset(Start("scope"), 'because of "this"')):
        StreamMessage.model_validate_json(message.text)
    StreamMessage.model_validate_json(End(4401, "revoked").event.partition(b"data: ")[2])


def test_a_new_task_is_pending() -> None:
    record = task_record(task("t"))
    document = json.loads(record.body)
    assert (record.phase, record.finished) == ("Pending", False)
    assert document["phase"] == "Pending"
    assert document["result"] is None
    assert document["attempts"] == []


def test_everything_known_of_a_task_is_shown() -> None:
    document = json.loads(task_record(task("t", 7, status=FULL_STATUS)).body)
    hidden = {"observedGeneration", "agentInstance", "checkpoint", "onInterruption"}
    assert {k: document[k] for k in FULL_STATUS if k not in hidden} == {
        k: v for k, v in FULL_STATUS.items() if k not in hidden
    }
    assert document["taskId"] == "t"
    assert document["resourceVersion"] == "7"


def test_of_a_checkpoint_its_size_is_shown() -> None:
    body = task_record(task("t", status=FULL_STATUS)).body
    assert json.loads(body)["checkpoint"] == {
        "attempt": 1,
        "savedAt": "2026-01-01T00:00:00.500000Z",
        "bytes": len('{"secret":"\u20ac"}'.encode()),
    }
    assert b"secret" not in body


def test_what_was_asked_for_is_shown() -> None:
    asked = {
        "retryPolicy": {"maxRetries": 1, "backoff": {"initialSeconds": 1, "factor": 2, "maxSeconds": 3}},
        "onInterruption": "Fail",
        "queueDeadlineSeconds": 5,
        "activeDeadlineSeconds": 6,
        "ttlSecondsAfterFinished": 7,
        "suspend": True,
        "idempotencyKey": "secret",
    }
    body = task_record(task("t", status=FULL_STATUS, spec=asked)).body
    document = json.loads(body)
    assert {k: document[k] for k in asked if k != "idempotencyKey"} == {
        k: v for k, v in asked.items() if k != "idempotencyKey"
    }
    assert document["interruptionLeadsTo"] == "Resume"
    assert b"secret" not in body


def test_a_payload_is_not_kept() -> None:
    assert b"secret" not in task_record(task("t", spec={"payload": {"a": "secret"}})).body


@pytest.mark.parametrize(
    ("phase", "finished"),
    [
        ("Pending", False),
        ("Queued", False),
        ("Running", False),
        ("Succeeded", True),
        ("Failed", True),
        ("Cancelled", True),
        ("DeadLettered", True),
        ("SomethingNewer", False),
    ],
)
def test_which_phases_are_final(phase: str, finished: bool) -> None:
    assert task_record(task("t", phase=phase)).finished is finished


@pytest.mark.parametrize(
    ("resources", "gpus", "reason"),
    [
        ({"gpus": []}, [], None),
        ({"gpusReason": "no driver"}, None, "no driver"),
        ({}, None, None),
        ({"gpus": [{"index": 0}]}, [{"index": 0}], None),
    ],
)
def test_no_gpu_differs_from_unreadable(
    resources: dict[str, Any], gpus: list[Any] | None, reason: str | None
) -> None:
    shown = json.loads(agent_record(agent("a", status={"resources": resources})).body)["resources"]
    assert shown["gpus"] == gpus
    assert shown["gpusReason"] == reason


def test_an_agent_not_heard_of_is_offline() -> None:
    assert agent_record(agent("a")).status == "Offline"
