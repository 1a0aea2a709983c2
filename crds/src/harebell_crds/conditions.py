"""``metav1.Condition`` and the one way conditions change.

Rules from the Kubernetes API conventions, "Typical status properties": a condition's
``lastTransitionTime`` moves only when its ``status`` does, and ``reason`` is CamelCase.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .model import Model, Time


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One observed aspect of a resource."""

    type: Annotated[str, Field(max_length=316, description="Type of the condition, CamelCase.")]
    status: Annotated[ConditionStatus, Field(description="Whether the condition holds.")]
    reason: Annotated[str, Field(max_length=1024, description="Why, as one CamelCase word.")]
    message: Annotated[str, Field(max_length=32768, description="Why, for people.")] = ""
    last_transition_time: Annotated[Time, Field(description="When status last changed.")]
    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation this condition was set for.")
    ] = None


def set_condition(
    conditions: Iterable[Condition],
    kind: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    *,
    now: datetime,
    generation: int | None,
) -> tuple[Condition, ...]:
    """Return ``conditions`` with the one of type ``kind`` set, its transition time kept unless it changed."""
    kept = tuple(conditions)
    previous = find_condition(kept, kind)
    since = previous.last_transition_time if previous and previous.status == status else now
    changed = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )
    if previous is None:
        return (*kept, changed)
    return tuple(changed if c.type == kind else c for c in kept)


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of type ``kind``, or None."""
    return next((c for c in conditions if c.type == kind), None)
