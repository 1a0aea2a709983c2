"""What is kept of a resource: a few members to find it by, and its document, ready to be sent.

The document is kept as JSON text. That is what every read answers with, and a fraction of the memory that
the same data takes as objects. A payload is not in it, and so never in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from types import MappingProxyType
from typing import Any

from pydantic_core import to_json

from harebell_crds.agent import AgentCondition, AgentPhase
from harebell_crds.task import DEFAULT_PERSISTENCE, Priority, TaskPhase

from .kube import Object


@dataclass(frozen=True, slots=True)
class Record:
    """What all kinds share."""

    name: str
    uid: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class TaskRecord(Record):
    """A Task."""

    created: str
    agent_type: str
    priority: str
    phase: str
    cancel: str | None
    labels: Mapping[str, str]
    action: str
    agent_name: str | None
    queued_at: str | None
    started_at: str | None
    completed_at: str | None
    key: str | None
    """The idempotency key that it is the Task of; not that of a duplicate."""
    begun: bool
    """Whether it has been published, or has finished."""

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to the Task any more. A phase of a newer version is not final."""
        return self.phase in _FINAL


@dataclass(frozen=True, slots=True)
class AgentRecord(Record):
    """An agent."""

    agent_type: str
    status: str
    capacity: int
    load: int
    """Tasks it works on."""
    paused: bool
    """Whether something keeps it from taking work, also while it finishes some."""
    deaf: bool
    """Whether it is known not to listen for work though it should."""

    @property
    def online(self) -> bool:
        """Whether it can be reached."""
        return self.status != AgentPhase.OFFLINE

    @property
    def takes_work(self) -> bool:
        """Whether it takes work when it has room for some."""
        return self.online and not self.paused and not self.deaf


@dataclass(frozen=True, slots=True)
class AnnouncementRecord(Record):
    """An Announcement."""

    created: str
    kind: str
    phase: str | None
    types: tuple[str, ...]
    """Agent types it is for; none: all."""
    names: tuple[str, ...]
    """Agents it is for; none: all."""


_NO_LABELS: Mapping[str, str] = MappingProxyType({})
_DEFAULT_PERSISTENCE = {level.value: kept.value for level, kept in DEFAULT_PERSISTENCE.items()}
_FINAL = frozenset(phase.value for phase in TaskPhase if phase.terminal)


def task_record(task: Object) -> TaskRecord:
    """Return what is kept of a Task."""
    document = task_document(task)
    return TaskRecord(
        name=document["name"],
        uid=document["uid"],
        version=int(document["resourceVersion"]),
        body=to_json(document),
        created=document["createdAt"],
        agent_type=intern(document["agentType"]),  # the same few words in thousands of Tasks
        priority=intern(document["priority"]),
        phase=intern(document["phase"]),
        cancel=document["cancel"],
        labels={intern(label): intern(value) for label, value in document["labels"].items()} or _NO_LABELS,
        action=intern(document["action"]),
        agent_name=document["agentName"],
        queued_at=document["queuedAt"],
        started_at=document["startedAt"],
        completed_at=document["completedAt"],
        key=task["spec"].get("idempotencyKey") if document["duplicateOf"] is None else None,
        begun=document["attempt"] > 0 or document["phase"] in _FINAL,
    )


def agent_record(agent: Object) -> AgentRecord:
    """Return what is kept of an Agent."""
    document = agent_document(agent)
    return AgentRecord(
        name=document["name"],
        uid=document["uid"],
        version=int(agent["metadata"]["resourceVersion"]),
        body=to_json(document),
        agent_type=document["type"],
        status=document["status"],
        capacity=document["capacity"] or 1,
        load=len(document["currentTasks"]),
        paused=(document["reason"] or "").startswith(("Paused", "Draining")),
        deaf=any(
            c["type"] == AgentCondition.CONSUMING and c["status"] == "False" for c in document["conditions"]
        ),
    )


def announcement_record(announcement: Object) -> AnnouncementRecord:
    """Return what is kept of an Announcement."""
    document = announcement_document(announcement)
    return AnnouncementRecord(
        name=document["name"],
        uid=document["uid"],
        version=int(document["resourceVersion"]),
        body=to_json(document),
        created=document["createdAt"],
        kind=document["kind"],
        phase=document["phase"],
        types=tuple(document["agentSelector"]["types"]),
        names=tuple(document["agentSelector"]["names"]),
    )


