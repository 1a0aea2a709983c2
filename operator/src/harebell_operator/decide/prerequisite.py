"""What a decision sees of the Tasks that another one depends on, and what that one is given of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, assert_never

from harebell_crds.task import MAX_INPUTS_BYTES, DependencyOutcome, TaskPhase

from .measure import json_bytes


class Prospect(Enum):
    """Whether what a Task waits for is there, or can come."""

    MET = auto()
    OPEN = auto()
    """The other Task has not finished."""
    MISSING = auto()
    """There is no such Task; it may be applied later."""
    LOST = auto()
    """The other Task finished otherwise."""


@dataclass(frozen=True)
class Prerequisite:
    """One Task that another one depends on."""

    name: str
    needs: DependencyOutcome
    phase: TaskPhase | None
    """As its written status says; None: there is no such Task."""
    reason: str | None = None
    completed_at: datetime | None = None
    result: Any = None

    @property
    def prospect(self) -> Prospect:
        """What can be expected of it."""
        if self.phase is None:
            return Prospect.MISSING
        if not self.phase.terminal:
            return Prospect.OPEN
        match self.needs:
            case DependencyOutcome.FINISHED:
                return Prospect.MET
            case DependencyOutcome.SUCCEEDED:
                return Prospect.MET if self.phase == TaskPhase.SUCCEEDED else Prospect.LOST
            case _:
                assert_never(self.needs)


def inputs_of(prerequisites: Iterable[Prerequisite]) -> dict[str, Any]:
    """Return the results by name; null for a Task that did not succeed."""
    return {p.name: p.result if p.phase == TaskPhase.SUCCEEDED else None for p in prerequisites}


def inputs_problem(inputs: dict[str, Any]) -> str | None:
    """Return why the inputs cannot be sent, or None. Bytes are those of compact JSON in UTF-8."""
    size = json_bytes(inputs)
    if size <= MAX_INPUTS_BYTES:
        return None
    return (
        f"the results of the Tasks in spec.dependsOn are {size} bytes as JSON; {MAX_INPUTS_BYTES} are allowed"
    )
