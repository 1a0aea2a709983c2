"""The attempts this process works on, the last ones it finished, and those it must not begin."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from harebell_bus.envelopes import CurrentTask, Newest, Work

from .invoke import Stop

REMEMBERED = 1000
"""Finished attempts kept, to know a message that the broker delivers again."""
SUPERSEDED = 10_000
"""Tasks kept of which an earlier message may still wait in a queue."""


@dataclass(frozen=True)
class Attempt:
    """One attempt, from before it is reported as started until its outcome is confirmed."""

    work: Work
    stop: Stop = field(default_factory=Stop, compare=False)
    vouched: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    """Set when the operator, asked about it, says that it is to begin."""

    @property
    def key(self) -> tuple[str, int]:
        """What is the same for every delivery of this attempt."""
        return self.work.task.uid, self.work.attempt


class InFlight:
    """Which attempts there are."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._finished: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._newest: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._attempts)

    def add(self, work: Work) -> Attempt | None:
        """Take an attempt in; None if it is here already, or was and its outcome is confirmed."""
        attempt = Attempt(work)
        if attempt.key in self._attempts or attempt.key in self._finished:
            return None
        self._attempts[attempt.key] = attempt
        self._idle.clear()
        return attempt

    def supersede(self, newest: Iterable[Newest]) -> None:
        """Take in which messages of some Tasks count."""
        for each in newest:
            number = each.attempt, each.dispatch
            self._newest[each.uid] = max(number, self._newest.pop(each.uid, number))
        while len(self._newest) > SUPERSEDED:
            self._newest.popitem(last=False)

    def is_superseded(self, work: Work) -> bool:
        """Return whether another message took the place of this one."""
        return (work.attempt, work.dispatch) < self._newest.get(work.task.uid, (0, 0))

    def drop(self, attempt: Attempt) -> None:
        """Forget an attempt that was not begun: it may come again."""
        self._attempts.pop(attempt.key, None)
        if not self._attempts:
            self._idle.set()

    def finish(self, attempt: Attempt) -> None:
        """Forget an attempt whose outcome is confirmed, except that it was here."""
        self._finished[attempt.key] = None
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)
        self.drop(attempt)

    def find(self, uid: str, attempt: int) -> Attempt | None:
        """Return an attempt that is here."""
        return self._attempts.get((uid, attempt))

    def all(self) -> tuple[Attempt, ...]:
        """Return the attempts, oldest first."""
        return tuple(self._attempts.values())

    def current(self) -> tuple[CurrentTask, ...]:
        """Return them as heartbeats tell them."""
        return tuple(CurrentTask(task=a.work.task, attempt=a.work.attempt) for a in self.all())

    async def idle(self) -> None:
        """Wait until there are none."""
        await self._idle.wait()
