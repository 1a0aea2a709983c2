"""Tells the operator how the archive does. Reports replace one another; a lost one matters little."""

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

from aio_pika.abc import AbstractConnection

from harebell_bus.envelopes import AgentRef, ArchiveReport
from harebell_bus.history import REPORTS_EXCHANGE
from harebell_bus.link import open_channel
from harebell_bus.publisher import Publisher

from .state import State


def report(state: State, archiver: AgentRef, now: datetime) -> ArchiveReport:
    """Return what there is to be told."""
    stand = state.stand
    return ArchiveReport(
        archiver=archiver,
        at=now,
        state=state.name,
        message=state.message[:1024],
        lag_messages=state.lag,
        archived_messages=stand.messages if stand else None,
        gap_messages=stand.gap_messages if stand else None,
        last_gap_at=stand.last_gap_at if stand else None,
        last_archived_time=stand.last_time if stand else None,
    )


class Reporter:
    """Publishes reports, each over a channel of its own: a refused one closes its channel."""

    def __init__(self, state: State, archiver: AgentRef, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._archiver = archiver
        self._clock = clock

    async def __call__(self, connection: AbstractConnection) -> None:
        """Publish a report. :raises BusError: nobody took it."""
        async with await open_channel(connection, on_return_raises=True) as channel:
            publisher = Publisher()
            publisher.attach(channel)
            await publisher.publish(
                REPORTS_EXCHANGE,
                report(self._state, self._archiver, self._clock()),
                message_id=uuid4().hex,
                persistent=False,
            )
