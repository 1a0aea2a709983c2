"""Tasks and Agents as the API server sends them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from harebell_cli.tasks import Task

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ago(**duration: float) -> str:
    return (NOW - timedelta(**duration)).isoformat()


def task(
    name: str = "t", phase: str | None = "Running", spec: dict[str, Any] | None = None, **status: Any
) -> Task:
    made: dict[str, Any] = {
        "metadata": {"name": name, "uid": f"uid-of-{name}", "creationTimestamp": ago(minutes=3)},
        "spec": {"agentType": "text", "action": "echo", "payload": {}, "priority": "normal", **(spec or {})},
    }
    if phase is not None:
        made["status"] = {"phase": phase, **status}
    return Task(made)


def waiting(reason: str, message: str = "", phase: str = "Queued", **more: Any) -> Task:
    condition = {"type": "Started", "status": "False", "reason": reason, "message": message}
    return task(phase=phase, reason=reason, conditions=[condition], queuedAt=ago(seconds=90), **more)


def attempt(
    number: int = 1, outcome: str | None = None, error: str | None = None, **more: Any
) -> dict[str, Any]:
    made: dict[str, Any] = {"attempt": number, "agentName": "a-1", "startedAt": ago(seconds=20), **more}
    if outcome:
        made |= {"outcome": outcome, "completedAt": ago(seconds=17.5)}
    if error:
        made["error"] = {"code": "Boom", "message": error}
    return made


def agent(name: str = "a-1", kind: str = "text", phase: str = "Online", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "work",
            "generation": 1,
            "creationTimestamp": ago(days=2, hours=1),
        },
        "spec": {"type": kind, **more.pop("spec", {})},
        "status": {"phase": phase, "lastHeartbeatTime": ago(seconds=12), **more},
    }
