"""What became of a Task that is no longer a resource, from its messages in the archive."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harebell_crds.task import AttemptOutcome, Priority, TaskPhase

from .records import task_document
from .shallow import read_json

ARCHIVE = "archive"
RECORDS = "harebell.records"
"""The exchange of the operator's records. Nobody else may publish there, so nothing from elsewhere is one."""
WORK = "harebell.work"
"""The exchange of the operator's work, where nobody else may publish either."""
DEAD_LETTERS = "harebell.dead-letters"
UNKNOWN = "Unknown"
"""The phase where the archive lacks the record of the deletion, and what there is does not tell the end."""

_OUTCOMES = {
    "Succeeded": AttemptOutcome.SUCCEEDED,
    "Failed": AttemptOutcome.FAILED,
    "Cancelled": AttemptOutcome.CANCELLED,
    "Interrupted": AttemptOutcome.INTERRUPTED,
}


@dataclass(frozen=True)
class Message:
    """A row of the view ``harebell.task_history``."""

    task_uid: str
    namespace: str
    name: str
    time: datetime
    exchange: str
    kind: str
    body: Mapping[str, Any]

    @property
    def attempt(self) -> int:
        """Its attempt; 0: none."""
        attempt = self.body.get("attempt")
        return attempt if isinstance(attempt, int) and not isinstance(attempt, bool) and attempt > 0 else 0

    @property
    def agent(self) -> str | None:
        """The name of the agent that sent it; None: it does not say."""
        agent = self.body.get("agent")
        name = agent.get("id") if isinstance(agent, dict) else None
        return name if isinstance(name, str) else None

    @property
    def readable(self) -> bool:
        """Whether it is a reply as it has to be: what is not has never counted."""
        needed = ("code", "message") if self.kind == "Failed" else ()
        return (
            self.attempt > 0
            and self.agent is not None
            and all(isinstance(self.body.get(name), str) for name in ("at", *needed))
        )


@dataclass(frozen=True)
class Deletion:
    """A Task that was deleted, as far as it has to be known to tell whom that concerns."""

    uid: str
    created: str
    """As in its metadata: RFC 3339 in UTC, whole seconds."""
    agent_type: str
    labels: Mapping[str, str]


def deletion(task_uid: str, body: Mapping[str, Any]) -> Deletion:
    """Return what a ``Removed`` tells."""
    created = _second(datetime.fromisoformat(body["createdAt"]))
    return Deletion(task_uid, created, body["agentType"], body["labels"])


def document(messages: Sequence[Message]) -> dict[str, Any] | None:
    """Return a Task as :class:`.models.TaskDocument` describes it, or None where nothing tells of one.

    The messages are of one Task. The record of its deletion says everything; without that, as when nobody
    could publish it, only what agents said is known.
    """
    # The broker's times are whole seconds, in which a short Task begins and ends.
    newest = sorted(messages, key=lambda m: (m.time, m.attempt, m.kind in _OUTCOMES))
    removed = [m for m in newest if m.kind == "Removed" and m.exchange == RECORDS]
    if removed:
        return of_record(removed[-1])
    works = [m for m in newest if m.kind == "Work" and m.exchange == WORK]
    return _of_messages(works[-1], newest) if works else None


def of_record(removed: Message) -> dict[str, Any]:
    """Return a Task as the record of its deletion shows it, as :class:`.models.TaskDocument` describes it."""
    body = removed.body
    return _archived(removed, body["spec"], body["status"], body["labels"], body["createdAt"])


def _of_messages(work: Message, messages: Iterable[Message]) -> dict[str, Any]:
    attempts: dict[int, dict[str, Any]] = {}
    answers: dict[int, Message] = {}
    buried = False
    for message in messages:
        if message.exchange == DEAD_LETTERS:
            # A reply that is there is one that the operator could not read.
            buried = buried or message.kind == "Work"
        elif not message.readable:
            continue
        elif message.kind == "Started":
            begun = {"attempt": message.attempt, "agentName": message.agent, "startedAt": message.body["at"]}
            attempts.setdefault(message.attempt, begun)
        elif (outcome := _OUTCOMES.get(message.kind)) and message.attempt in attempts:
            # Whoever began it first had it; what others say of it never counted.
            record = attempts[message.attempt]
            if record["agentName"] == message.agent and "outcome" not in record:
                record |= {"outcome": outcome.value, "completedAt": message.body["at"]}
                answers[message.attempt] = message
    status: dict[str, Any] = {
        "phase": UNKNOWN,
        "attempt": max((*attempts, work.attempt)),
        "attempts": [attempts[number] for number in sorted(attempts)],
    }
    last = answers.get(status["attempt"])
    if buried:
        status["phase"] = TaskPhase.DEAD_LETTERED.value
    elif last is not None and last.kind == "Succeeded":
        status |= {"phase": TaskPhase.SUCCEEDED.value, "result": last.body.get("result")}
    if last is not None and last.kind == "Failed":
        status["error"] = {"code": last.body["code"], "message": last.body["message"]}
    if status["phase"] != UNKNOWN and last is not None:
        status["completedAt"] = last.body["at"]
    body = work.body
    spec = {
        "agentType": body["agentType"],
        "action": body["action"],
        "priority": body.get("priority") or Priority.NORMAL.value,
    }
    return _archived(work, spec, status, {}, _second(work.time))


def _archived(
    message: Message,
    spec: Mapping[str, Any],
    status: Mapping[str, Any],
    labels: Mapping[str, str],
    created: str,
) -> dict[str, Any]:
    metadata = {
        "name": message.name,
        "namespace": message.namespace,
        "uid": message.task_uid,
        "labels": labels,
        "creationTimestamp": created,
        "resourceVersion": None,
    }
    found = task_document({"metadata": metadata, "spec": spec, "status": status})
    return {**found, "source": ARCHIVE}


def _second(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(body: str | None, raw: bytes | None) -> Mapping[str, Any] | None:
    """Return a message's body, which PostgreSQL keeps as it came where its JSON cannot hold it."""
    try:
        content = read_json(body.encode() if body is not None else raw or b"")
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
