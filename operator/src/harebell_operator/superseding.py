"""Tells agents which messages are void, so that they drop unbegun what may still wait in a lane.

RabbitMQ cannot take a message out of the middle of a queue. A Task that was cancelled, deleted, moved or
withdrawn while it waited would otherwise be begun, and stopped only once its agent was heard of.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Final

from harebell_bus.envelopes import Newest
from harebell_crds.task import TaskPhase

from .broker import Broker
from .commands import send_superseded
from .decide.lanes import MessageNumber, newest_message
from .store import Store, TaskEntry

TOLD_AT_ONCE: Final = 1000
"""Tasks that one message tells of, as far as a message should grow: the newest, which most likely wait."""
DELETED_KEPT: Final = 10_000
"""Tasks that are gone and of which agents that come later are told."""


class Superseding:
    """Who is away hears it with the Welcome; all hear it when the broker was away."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._deleted: OrderedDict[str, tuple[str, Newest]] = OrderedDict()
        """By UID: the agent type, and from which message on others would count."""

    async def tell(self, entry: TaskEntry, number: MessageNumber) -> None:
        """Tell that only messages from this one on count. :raises BusError: that was not confirmed."""
        await send_superseded(self._broker.publisher, entry.spec.agent_type, _newest(entry.uid, number))

    async def tell_all(self) -> None:
        """Tell every type that has agents what it should know. :raises BusError: that was not confirmed."""
        for agent_type in {agent.agent_type for agent in self._store.agents.values()}:
            if known := self.of_type(agent_type):
                await send_superseded(self._broker.publisher, agent_type, *known)

    def deleted(self, entry: TaskEntry) -> None:
        """Take in that a Task is gone: who comes later is told what is void, and all now if it waited."""
        status = entry.status
        waited = status.phase == TaskPhase.QUEUED
        unused = MessageNumber(status.attempt + 1, status.dispatch + 1)
        number = unused if waited else newest_message(status)
        if number is None:
            return
        self._deleted[entry.uid] = entry.spec.agent_type, _newest(entry.uid, number)
        if len(self._deleted) > DELETED_KEPT:
            self._deleted.popitem(last=False)
        if waited:
            self._broker.spawn(self.tell(entry, number))

    def of_type(self, agent_type: str) -> tuple[Newest, ...]:
        """Return what agents of a type are not to begin."""
        return tuple(islice(self._of_type(agent_type), TOLD_AT_ONCE))

    def _of_type(self, agent_type: str) -> Iterator[Newest]:
        entries = self._store.republished(agent_type)
        entries.sort(key=lambda e: e.status.queued_at or e.created_at, reverse=True)
        for entry in entries:
            if (number := newest_message(entry.status)) is not None:
                yield _newest(entry.uid, number)
        yield from (newest for kind, newest in reversed(self._deleted.values()) if kind == agent_type)


def _newest(uid: str, number: MessageNumber) -> Newest:
    return Newest(uid=uid, attempt=number.attempt, dispatch=number.dispatch)
