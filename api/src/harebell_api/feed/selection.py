"""Which Tasks a stream is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from harebell_api.records import TaskRecord
from harebell_api.selector import Selector

from .log import Change, Entry

_WEIGHT_BYTES = 8
WEIGHTS = 1 << 8 * _WEIGHT_BYTES
"""Sums of weights are taken modulo this."""


@dataclass(frozen=True)
class Selection:
    """Tasks of these types and phases, with these labels; None: any type, empty: any phase.

    The types are those that the client asked for and may see. They never change, so a Task of another type
    never was, and never will be, one of the stream's; not even its name is told.
    """

    agent_types: frozenset[str] | None
    phases: frozenset[str]
    labels: Selector

    @property
    def fluid(self) -> bool:
        """Whether a Task may leave, and come back."""
        return bool(self.phases or self.labels.requirements)

    def concerns(self, task: TaskRecord) -> bool:
        """Whether the Task is, or was, or may be one of them."""
        return self.agent_types is None or task.agent_type in self.agent_types

    def matches(self, task: TaskRecord) -> bool:
        """Whether the Task is one of them."""
        return (
            (self.agent_types is None or task.agent_type in self.agent_types)
            and (not self.phases or task.phase in self.phases)
            and self.labels.matches(task.labels)
        )

    def would_match(self, agent_type: str, labels: Mapping[str, str]) -> bool:
        """Whether a Task of any phase that has these is one of them, if there is no limit to some phases."""
        return (self.agent_types is None or agent_type in self.agent_types) and self.labels.matches(labels)

    def meaning(self, entry: Entry) -> Change | None:
        """Return what a change means to somebody of whom it is not known what they have; None: nothing.

        Where it cannot be known whether the Task was one of them, it has left, which harms nobody.
        """
        if not self.concerns(entry.record):
            return None
        if entry.change is not Change.UPDATE or self.matches(entry.record):
            return entry.change
        return Change.LEFT if self.fluid else None


def weight(uid: str) -> int:
    """Return a number that stands for a Task in a sum that stands for a set of Tasks."""
    return int.from_bytes(blake2b(uid.encode(), digest_size=_WEIGHT_BYTES).digest(), "big")


def total(weights: Iterable[int]) -> int:
    """Return the sum that stands for these Tasks."""
    return sum(weights) % WEIGHTS
