"""A decision about a Task in the making, and the two ways in which it ends something."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from harebell_crds.task import AttemptOutcome, OnInterruption, TaskError, TaskPhase, TaskStatus

from .backoff import retry_delay
from .observation import EventNote, EventType, Sighting, StopOrder, TaskObservation
from .pending import backing_off
from .transitions import attempt_ended, finished, waiting

MAX_MESSAGE = 8192


@dataclass
class Draft:
    """A decision in the making."""

    obs: TaskObservation
    now: datetime
    status: TaskStatus
    dead_letter: bool = False
    stop: list[StopOrder] = field(default_factory=list)
    events: list[EventNote] = field(default_factory=list)
    stale: int = 0
    hear_out: bool = False
    """Something is put off until what agents have said so far is heard."""
    unsettled: bool = False
    """The spec says something that is still to be done, so its generation is not yet observed."""

    @property
    def phase(self) -> TaskPhase:
        """The phase as decided so far."""
        return self.status.phase or TaskPhase.PENDING

    def heard(self, moment: datetime) -> bool:
        """Return whether everything that agents said up to ``moment`` is heard.

        Where it is not, an outcome may be on its way, so what would pass over it is put off.
        """
        until = self.obs.heard_until
        if until is not None and until >= moment:
            return True
        self.hear_out = True
        return False

    def lost(self) -> bool:
        """Return whether the agent of the current attempt is gone or forgot it, and all it said is heard."""
        since = self.obs.unseen_since
        unseen = self.obs.sighting in (Sighting.GONE, Sighting.FORGOT)
        return unseen and since is not None and self.heard(since)

    def call_off(self, phase: TaskPhase, reason: str, message: str, error: TaskError | None = None) -> None:
        """Enter a terminal phase before any agent is known to have begun; a message that waits is void."""
        if self.phase == TaskPhase.QUEUED:
            self.status = self.status.model_copy(update={"dispatch": self.status.dispatch + 1})
        self.finish(phase, reason, message, error=error)

    def finish(
        self,
        phase: TaskPhase,
        reason: str,
        message: str,
        at: datetime | None = None,
        error: TaskError | None = None,
    ) -> None:
        """Enter a terminal phase, with the Event that goes with it."""
        self.status = finished(
            self.status, phase, reason, message, at or self.now, self.now, self.obs.generation, error
        )
        if phase != TaskPhase.SUCCEEDED:  # The status says so already, and success is the common case.
            kind = EventType.NORMAL if phase == TaskPhase.CANCELLED else EventType.WARNING
            self.events.append(EventNote(kind, reason, message))


def attempt_failed(
    draft: Draft,
    outcome: AttemptOutcome,
    error: TaskError,
    at: datetime,
    *,
    retryable: bool = True,
    counts: bool = True,
) -> None:
    """End the current attempt without success, and either plan the next one or finish.

    The next one has the checkpoint unless an interruption of this one would have led to another policy.
    """
    policy = draft.obs.spec.retry_policy
    failures = draft.status.failures + (1 if counts else 0)
    draft.status = attempt_ended(draft.status, outcome, error, at).model_copy(
        update={"failures": failures, "error": error}
    )
    if not retryable:
        draft.finish(TaskPhase.FAILED, error.code, error.message, at, error)
        return
    if failures > policy.max_retries:
        message = f"{failures} attempts failed, the last one with {error.code}: {error.message}"
        draft.dead_letter = True
        draft.finish(TaskPhase.DEAD_LETTERED, "RetriesExhausted", message[:MAX_MESSAGE], at, error)
        return
    delay = retry_delay(policy.backoff, failures, draft.obs.uid) if counts else timedelta(0)
    message = f"attempt {draft.status.attempt} ended: {error.code}: {error.message}"[:MAX_MESSAGE]
    draft.events.append(EventNote(EventType.WARNING, f"Attempt{outcome.value}", message))
    due = draft.now + delay
    reason, text = backing_off(draft.status.attempt, error, due)
    draft.status = waiting(
        draft.status, TaskPhase.PENDING, reason, text[:MAX_MESSAGE], draft.now, draft.obs.generation
    ).model_copy(update={"next_attempt_time": due})
    if draft.status.on_interruption not in (None, OnInterruption.RESUME):
        draft.status = draft.status.model_copy(update={"checkpoint": None})
