"""What the tables over the decision about a Task are made of."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from harebell_bus.envelopes import AgentRef, Reply, TaskRef
from harebell_crds.task import Priority, TaskSpec, TaskStatus
from harebell_operator.decide.observation import Report, Sighting, Supply, TaskObservation

T0 = datetime(2026, 1, 1, tzinfo=UTC)
REF = TaskRef(namespace="ns", name="t", uid="uid-1")
ANNA = AgentRef(id="anna", instance="a1")
BERT = AgentRef(id="bert", instance="b1")

_SEEN = {field.name for field in fields(TaskObservation)}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def said(kind: type[Any], agent: AgentRef = ANNA, attempt: int = 1, seconds: float = 1, **more: Any) -> Reply:
    reply: Reply = kind(task=REF, attempt=attempt, agent=agent, at=at(seconds), **more)
    return reply


def observed(status: TaskStatus | None = None, *replies: Report, **given: Any) -> TaskObservation:
    """Return a Task with an idle agent, changed by ``given``: fields of the observation, or of the spec."""
    seen: dict[str, Any] = {
        "uid": "uid-1",
        "generation": 1,
        "created_at": T0,
        "sighting": Sighting.WORKING,
        "supply": Supply(online=1, idle=1),
        "broker_error": None,
        "published_at": None,
        "queued_as": Priority.NORMAL,
        "messages_waiting": None,
        "message_lost": False,
        "payload_problem": None,
        "cancel_sent_at": None,
        "heard_until": datetime.max.replace(tzinfo=UTC),
        "unseen_since": T0,
        **{name: value for name, value in given.items() if name in _SEEN},
    }
    spec = {name: value for name, value in given.items() if name not in _SEEN}
    return TaskObservation(
        spec=TaskSpec(**{"agent_type": "text", "action": "echo", **spec}),
        status=status or TaskStatus(),
        replies=replies,
        **seen,
    )
