"""The documents clients send and get. camelCase, as in the resources; a member without a value is null.

Answers are built from the resources in :mod:`.records` without validating them again; the models here
describe them in the OpenAPI document, and the tests hold the two together.
"""

import json
from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from harebell_crds.agent import AgentPhase, CurrentTask, Resources
from harebell_crds.conditions import Condition
from harebell_crds.model import MicroTime, Time
from harebell_crds.task import (
    MAX_DEPENDENCIES,
    Attempt,
    Backoff,
    CancelMode,
    Dependency,
    Priority,
    Progress,
    ReplayOf,
    RetryPolicy,
    TaskError,
    TaskPhase,
    TaskSpec,
)

RESERVED_LABEL_DOMAIN = "harebell.dev"
_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_PREFIX = r"^[a-z0-9]([-.a-z0-9]*)$"

_STRICT = ConfigDict(extra="forbid", json_schema_extra={})
"""For requests: a misspelt member is an error, not a default."""


class BackoffRequest(Backoff):
    """How long to wait before a retry: ``initial * factor ** (failures - 1)``, capped, then jittered."""

    model_config = _STRICT


class RetryPolicyRequest(RetryPolicy):
    """How often a failed Task is tried again."""

    model_config = _STRICT

    backoff: Annotated[BackoffRequest, Field(description="Wait between attempts.")] = BackoffRequest()


class DependencyRequest(Dependency):
    """Another Task that must finish first; it may be dispatched later."""

    model_config = _STRICT

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=_NAME, description="Its name.")]


class DispatchRequest(TaskSpec):
    """The work to be done: a Task's spec, and what the Task is to be called."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"agentType": "text", "action": "summarize", "payload": {"url": "https://example.org/a.txt"}},
                {
                    "agentType": "infra",
                    "action": "deploy",
                    "priority": "high",
                    "name": "deploy-web-42",
                    "labels": {"team": "web"},
                    "retryPolicy": {"maxRetries": 1},
                    "activeDeadlineSeconds": 600,
                    "dependsOn": [{"name": "build-web-42"}],
                },
            ]
        },
    )

    retry_policy: Annotated[
        RetryPolicyRequest, Field(description="How often a failed Task is tried again.")
    ] = RetryPolicyRequest()
    depends_on: Annotated[
        tuple[DependencyRequest, ...],
        Field(
            max_length=MAX_DEPENDENCIES,
            description="Tasks that must finish before this one starts; the action is given their results.",
        ),
    ] = ()
    cancel: SkipJsonSchema[None] = None
    """Of the spec, but no part of a request: a Task is not made in order to be cancelled."""
    replay_of: SkipJsonSchema[None] = None
    """Of the spec, but said by the path of a replay."""
    idempotency_key: SkipJsonSchema[None] = None
    """Of the spec, but said by a header."""
    name: Annotated[
        str | None,
        Field(max_length=253, pattern=_NAME, description="Name of the Task. Default: a generated one."),
    ] = None
    generate_name: Annotated[
        str | None,
        Field(max_length=58, pattern=_PREFIX, description="What a generated name starts with."),
    ] = None
    labels: Annotated[dict[str, str], Field(description="Labels of the Task.")] = Field(default_factory=dict)

    @field_validator("payload")
    @classmethod
    def _payload_is_json(cls, payload: dict[str, Any]) -> dict[str, Any]:
        try:
            compact_json(payload)
        except (
            ValueError
        ) as error:  # NaN, Infinity, or half a surrogate pair: Python reads them, JSON has none
            raise ValueError("holds a number or a character that JSON cannot express") from error
        return payload

    @field_validator("labels")
    @classmethod
    def _labels_are_free(cls, labels: dict[str, str]) -> dict[str, str]:
        for label in labels:
            domain = label.partition("/")[0] if "/" in label else ""
            if domain == RESERVED_LABEL_DOMAIN or domain.endswith("." + RESERVED_LABEL_DOMAIN):
                raise ValueError(f"labels of {RESERVED_LABEL_DOMAIN} are set by harebell")
        return labels

    @field_validator("depends_on")
    @classmethod
    def _each_named_once(cls, needed: tuple[DependencyRequest, ...]) -> tuple[DependencyRequest, ...]:
        twice = [name for name, times in Counter(d.name for d in needed).items() if times > 1]
        if twice:
            raise ValueError(f"names {', '.join(twice[:5])} more than once")
        return needed

    @model_validator(mode="after")
    def _needs_not_itself(self) -> Self:
        if self.name is not None and any(d.name == self.name for d in self.depends_on):
            raise ValueError("a Task cannot depend on itself")
        return self

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.name is not None and self.generate_name is not None:
            raise ValueError("give name or generateName, not both")
        return self

    def spec(self) -> dict[str, Any]:
        """Return the spec of the Task asked for, as Kubernetes stores it."""
        return self.model_dump(
            mode="json", by_alias=True, exclude_none=True, include=set(TaskSpec.model_fields)
        )


class ReplayRequest(BaseModel):
    """Which dead-lettered Tasks to do again."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        json_schema_extra={"examples": [{"labelSelector": "team=web", "agentTypes": ["text"]}]},
    )

    label_selector: Annotated[
        str, Field(max_length=1024, description="Only with these labels, as in `kubectl get -l`.")
    ] = ""
    agent_types: Annotated[list[str], Field(description="Only for any of these types of agent.")] = Field(
        default_factory=list
    )
    limit: Annotated[int, Field(ge=1, le=500, description="How many at most, newest first.")] = 100


