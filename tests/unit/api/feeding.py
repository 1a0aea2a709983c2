"""A cluster, replicas of the API that watch it, its archive, and clients that follow Tasks, step by step.

Time stands still unless it is moved, and a client waits for as long as there is nothing to tell it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.feed import Model

from harebell_api.app import Dependencies
from harebell_api.cache import Cache
from harebell_api.feed.feed import Feed
from harebell_api.feed.log import Log
from harebell_api.feed.message import End, Idle, Item, Message
from harebell_api.feed.sources import Patience, Sources
from harebell_api.feed.streams import follow
from harebell_api.feed.wanted import wanted_of
from harebell_api.history import Deletion
from harebell_api.models import StreamQuery
from harebell_api.permissions import Access, Scope
from harebell_api.problems import ProblemError, ProblemType
from harebell_api.records import TaskRecord, task_document, task_record
from harebell_api.tasks import Tasks, task_aliases

from .fakes import NAMESPACE, FakeStore, task

T0 = 1_770_000_000
TURNS = 60
"""Of the event loop, in which everything that can go on has gone on."""
ANYONE = Access("tester", frozenset({Scope.READ}))


async def settle() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def sources_of(parts: Dependencies, **patience: float) -> Sources:
    """Return what streams are made from, as the application puts it together."""
    feed = Feed()
    parts.task_cache.reflect_in(feed)
    tasks = Tasks(parts.namespace, parts.store, parts.task_cache)
    return Sources(tasks, feed, parts.archive, Patience(**patience))


@dataclass
class World:
    """The truth, and the archive's record of what is gone."""

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name."""
    events: list[tuple[str, TaskRecord]] = field(default_factory=list)
    removed: list[tuple[Deletion, bytes]] = field(default_factory=list)
    archived: int = 0
    """How many of these the archive has by now."""
    down: bool = False
    too_many: bool = False
    version: int = 100
    seconds: int = 0
    _made: int = 0

    def create(self, name: str, agent_type: str = "text", **rest: Any) -> TaskRecord:
        self._made += 1
        uid = f"00000000-0000-0000-0000-{self._made:012d}"
        made = task(name, 0, uid=uid, created=self.time(), spec={"agentType": agent_type}, **rest)
        return self._changed("put", made)

    def modify(self, name: str, phase: str, labels: dict[str, str] | None = None) -> TaskRecord:
        made = self.tasks[name]
        metadata = {**made["metadata"], **({"labels": labels} if labels is not None else {})}
        return self._changed("put", {**made, "metadata": metadata, "status": {"phase": phase}})

    def delete(self, name: str, recorded: bool = True) -> TaskRecord:
        gone = self.tasks[name]
        if recorded:
            metadata, spec = gone["metadata"], gone["spec"]
            told = Deletion(
                metadata["uid"], metadata["creationTimestamp"], spec["agentType"], metadata["labels"]
            )
            document = {**task_document(gone), "source": "archive", "resourceVersion": None}
            self.removed.append((told, json.dumps(document).encode()))
        return self._changed("remove", gone)

    def time(self) -> str:
        return datetime.fromtimestamp(T0 + self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def now(self) -> float:
        return T0 + self.seconds

    def _changed(self, kind: str, item: dict[str, Any]) -> TaskRecord:
        self.version += 1
        metadata = {**item["metadata"], "resourceVersion": str(self.version)}
        found = {**item, "metadata": metadata}
        if kind == "put":
            self.tasks[metadata["name"]] = found
        else:
            del self.tasks[metadata["name"]]
        record = task_record(found)
        self.events.append((kind, record))
        return record

    async def find(self, namespace: str, task_id: str, *, is_uid: bool) -> bytes | None:
        """As :class:`harebell_api.archive.Archive`."""
        self._check()
        known = (body for told, body in self.removed[: self.archived] if told.uid == task_id)
        return next(known, None)

    async def removed_since(self, namespace: str, since: datetime) -> Sequence[Deletion] | None:
        """As :class:`harebell_api.archive.Archive`, which may tell more than was asked."""
        self._check()
        return None if self.too_many else [told for told, _ in self.removed[: self.archived]]

    def _check(self) -> None:
        if self.down:
            raise ProblemError(ProblemType.UNAVAILABLE, "the archive cannot be read now")


class Replica:
    """An API that began with a list of what there was, and has seen some of what came then."""

    def __init__(
        self,
        world: World,
        max_gone: int = 1000,
        archive: bool = True,
        archive_seconds: float = 0,
        **patience: float,
    ) -> None:
        self._world = world
        self.store = FakeStore()
        self.cache: Cache[TaskRecord] = Cache(task_aliases)
        self.feed = Feed(world.now, lambda: Log(max_gone), lambda: Log(max_gone))
        self.cache.reflect_in(self.feed)
        given = Patience(
            **{"catch_up": 3600, "archive": archive_seconds, "ask_again": 0, "idle": 3600, **patience}
        )
        tasks = Tasks(NAMESPACE, self.store, self.cache)
        self.sources = Sources(tasks, self.feed, world if archive else None, given)
        self.relist()

    def relist(self) -> None:
        """What follows on a 410 Gone."""
        self.cache.replace([task_record(t) for t in self._world.tasks.values()], self._world.version)
        self._seen = len(self._world.events)

    def deliver(self, events: int | None = None) -> None:
        """Have the watch bring so many events; None: all."""
        upto = len(self._world.events) if events is None else self._seen + events
        for kind, record in self._world.events[self._seen : upto]:
            self.cache.put(record) if kind == "put" else self.cache.remove(record)
        self._seen = min(upto, len(self._world.events))


class Client:
    """Follows a stream, keeps what it was told, and fails when told something twice or out of order."""

    def __init__(self, access: Access = ANYONE, **query: Any) -> None:
        self._query, self.access, self.model = query, access, Model()
        self.messages: list[dict[str, Any]] = []
        self.end: End | None = None
        self._items: AsyncGenerator[Item, None] | None = None
        self._next: asyncio.Future[Item] | None = None

    @property
    def known(self) -> dict[str, int]:
        return self.model.known

    @property
    def types(self) -> list[str]:
        return self.model.types

    @property
    def connected(self) -> bool:
        return self._items is not None

    def connect(self, replica: Replica) -> None:
        query = StreamQuery.model_validate({**self._query, "cursor": self.model.cursor})
        wanted = wanted_of(query, self.access, NAMESPACE)
        self._items, self.end = follow(replica.sources, wanted), None
        self.model.come_back()

    async def disconnect(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
            self._next = None
        if self._items is not None:
            await self._items.aclose()
            self._items = None

    async def read(self, messages: int) -> int:
        """Read so many messages if there are any, and return how many there were."""
        for number in range(messages):
            if self._items is None:
                return number
            if self._next is None:
                self._next = asyncio.ensure_future(anext(self._items))
            await settle()
            if not self._next.done():
                return number
            item, self._next = self._next.result(), None
            match item:
                case Message():
                    self._take(item)
                case End():
                    self.end = item
                    await self.disconnect()
                case Idle():
                    pass
        return messages

    def _take(self, message: Message) -> None:
        body = json.loads(message.text)
        assert (body["type"], body["cursor"]) == (message.type, message.cursor)
        self.messages.append(body)
        self.model.take(body)