def task_document(task: Object) -> dict[str, Any]:
    """Return a Task as :class:`.models.TaskDocument` describes it."""
    metadata, spec, status = task["metadata"], task["spec"], task.get("status") or {}
    priority = spec.get("priority") or Priority.NORMAL.value
    return {
        "taskId": metadata["name"],
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "labels": metadata.get("labels") or {},
        "agentType": spec["agentType"],
        "action": spec["action"],
        "priority": priority,
        "persistence": spec.get("persistence") or _DEFAULT_PERSISTENCE.get(priority),
        "dependsOn": spec.get("dependsOn") or [],
        "replayOf": spec.get("replayOf"),
        "duplicateOf": status.get("duplicateOf"),
        "source": "cluster",
        "retryPolicy": spec.get("retryPolicy"),
        "onInterruption": spec.get("onInterruption"),
        "interruptionLeadsTo": status.get("onInterruption"),
        "queueDeadlineSeconds": spec.get("queueDeadlineSeconds"),
        "activeDeadlineSeconds": spec.get("activeDeadlineSeconds"),
        "ttlSecondsAfterFinished": spec.get("ttlSecondsAfterFinished"),
        "suspend": bool(spec.get("suspend")),
        "cancel": spec.get("cancel"),
        "phase": status.get("phase") or TaskPhase.PENDING.value,
        "reason": status.get("reason"),
        "attempt": status.get("attempt") or 0,
        "failures": status.get("failures") or 0,
        "attempts": status.get("attempts") or [],
        "agentName": status.get("agentName"),
        "progress": status.get("progress"),
        "result": status.get("result"),
        "error": status.get("error"),
        "checkpoint": _checkpoint(status.get("checkpoint")),
        "conditions": status.get("conditions") or [],
        "createdAt": metadata["creationTimestamp"],
        "queuedAt": status.get("queuedAt"),
        "resumedAt": status.get("resumedAt"),
        "startedAt": status.get("startedAt"),
        "completedAt": status.get("completedAt"),
        "nextAttemptTime": status.get("nextAttemptTime"),
    }


def _checkpoint(saved: Object | None) -> dict[str, Any] | None:
    """Return what is shown of a checkpoint: that there is one, and its size, not what the action saved."""
    if saved is None:
        return None
    size = len(to_json(saved["data"])) if "data" in saved else None
    return {"attempt": saved["attempt"], "savedAt": saved["savedAt"], "bytes": size}


def agent_document(agent: Object) -> dict[str, Any]:
    """Return an Agent as :class:`.models.AgentDocument` describes it."""
    metadata, status = agent["metadata"], agent.get("status") or {}
    resources = status.get("resources") or {}
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "type": agent["spec"]["type"],
        "paused": bool(agent["spec"].get("paused")),
        "drain": bool(agent["spec"].get("drain")),
        # An Agent the operator has not written to yet has not been heard of by it either.
        "status": status.get("phase") or AgentPhase.OFFLINE.value,
        "reason": status.get("reason"),
        "currentTasks": status.get("currentTasks") or [],
        "capacity": status.get("capacity"),
        "actions": (status.get("capabilities") or {}).get("actions") or [],
        "resources": {
            "cpu": resources.get("cpu") or {},
            "memory": resources.get("memory") or {},
            "gpus": resources.get("gpus"),
            "gpusReason": resources.get("gpusReason"),
        },
        "version": status.get("version"),
        "podName": status.get("podName"),
        "nodeName": status.get("nodeName"),
        "registeredAt": status.get("registeredAt"),
        "lastHeartbeatTime": status.get("lastHeartbeatTime"),
        "lastDeliveryTime": status.get("lastDeliveryTime"),
        "conditions": status.get("conditions") or [],
    }


def announcement_document(announcement: Object) -> dict[str, Any]:
    """Return an Announcement as :class:`.models.AnnouncementDocument` describes it."""
    metadata, spec, status = announcement["metadata"], announcement["spec"], announcement.get("status") or {}
    selector = spec.get("agentSelector") or {}
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "kind": spec["kind"],
        "agentSelector": {
            "types": selector.get("types") or [],
            "names": selector.get("names") or [],
            "matchLabels": selector.get("matchLabels") or {},
        },
        "message": spec.get("message") or "",
        "expiresAt": spec.get("expiresAt"),
        "phase": status.get("phase"),
        "conditions": status.get("conditions") or [],
        "targeted": status.get("targeted"),
        "acknowledged": status.get("acknowledged"),
        "acknowledgements": status.get("acknowledgements") or [],
        "pending": status.get("pending") or [],
        "createdAt": metadata["creationTimestamp"],
    }
