"""AgentPool: a number of like agents, each in a Pod that the operator makes and removes."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from .conditions import Condition
from .model import Model, NullIsEmpty
from .schema import rule
from .task import AGENT_TYPE_PATTERN

AGENT_CONTAINER = "agent"
"""Name of the container with the agent; the Pod may have others."""
MAX_NAME_LENGTH = 52
"""A pool's name is a label's value and the beginning of its Pods' names."""


def _open(**more: Any) -> ConfigDict:
    """Settings of a model that has some of the fields of a Kubernetes object; the others are kept as they
    are, and are the API server's to judge when a Pod is made of them."""
    return ConfigDict(extra="allow", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, **more})


class Container(Model):
    """A container, as in a Pod; only its name concerns the pool."""

    model_config = _open()

    name: Annotated[str, Field(min_length=1, max_length=63, description="Name of the container.")]


class PodSpec(Model):
    """A Pod's spec."""

    model_config = _open(
        **{
            "x-kubernetes-validations": [
                {
                    "rule": f"self.containers.exists_one(c, c.name == '{AGENT_CONTAINER}')",
                    "message": f"one container must be called {AGENT_CONTAINER}",
                }
            ]
        }
    )

    containers: Annotated[
        tuple[Container, ...],
        Field(
            min_length=1,
            max_length=32,
            description=f"Containers. The one called {AGENT_CONTAINER} runs the agent; what it needs and "
            "does not say is filled in.",
        ),
    ]
    restart_policy: Annotated[
        Literal["Always"] | None, Field(description="As in a Deployment: Always, or nothing.")
    ] = None


class PodMetadata(Model):
    """A Pod's metadata, as far as a template has any."""

    labels: Annotated[dict[str, str] | None, Field(description="Labels of the Pods.")] = None
    annotations: Annotated[dict[str, str] | None, Field(description="Annotations of the Pods.")] = None


class PodTemplate(Model):
    """What the Pods of a pool are made from."""

    metadata: Annotated[PodMetadata | None, Field(description="Labels and annotations.")] = None
    spec: Annotated[PodSpec, Field(description="As in a Pod.")]


class RollingUpdate(Model):
    """How a new template takes the place of the one before, as in a Deployment."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.maxSurge > 0 || self.maxUnavailable > 0",
                    "message": "maxSurge and maxUnavailable cannot both be 0: nothing could be replaced",
                }
            ]
        }
    )

    max_surge: Annotated[
        int,
        Field(ge=0, le=1000, description="Pods there may be more than replicas. 0: where no node has room."),
    ] = 1
    max_unavailable: Annotated[
        int, Field(ge=0, le=1000, description="Agents that may be missing of replicas.")
    ] = 0


class Strategy(Model):
    """How Pods are replaced."""

    rolling_update: Annotated[RollingUpdate, Field(description="How many at a time.")] = RollingUpdate()


class AgentPoolSpec(Model):
    """How many agents of what kind."""

    type: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=AGENT_TYPE_PATTERN,
            description="Type of work its agents take.",
        ),
        rule("self == oldSelf", "spec.type is immutable"),
    ]
    replicas: Annotated[
        int,
        Field(
            ge=0,
            le=2**31 - 1,
            description="Agents there are to be. Fewer: idle ones go first; those that work finish.",
        ),
    ] = 1
    template: Annotated[
        PodTemplate,
        Field(
            description="What the Pods are made from. A change replaces them as strategy says; none is "
            "stopped while it works."
        ),
    ]
    strategy: Annotated[Strategy, Field(description="How a change of the template replaces Pods.")] = (
        Strategy()
    )


class AgentPoolStatus(Model):
    """What there is. Written by the operator alone."""

    observed_generation: Annotated[int | None, Field(description="metadata.generation last acted on.")] = None
    replicas: Annotated[int, Field(ge=0, description="Pods there are, without those that are ending.")] = 0
    ready_replicas: Annotated[int, Field(ge=0, description="Those whose agent can be reached.")] = 0
    busy_replicas: Annotated[int, Field(ge=0, description="Those whose agent works.")] = 0
    draining_replicas: Annotated[
        int, Field(ge=0, description="Those that take no new work, to be removed once they have finished.")
    ] = 0
    updated_replicas: Annotated[int, Field(ge=0, description="Those made from the present template.")] = 0
    selector: Annotated[str | None, Field(description="Selects the Pods, for autoscalers.")] = None
    conditions: Annotated[
        tuple[Condition, ...], NullIsEmpty, Field(description="Ready, Progressing, ReplicaFailure.")
    ] = ()


class AgentPoolCondition(StrEnum):
    """Types of an AgentPool's conditions."""

    READY = "Ready"
    """As many agents can be reached as there are to be."""
    PROGRESSING = "Progressing"
    """Pods are being made, drained or replaced."""
    REPLICA_FAILURE = "ReplicaFailure"
    """True says why Pods cannot be made, or do not come up."""
