"""The objects of one kind, kept current by a watch, and who wants to hear of their changes."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .records import Record

R = TypeVar("R", bound=Record)
R_contra = TypeVar("R_contra", bound=Record, contravariant=True)

FRESH_SECONDS = 120.0
"""A watch is renewed every minute; twice that without a word means that it is not working."""


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """A new state of an object; with ``deleted`` its last."""

    record: R
    deleted: bool = False


class Subscription(Generic[R]):
    """The newest change of one object that its reader has not seen. Older ones are overwritten.

    Each change is a full state, so a slow reader misses steps, never the outcome, and holds one state only.
    """

    def __init__(self) -> None:
        self._change: Change[R] | None = None
        self._ready = asyncio.Event()

    def offer(self, change: Change[R]) -> None:
        """Put a change in place of the one not read yet."""
        self._change = change
        self._ready.set()

    async def next(self) -> Change[R]:
        """Wait for a change and return it."""
        await self._ready.wait()
        self._ready.clear()
        assert self._change is not None
        return self._change


class Mirror(Protocol[R_contra]):
    """Is told what the watch delivers, in that order, and nothing else."""

    def put(self, record: R_contra) -> None:
        """Take a state."""
        ...

    def remove(self, record: R_contra) -> None:
        """Take a deletion, with the last state."""
        ...

    def replace(self, records: Iterable[R_contra], version: int, restored: bool) -> None:
        """Take a complete list, as of ``version``; ``restored``: of a cluster set back in time."""
        ...

    def heard(self, version: int) -> None:
        """Note that everything up to ``version`` was delivered."""
        ...


class Cache(Generic[R]):
    """Records by name, with the aliases that ``aliases`` gives each."""

    def __init__(
        self, aliases: Callable[[R], Iterable[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._aliases_of, self._clock = aliases, clock
        self._records: dict[str, R] = {}
        self._aliases: dict[str, dict[str, None]] = {}
        """Names by alias, in the order in which they came to have it."""
        self._subscriptions: dict[str, set[Subscription[R]]] = {}
        self._followers: list[Callable[[R | None, R | None], None]] = []
        self._mirrors: list[Mirror[R]] = []
        self._watched = 0
        self._heard: float | None = None

    def __len__(self) -> int:
        return len(self._records)

    def get(self, name: str) -> R | None:
        """Return the record of that name, or None."""
        return self._records.get(name)

    def by_alias(self, alias: str) -> R | None:
        """Return the record that has the alias, or None."""
        return next(iter(self.all_by_alias(alias)), None)

    def all_by_alias(self, alias: str) -> list[R]:
        """Return the records that have the alias."""
        return [self._records[name] for name in self._aliases.get(alias, ())]

    def values(self) -> Iterable[R]:
        """Return all records, in no order."""
        return self._records.values()

    @property
    def fresh(self) -> bool:
        """Whether the cache was filled, and its watch is known to have worked of late."""
        return self._heard is not None and self._clock() - self._heard < FRESH_SECONDS

    @property
    def age(self) -> float | None:
        """Seconds since the watch last showed that it works; None: the cache was never filled."""
        return None if self._heard is None else max(0.0, self._clock() - self._heard)

    @property
    def watched(self) -> int:
        """The version up to which the watch has delivered everything."""
        return self._watched

    def heard(self, version: int | None = None) -> None:
        """Note that the watch works, and has delivered everything up to ``version``."""
        self._heard = self._clock()
        if version is not None:
            self._watched = version
            for mirror in self._mirrors:
                mirror.heard(version)

    def replace(self, records: Iterable[R], version: int) -> None:
        """Take a complete list, as of ``version``."""
        listed = {record.name: record for record in records}
        # A list is never older than what was watched, unless the cluster was restored from a backup: then
        # versions start over from an earlier one, and what is known counts for nothing.
        restored = version < self._watched
        for gone in [record for name, record in self._records.items() if name not in listed]:
            # What was created after the list was taken is not gone: the watch will bring it.
            if restored or gone.version <= version:
                self._drop(gone)
        for record in listed.values():
            self._store(record, even_if_older=restored)
        for mirror in self._mirrors:
            mirror.replace(listed.values(), version, restored)
        self.heard(version)

    def put(self, record: R) -> None:
        """Take a state the watch delivered."""
        self._store(record)
        for mirror in self._mirrors:
            mirror.put(record)
        self.heard(record.version)

    def remove(self, record: R) -> None:
        """Take the deletion of an object that the watch delivered, with its last state."""
        known = self._records.get(record.name)
        if known is not None and known.version < record.version:  # else another object has the name by now
            self._drop(record)
        for mirror in self._mirrors:
            mirror.remove(record)
        self.heard(record.version)

    def remember(self, record: R) -> None:
        """Take a state that came as the answer to a request, so that who wrote can read it at once.

        What the watch has passed already it has delivered, perhaps with the deletion that followed.
        """
        if record.version > self._watched:
            self._store(record)

    def follow(self, follower: Callable[[R | None, R | None], None]) -> None:
        """Have every change told, as the record before and after, None where there is none.

        What is there already is told at once.
        """
        for record in self._records.values():
            follower(None, record)
        self._followers.append(follower)

    def reflect_in(self, mirror: Mirror[R]) -> None:
        """Have a mirror told what the watch delivers from now on, beginning with what it has delivered."""
        if self._heard is not None:
            delivered = [record for record in self._records.values() if record.version <= self._watched]
            mirror.replace(delivered, self._watched, restored=False)
        self._mirrors.append(mirror)

    @contextmanager
    def subscribe(self, name: str) -> Iterator[Subscription[R]]:
        """Hear of the changes of one object."""
        subscription: Subscription[R] = Subscription()
        listeners = self._subscriptions.setdefault(name, set())
        listeners.add(subscription)
        try:
            yield subscription
        finally:
            listeners.discard(subscription)
            if not listeners and self._subscriptions.get(name) is listeners:
                del self._subscriptions[name]

    def _store(self, record: R, even_if_older: bool = False) -> None:
        old = self._records.get(record.name)
        if old is not None:
            if old.version >= record.version and not even_if_older:
                return
            self._unalias(old)
        self._records[record.name] = record
        for alias in self._aliases_of(record):
            self._aliases.setdefault(alias, {})[record.name] = None
        self._tell(old, record)
        self._publish(Change(record))

    def _tell(self, before: R | None, after: R | None) -> None:
        for follower in self._followers:
            follower(before, after)

    def _drop(self, last: R) -> None:
        known = self._records.pop(last.name)
        self._unalias(known)
        self._tell(known, None)
        self._publish(Change(last, deleted=True))

    def _unalias(self, record: R) -> None:
        for alias in self._aliases_of(record):
            names = self._aliases[alias]
            del names[record.name]
            if not names:
                del self._aliases[alias]

    def _publish(self, change: Change[R]) -> None:
        for subscription in self._subscriptions.get(change.record.name, ()):
            subscription.offer(change)
