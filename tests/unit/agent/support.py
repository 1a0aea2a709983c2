"""Stand-ins for the broker, and waiting for what is to happen."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from harebell_agent import Agent, Context
from harebell_agent.checkpoints import Checkpoint, Checkpoints, Saved
from harebell_agent.context import CancelSignal
from harebell_agent.delivery import Permit
from harebell_agent.inflight import InFlight
from harebell_agent.metrics import Metrics
from harebell_agent.outcome import as_json
from harebell_agent.replies import Replies
from harebell_agent.vouching import Vouching
from harebell_agent.worker import Worker
from harebell_bus import envelopes
from harebell_bus.codec import encode
from harebell_bus.envelopes import AgentRef, TaskRef, Work

NOW = datetime(2026, 1, 19, 12, tzinfo=UTC)
TASK = TaskRef(namespace="team-a", name="count-words", uid="7d5c2f0e")
ME = AgentRef(id="text-1", instance="11111111-2222")

_R = TypeVar("_R", bound=envelopes.Envelope)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for the condition; fail if it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Published:
    """What was published."""

    exchange: str
    message: envelopes.Message | bytes
    message_id: str
    correlation_id: str | None
    persistent: bool
    headers: dict[str, str | int]


@dataclass
class Broker:
    """Confirms everything, except what it is told not to."""

    published: list[Published] = field(default_factory=list)
    failing: list[Exception] = field(default_factory=list)
    """What the next publications meet, in order."""

    async def publish(
        self,
        exchange: str,
        message: envelopes.Message | bytes,
        *,
        message_id: str,
        correlation_id: str | None = None,
        persistent: bool = True,
        headers: dict[str, str | int] | None = None,
    ) -> None:
        await asyncio.sleep(0)
        if self.failing:
            raise self.failing.pop(0)
        self.published.append(
            Published(exchange, message, message_id, correlation_id, persistent, headers or {})
        )

    def all(self, kind: type[_R]) -> list[_R]:
        return [p.message for p in self.published if isinstance(p.message, kind)]

    def kinds(self) -> list[str]:
        return [p.message.kind for p in self.published if not isinstance(p.message, bytes)]


@dataclass
class Message:
    """A claimed message."""

    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    message_id: str | None = "m-1"
    correlation_id: str | None = TASK.uid
    redelivered: bool | None = False
    settled: str = ""
    lost: Exception | None = None
    """What settling meets."""

    async def ack(self, multiple: bool = False) -> None:
        await self._settle("ack")

    async def nack(self, multiple: bool = False, requeue: bool = True) -> None:
        await self._settle("requeue" if requeue else "nack")

    async def _settle(self, how: str) -> None:
        if self.lost is not None:
            raise self.lost
        self.settled = how


def work(action: str = "act", payload: Mapping[str, Any] | None = None, **more: Any) -> Work:
    """Return a work message."""
    fields: dict[str, Any] = {"task": TASK, "attempt": 1, "agent_type": "text", "priority": "normal"}
    return Work(action=action, payload=dict(payload or {}), published_at=NOW, **{**fields, **more})


@dataclass
class Desk:
    """A worker with nothing behind it but the stand-ins."""

    agent: Agent = field(default_factory=lambda: Agent(type="text"))
    broker: Broker = field(default_factory=Broker)
    inflight: InFlight = field(default_factory=InFlight)
    metrics: Metrics = field(default_factory=Metrics)
    released: int = 0
    pauses: list[float] = field(default_factory=list)
    answer_seconds: float = 3600

    def __post_init__(self) -> None:
        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            await asyncio.sleep(0)

        self.vouching = Vouching(self.inflight, self.answer_seconds)
        replies = Replies(self.broker, pause)
        actions = self.agent.actions
        self.worker = Worker(
            ME, actions, replies, self.inflight, self.vouching, self.metrics, now=lambda: NOW
        )

    def _release(self) -> None:
        self.released += 1

    async def take(self, what: Work | Message) -> tuple[Message, Permit]:
        """Have the worker take a message."""
        message = what if isinstance(what, Message) else Message(encode(what))
        permit = Permit(self._release)
        await self.worker.take(message, permit)
        return message, permit

    async def finished(self) -> envelopes.Message | bytes:
        """Wait for the slot to be free again; return the last that was published."""
        await until(lambda: self.released)
        return self.broker.published[-1].message


class Silent:
    """Takes progress, and keeps it."""

    def __init__(self) -> None:
        self.reports: list[tuple[float | None, str | None]] = []

    def report(self, percent: float | None, message: str | None) -> None:
        self.reports.append((percent, message))


class Kept:
    """Takes checkpoints, and keeps them."""

    def __init__(self) -> None:
        self.saved: list[Any] = []

    def save(self, data: Any) -> Saved:
        async def send(_: Checkpoint) -> None:
            return

        plain, _ = as_json(data)
        self.saved.append(plain)
        return Saved(Checkpoints(send), 0)


def context(
    progress: Silent | None = None, checkpoints: Kept | None = None, resume_from: Any = None
) -> Context:
    """Return a context for calling an action by itself."""
    import logging

    return Context(
        TASK,
        1,
        logging.getLogger("test"),
        CancelSignal(),
        progress or Silent(),
        checkpoints or Kept(),
        resume_from,
    )
