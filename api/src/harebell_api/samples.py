"""Resources and messages that the examples of the OpenAPI document are about."""

from typing import Any, Final

from .kube import Object

NAMESPACE: Final = "team-a"
_MADE: Final = "2026-01-19T12:00:00Z"
_CONDITION: Final = {
    "type": "Started",
    "status": "False",
    "reason": "NoAgents",
    "message": "no agent of type text is online",
    "lastTransitionTime": _MADE,
}


def _task(name: str, number: int, status: Object, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"7d5c2f0e-3a41-4c19-9f0b-{number:012d}",
            "resourceVersion": str(1000 + number),
            "creationTimestamp": _MADE,
            "labels": {"team": "web"},
        },
        "spec": {
            "agentType": "text",
            "action": "text.stats",
            "priority": "normal",
            "retryPolicy": {
                "maxRetries": 3,
                "backoff": {"initialSeconds": 1, "factor": 2, "maxSeconds": 300},
            },
            "onInterruption": "Auto",
            "ttlSecondsAfterFinished": 604800,
            **spec,
        },
        "status": status,
    }


WAITING: Final = _task(
    "count-words",
    1,
    {
        "phase": "Queued",
        "reason": "NoAgents",
        "attempt": 1,
        "conditions": [_CONDITION],
        "queuedAt": "2026-01-19T12:00:00.250000Z",
    },
)
FAILED: Final = _task(
    "import-orders",
    2,
    {
        "phase": "DeadLettered",
        "reason": "RetriesExhausted",
        "attempt": 1,
        "failures": 1,
        "attempts": [{"attempt": 1, "agentName": "text-7c9-x2x", "outcome": "Failed"}],
        "agentName": "text-7c9-x2x",
        "error": {"code": "ConnectionRefused", "message": "orders.example.org refused the connection"},
        "startedAt": "2026-01-19T12:00:01.000000Z",
        "completedAt": "2026-01-19T12:00:02.000000Z",
    },
)
AGENT: Final[dict[str, Any]] = {
    "metadata": {
        "name": "text-7c9-x2x",
        "namespace": NAMESPACE,
        "uid": "e4d3c2b1-a0f9-4e8d-8c7b-6a5f4e3d2c1b",
        "resourceVersion": "1010",
    },
    "spec": {"type": "text"},
    "status": {
        "phase": "Online",
        "version": "0.1.0",
        "capacity": 1,
        "capabilities": {"actions": ["echo", "text.stats"]},
        "resources": {"cpu": {"cores": 4, "utilizationPercent": 35}, "gpus": []},
        "podName": "text-7c9-x2x",
        "nodeName": "node-1",
        "registeredAt": _MADE,
        "lastHeartbeatTime": _MADE,
    },
}
ANNOUNCEMENT: Final[dict[str, Any]] = {
    "metadata": {
        "name": "database-upgrade",
        "namespace": NAMESPACE,
        "uid": "c2a1b0d9-8e7f-4a6b-9c5d-4e3f2a1b0c9d",
        "resourceVersion": "1020",
        "creationTimestamp": _MADE,
    },
    "spec": {
        "kind": "Pause",
        "agentSelector": {"types": ["text"]},
        "message": "the database is upgraded tonight",
        "expiresAt": "2026-01-20T06:00:00Z",
    },
    "status": {
        "phase": "Active",
        "targeted": 2,
        "acknowledged": 1,
        "acknowledgements": [{"agent": "text-7c9-x2x", "at": "2026-01-19T12:00:00.500000Z"}],
        "pending": ["text-7c9-q7k"],
    },
}
MESSAGE: Final[dict[str, Any]] = {
    "id": "1-1204",
    "time": "2026-01-19T12:00:02.000000Z",
    "sentAt": "2026-01-19T12:00:02.000000Z",
    "kind": "Failed",
    "exchange": "harebell.replies",
    "attempt": 1,
    "agentName": "text-7c9-x2x",
    "reason": "ConnectionRefused",
    "content": {
        "version": 1,
        "kind": "Failed",
        "task": {
            "namespace": NAMESPACE,
            "name": FAILED["metadata"]["name"],
            "uid": FAILED["metadata"]["uid"],
        },
        "attempt": 1,
        "agent": {"id": "text-7c9-x2x", "instance": "0b9f5a3c-5d43-4c8e-8f0e-6a1d2c3b4e5f"},
        "at": "2026-01-19T12:00:02Z",
        "code": "ConnectionRefused",
        "message": "orders.example.org refused the connection",
        "retryable": True,
    },
}
