"""The request that makes a Task."""

import json
import re
from collections import Counter
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema

from harebell_api.shallow import depth_of
from harebell_crds.task import MAX_DEPENDENCIES, Backoff, Dependency, RetryPolicy, TaskSpec

MAX_DEPTH = 100
"""Levels of objects and lists in a payload; agents, and much else that reads JSON, stop at some hundreds."""
MAX_LABELS = 64
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
RESERVED_LABEL_DOMAIN = "harebell.dev"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
PREFIX_PATTERN = r"^[a-z0-9]([-.a-z0-9]*)$"

_STRICT = ConfigDict(extra="forbid", json_schema_extra={})
"""For requests: a misspelt member is an error, not a default."""


DEPLOY: Final[JsonDict] = {
    "agentType": "infra",
    "action": "deploy",
    "priority": "high",
    "name": "deploy-web-42",
    "labels": {"team": "web"},
    "retryPolicy": {"maxRetries": 1},
    "activeDeadlineSeconds": 600,
    "dependsOn": [{"name": "build-web-42"}],
}
"""An example."""


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

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN, description="Its name.")]


class DispatchRequest(TaskSpec):
    """The work to be done: a Task's spec, and what the Task is to be called."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"agentType": "text", "action": "text.stats", "payload": {"text": "the quick brown fox"}},
                DEPLOY,
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
        Field(
            max_length=253, pattern=NAME_PATTERN, description="Name of the Task. Default: a generated one."
        ),
    ] = None
    generate_name: Annotated[
        str | None,
        Field(max_length=58, pattern=PREFIX_PATTERN, description="What a generated name starts with."),
    ] = None
    labels: Annotated[dict[str, str], Field(max_length=MAX_LABELS, description="Labels of the Task.")] = (
        Field(default_factory=dict)
    )

    @field_validator("payload")
    @classmethod
    def _payload_is_json(cls, payload: dict[str, Any]) -> dict[str, Any]:
        if depth_of(payload) > MAX_DEPTH:
            raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")
        try:
            text = compact_json(payload)
        except (
            ValueError
        ) as error:  # NaN, Infinity, or half a surrogate pair: Python reads them, JSON has none
            raise ValueError("holds a number or a character that JSON cannot express") from error
        if _LONG_NUMBER.search(text):
            json.loads(text, parse_int=_kept)
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


def _kept(number: str) -> int:
    """Return an integer that Kubernetes keeps. :raises ValueError: it would make it a float."""
    if not -(2**63) <= (found := int(number)) < 2**63:
        raise ValueError(f"holds {number[:40]}, which is no integer of 64 bits: give it as a text")
    return found


def compact_json(value: Any) -> bytes:
    """Return ``value`` as JSON without white space. :raises ValueError: JSON cannot express it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
