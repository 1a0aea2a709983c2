"""A Task as the commands look at it. What a newer version added or left out is no reason to stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from harebell_crds.task import TaskCondition, TaskPhase

_FINAL = frozenset(phase.value for phase in TaskPhase if phase.terminal)
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Attempt:
    """One attempt at a Task."""

    number: int
    agent: str | None
    started: datetime | None
    ended: datetime | None
    outcome: str | None
    error: str | None
    """Code and message."""

    @property
    def took(self) -> timedelta | None:
        """How long it ran."""
        return self.ended - self.started if self.started and self.ended else None


@dataclass(frozen=True)
class Task:
    """Views of the resource that the API server sent."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Its UID."""
        return str(self.raw["metadata"]["uid"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """What is asked for."""
        return self.raw.get("spec") or NOTHING

    @property
    def status(self) -> Mapping[str, Any]:
        """What became of it."""
        return self.raw.get("status") or NOTHING

    @property
    def phase(self) -> str:
        """Where it is in its life. Pending until the operator has seen it."""
        return str(self.status.get("phase") or TaskPhase.PENDING.value)

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.phase in _FINAL

    @property
    def succeeded(self) -> bool:
        """Whether it did what was asked for."""
        return self.phase == TaskPhase.SUCCEEDED.value

    @property
    def cause(self) -> tuple[str, str] | None:
        """Reason and message of what keeps it from starting. None: nothing does, or nobody has said."""
        for condition in self.status.get("conditions") or ():
            if condition["type"] == TaskCondition.STARTED.value and condition["status"] == "False":
                return str(condition["reason"]), str(condition.get("message") or "")
        return None

    @property
    def error(self) -> str | None:
        """Why it, or its last attempt, failed: code and message."""
        return _error(self.status.get("error"))

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The newest attempts, oldest first."""
        return tuple(
            Attempt(
                each["attempt"],
                each.get("agentName"),
                moment(each.get("startedAt")),
                moment(each.get("completedAt")),
                each.get("outcome"),
                _error(each.get("error")),
            )
            for each in self.status.get("attempts") or ()
        )

    @property
    def progress(self) -> str | None:
        """How far the running attempt has come, in words."""
        progress = self.status.get("progress") or NOTHING
        percent, message = progress.get("percent"), progress.get("message")
        parts = [f"{percent} %" if percent is not None else "", str(message or "")]
        return ": ".join(part for part in parts if part) or None

    @property
    def created(self) -> datetime | None:
        """When it was made."""
        return moment(self.raw["metadata"].get("creationTimestamp"))

    def since(self, member: str) -> datetime | None:
        """Return a moment of the status, such as ``startedAt``."""
        return moment(self.status.get(member))


def moment(text: str | None) -> datetime | None:
    """Return the time that a resource gives as text, if it does."""
    return datetime.fromisoformat(text) if text else None


def _error(error: Mapping[str, Any] | None) -> str | None:
    return f"{error.get('code')}: {error.get('message')}" if error else None