class CancelRequest(BaseModel):
    """How the Task is to be cancelled."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"mode": "Immediate"}]})

    mode: Annotated[
        CancelMode,
        Field(description="Graceful lets the action clean up; Immediate does not wait for it."),
    ] = CancelMode.GRACEFUL


class PriorityRequest(BaseModel):
    """What is to change of a waiting Task."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"priority": "critical"}]})

    priority: Annotated[Priority, Field(description="Of the waiting Tasks, the most urgent runs first.")]


def _member(kind: type[StrEnum]) -> BeforeValidator:
    """Return what lets a parameter name a member of an enumeration in any case."""
    members = {member.value.lower(): member for member in kind}
    return BeforeValidator(
        lambda value: members.get(value.lower(), value) if isinstance(value, str) else value
    )


class TaskQuery(BaseModel):
    """Which Tasks to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    phase: Annotated[
        list[Annotated[TaskPhase, _member(TaskPhase)]], Field(description="Only in any of these phases.")
    ] = Field(default_factory=list)
    agent_type: Annotated[list[str], Field(description="Only for any of these types of agent.")] = Field(
        default_factory=list
    )
    priority: Annotated[
        list[Annotated[Priority, _member(Priority)]], Field(description="Only of any of these priorities.")
    ] = Field(default_factory=list)
    label_selector: Annotated[
        str, Field(max_length=1024, description="Only with these labels, as in `kubectl get -l`.")
    ] = ""
    limit: Annotated[int, Field(ge=1, le=500, description="How many at most.")] = 100
    cursor: Annotated[
        str | None, Field(max_length=1024, description="nextCursor of the page before this one.")
    ] = None


class AgentQuery(BaseModel):
    """Which agents to list. Values of one parameter given several times are alternatives."""

    model_config = ConfigDict(extra="forbid")

    agent_type: Annotated[list[str], Field(description="Only of any of these types.")] = Field(
        default_factory=list
    )
    status: Annotated[
        list[Annotated[AgentPhase, _member(AgentPhase)]],
        Field(description="Only in any of these statuses, in upper or lower case."),
    ] = Field(default_factory=list)


class _Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class TaskDocument(_Document):
    """A Task: what was asked for, without its payload, and what became of it."""

    task_id: Annotated[str, Field(description="The Task's name; every path takes its uid as well.")]
    name: Annotated[str, Field(description="Name of the Task.")]
    namespace: Annotated[str, Field(description="Its namespace.")]
    uid: Annotated[str, Field(description="Its UID.")]
    source: Annotated[
        Literal["cluster", "archive"],
        Field(description="archive: the Task was deleted; this is how it was, from the archived messages."),
    ]
    resource_version: Annotated[
        str | None,
        Field(description="Changes with every change of the Task; null: it is no resource any more."),
    ]
    labels: Annotated[dict[str, str], Field(description="Its labels.")]
    agent_type: Annotated[str, Field(description="Type of agent to do the work.")]
    action: Annotated[str, Field(description="Action the agent is to perform.")]
    priority: Annotated[str, Field(description=f"One of {', '.join(Priority)}.")]
    persistence: Annotated[
        str | None, Field(description="Disk or Memory: where its message is kept until an agent starts it.")
    ]
    depends_on: Annotated[
        list[Dependency], Field(description="Tasks that must finish before this one starts.")
    ]
    replay_of: Annotated[ReplayOf | None, Field(description="The Task this one does again, if any.")]
    duplicate_of: Annotated[
        ReplayOf | None,
        Field(description="The Task with the same idempotency key that is done in its place, if any."),
    ]
    cancel: Annotated[str | None, Field(description="Graceful or Immediate once it is to be cancelled.")]
    phase: Annotated[
        str,
        Field(
            description="Pending, Queued, Running, or one of the final Succeeded, Failed, Cancelled,"
            " DeadLettered. Unknown: from the archive, which does not say how it ended."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why it is in this phase, as one CamelCase word.")]
    attempt: Annotated[int, Field(description="Number of the current or last attempt; 0: none yet.")]
    failures: Annotated[int, Field(description="Attempts that failed or were lost.")]
    attempts: Annotated[list[Attempt], Field(description="The newest attempts.")]
    agent_name: Annotated[str | None, Field(description="Agent of the current or last attempt.")]
    progress: Annotated[Progress | None, Field(description="How far the running attempt has come.")]
    result: Annotated[Any, Field(description="What the action returned.")]
    error: Annotated[TaskError | None, Field(description="Why the Task, or its last attempt, failed.")]
    conditions: Annotated[list[Condition], Field(description="Started, Complete, Failed.")]
    created_at: Annotated[Time, Field(description="When the Task was made.")]
    queued_at: Annotated[MicroTime | None, Field(description="When the broker confirmed the message.")]
    started_at: Annotated[MicroTime | None, Field(description="When the current attempt started.")]
    completed_at: Annotated[MicroTime | None, Field(description="When the Task finished.")]
    next_attempt_time: Annotated[MicroTime | None, Field(description="When the next attempt is due.")]


class AgentDocument(_Document):
    """An agent, as the operator last heard of it."""

    name: Annotated[str, Field(description="Name of the Agent.")]
    namespace: Annotated[str, Field(description="Its namespace.")]
    uid: Annotated[str, Field(description="Its UID.")]
    type: Annotated[str, Field(description="Type of work it takes.")]
    status: Annotated[str, Field(description="Online, Busy, Paused, Draining or Offline.")]
    reason: Annotated[str | None, Field(description="Why, as one CamelCase word.")]
    current_tasks: Annotated[list[CurrentTask], Field(description="What it works on.")]
    capacity: Annotated[int | None, Field(description="Tasks it works on at the same time, at most.")]
    actions: Annotated[list[str], Field(description="Actions it offers.")]
    resources: Annotated[
        Resources,
        Field(description="Of its last heartbeat. gpus: [] means none, null that they cannot be read."),
    ]
    version: Annotated[str | None, Field(description="Version of its software.")]
    pod_name: Annotated[str | None, Field(description="Pod it runs in.")]
    node_name: Annotated[str | None, Field(description="Node it runs on.")]
    registered_at: Annotated[Time | None, Field(description="When it registered.")]
    last_heartbeat_time: Annotated[Time | None, Field(description="When it was last heard of.")]
    last_delivery_time: Annotated[Time | None, Field(description="When it last received work.")]
    conditions: Annotated[list[Condition], Field(description="Ready, Consuming, Drained.")]


class QueuePlace(_Document):
    """Where a Queued Task stands among those of its type."""

    position: Annotated[int, Field(description="1: the next to be taken.")]
    ahead: Annotated[int, Field(description="Tasks that are taken before it, as things are.")]
    estimated_start_seconds: Annotated[
        int | None,
        Field(
            description="In about how many seconds an agent starts it, by the mean run times of late. Null"
            " where nobody can say: no agent takes work, or an action ahead has never succeeded."
        ),
    ]


class TaskStatusDocument(TaskDocument):
    """A Task, and where it stands while it waits."""

    queue: Annotated[QueuePlace | None, Field(description="Its place; null unless it is Queued.")]


class QueueAgents(_Document):
    """The agents of a type that can be reached."""

    online: Annotated[int, Field(description="How many there are.")]
    idle: Annotated[int, Field(description="Those that take work and have room for some.")]
    paused: Annotated[int, Field(description="Those that something keeps from taking work.")]
    not_consuming: Annotated[int, Field(description="Those that do not listen for work though they should.")]


class QueueDocument(_Document):
    """What waits for agents of a type, and who is there."""

    agent_type: Annotated[str, Field(description="Type of agent.")]
    waiting: Annotated[dict[Priority, int], Field(description="Queued Tasks, by priority.")]
    running: Annotated[int, Field(description="Running Tasks.")]
    oldest_waiting_seconds: Annotated[
        float | None, Field(description="How long the oldest Queued Task has waited; null: none does.")
    ]
    agents: QueueAgents


class QueueList(_Document):
    """Every queue, by type of agent."""

    items: Annotated[list[QueueDocument], Field(description="The queues.")]


class TaskPage(_Document):
    """Some Tasks, newest first."""

    items: Annotated[list[TaskDocument], Field(description="The Tasks.")]
    next_cursor: Annotated[str | None, Field(description="Value of cursor for what follows; null: nothing.")]


class ReplayResult(_Document):
    """What became of one Task that was to be done again: the new Task, or why there is none."""

    task_id: Annotated[str, Field(description="The dead-lettered Task.")]
    replayed_as: Annotated[str | None, Field(description="The Task that does it again.")]
    problem: Annotated[str | None, Field(description="Why there is none.")]


class ReplayList(_Document):
    """What became of each Task that was to be done again."""

    items: Annotated[list[ReplayResult], Field(description="One entry per dead-lettered Task.")]


class AgentList(_Document):
    """The agents asked for, by name."""

    items: Annotated[list[AgentDocument], Field(description="The agents.")]


class StreamMessage(_Document):
    """What a WebSocket sends: the Task at first, then at each change."""

    type: Annotated[Literal["snapshot", "update", "deleted"], Field(description="What happened.")]
    cursor: Annotated[str, Field(description="Resource version the message shows.")]
    task: TaskDocument


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    class Entry(BaseModel):
        """What is wrong with one part of the request."""

        detail: str
        pointer: Annotated[str | None, Field(description="JSON pointer into the body.")] = None
        parameter: Annotated[str | None, Field(description="Name of a parameter or header.")] = None

    type: Annotated[str, Field(description="Identifies the kind of problem; need not lead anywhere.")]
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Entry] | None = None


def compact_json(value: Any) -> bytes:
    """Return ``value`` as JSON without white space. :raises ValueError: JSON cannot express it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
