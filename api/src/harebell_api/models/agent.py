"""Agents, as they are shown."""

from typing import Annotated

from pydantic import Field

from harebell_crds.agent import CurrentTask, Resources
from harebell_crds.conditions import Condition
from harebell_crds.model import Time

from .document import Document


class AgentDocument(Document):
    """An agent, as the operator last heard of it."""

    name: Annotated[str, Field(description="Name of the Agent.")]
    namespace: Annotated[str, Field(description="Its namespace.")]
    uid: Annotated[str, Field(description="Its UID.")]
    resource_version: Annotated[str, Field(description="Changes with every change of the Agent.")]
    type: Annotated[str, Field(description="Type of work it takes.")]
    paused: Annotated[bool, Field(description="Whether its spec says that it is to take nothing new.")]
    drain: Annotated[bool, Field(description="Whether its spec says so because it is to go.")]
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


class AgentList(Document):
    """The agents asked for, by name."""

    items: Annotated[list[AgentDocument], Field(description="The agents.")]
