"""Queues, as they are shown."""

from typing import Annotated

from pydantic import Field

from harebell_crds.task import Priority

from .document import Document


class QueueAgents(Document):
    """The agents of a type that can be reached."""

    online: Annotated[int, Field(description="How many there are.")]
    idle: Annotated[int, Field(description="Those that take work and have room for some.")]
    paused: Annotated[int, Field(description="Those that something keeps from taking work.")]
    not_consuming: Annotated[int, Field(description="Those that do not listen for work though they should.")]


class QueueDocument(Document):
    """What waits for agents of a type, and who is there."""

    agent_type: Annotated[str, Field(description="Type of agent.")]
    waiting: Annotated[dict[Priority, int], Field(description="Queued Tasks, by priority.")]
    running: Annotated[int, Field(description="Running Tasks.")]
    oldest_waiting_seconds: Annotated[
        float | None, Field(description="How long the oldest Queued Task has waited; null: none does.")
    ]
    agents: QueueAgents


class QueueList(Document):
    """Every queue, by type of agent."""

    items: Annotated[list[QueueDocument], Field(description="The queues.")]
