"""Which of the Tasks with one ``idempotencyKey`` is the one that is done; the others never start."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from harebell_crds.task import ReplayOf, TaskPhase

from .draft import Draft

DUPLICATE = "Duplicate"


@dataclass(frozen=True)
class Claim:
    """What a Task's claim to its key rests on."""

    uid: str
    name: str
    created_at: datetime
    begun: bool
    """Whether it has been published, or has ended by itself: nobody else may have the key then."""
    duplicate: bool = False
    """Whether it gave the key up."""

    @property
    def rank(self) -> tuple[bool, datetime, str]:
        """The least one is done."""
        return not self.begun, self.created_at, self.uid


def original_of(claim: Claim, others: Iterable[Claim]) -> ReplayOf | None:
    """Return the Task that is done in place of this one, or None: it is itself the one."""
    if claim.begun:
        return None
    first = min((claim, *(c for c in others if not c.duplicate)), key=lambda c: c.rank)
    return ReplayOf(name=first.name, uid=first.uid) if first.uid != claim.uid else None


def end_duplicate(draft: Draft) -> None:
    """End a Task of which another one of the same key is done."""
    original = draft.obs.original
    if original is None or draft.phase != TaskPhase.PENDING or draft.status.attempt:
        return
    draft.status = draft.status.model_copy(update={"duplicate_of": original})
    draft.finish(TaskPhase.CANCELLED, DUPLICATE, f"Task {original.name} has the same idempotencyKey")
