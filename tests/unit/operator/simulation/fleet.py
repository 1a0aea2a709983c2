"""Agents and a broker that keep to the protocol, as far as what happens to them lets them."""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from harebell_bus.envelopes import (
    AgentRef,
    Cancelled,
    Failed,
    Interrupted,
    Progressed,
    Reply,
    Started,
    Succeeded,
    TaskRef,
)
from harebell_crds.task import Priority
from harebell_operator.decide.lanes import MessageNumber
from harebell_operator.decide.observation import Report, Undelivered

REF = TaskRef(namespace="ns", name="t", uid="uid")


@dataclass(frozen=True)
class Message:
    """One message of work."""

    number: MessageNumber
    priority: Priority
    life: int
    """Which start of the operator published it."""


@dataclass
class Broker:
    """Keeps work and replies, while it is up."""

    up: bool = True
    work: list[Message] = field(default_factory=list)
    replies: list[Report] = field(default_factory=list)
    """Not delivered, or delivered and not acknowledged by an operator that is gone."""
    late: list[Report] = field(default_factory=list)
    """Of those ever sent, the ones that came later than they were said."""
    dead_letters: int = 0

    def kept(self) -> list[Reply]:
        """Replies that wait, and came when they were said."""
        late = {id(reply) for reply in self.late}
        return [r for r in self.replies if not isinstance(r, Undelivered) and id(r) not in late]

    def give_up(self, message: Message) -> None:
        """Say that a message came back too often."""
        self.work.remove(message)
        self.replies.append(Undelivered(REF, message.number.attempt, message.number.dispatch))


@dataclass
class Agent:
    """One agent; ``instance`` changes when its process does."""

    id: str
    broker: Broker
    serial: "count[int]"
    instance: str = ""
    connected: bool = True
    running: set[int] = field(default_factory=set)
    """Attempts; an agent has one normally, more when a stop order was lost."""
    stopping: set[int] = field(default_factory=set)
    newest: MessageNumber | None = None
    """Earlier messages are not to be begun."""
    unsent: list[Reply] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.instance = self.instance or f"{self.id}.{next(self.serial)}"

    @property
    def ref(self) -> AgentRef:
        return AgentRef(id=self.id, instance=self.instance)

    @property
    def reachable(self) -> bool:
        return self.connected and self.broker.up

    def take(self, message: Message, now: datetime, *, dies: bool = False) -> None:
        """Begin a message, unless it is void; or die before it is acknowledged, having begun it."""
        if self.newest is not None and message.number < self.newest:
            self.broker.work.remove(message)
            return
        self.running.add(message.number.attempt)
        self.say(Started, message.number.attempt, now)
        if dies:
            self.die()
        else:
            self.broker.work.remove(message)

    def say(self, kind: type[Any], attempt: int, now: datetime, **more: Any) -> None:
        """Send a reply, now or when the broker can be reached."""
        reply: Reply = kind(task=REF, attempt=attempt, agent=self.ref, at=now, **more)
        (self.broker.replies if self.reachable else self.unsent).append(reply)

    def end(self, attempt: int, how: str, now: datetime) -> None:
        """End an attempt, in a way that can be told from all others."""
        self.running.discard(attempt)
        self.stopping.discard(attempt)
        mark = f"{attempt}/{self.instance}"
        match how:
            case "succeeded":
                self.say(Succeeded, attempt, now, result=mark)
            case "failed" | "failed for good":
                self.say(Failed, attempt, now, code="Boom", message=mark, retryable=how == "failed")
            case "interrupted":
                self.say(Interrupted, attempt, now)
            case "cancelled":
                self.say(Cancelled, attempt, now)
            case _:
                raise ValueError(how)

    def progress(self, attempt: int, now: datetime) -> None:
        self.say(Progressed, attempt, now, percent=50)

    def die(self) -> None:
        """Lose everything, also what was not sent; a new process takes its place."""
        self.running.clear()
        self.stopping.clear()
        self.unsent.clear()
        self.instance = f"{self.id}.{next(self.serial)}"

    def connect(self, newest: MessageNumber | None) -> None:
        """Connect, be welcomed, and send what could not be sent."""
        self.connected = True
        if self.broker.up:
            self.newest = newest or self.newest
            self.broker.replies += self.unsent
            self.broker.late += self.unsent
            self.unsent.clear()
