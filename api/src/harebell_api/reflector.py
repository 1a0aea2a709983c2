"""Keeps a cache current: list, watch, and begin again where the watch ended.

The client library's ``Watch`` is not used: it parses each object twice, retries without a pause, and cannot
tell its user that the stream is alive.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from .cache import Cache
from .kube import Kind, Object, Source
from .kube_errors import ApiServerError, ApiServerUnreachableError, status_error
from .records import Record

R = TypeVar("R", bound=Record)
Restarted = Callable[[Kind, str], None]
"""Told the kind and why each time a watch has to be opened again for another reason than its age."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
"""Seconds. The longest is how stale answers may be after the API server came back, so it is short."""
_SHORTEST_WATCH = 1.0
_GONE = 410

logger = logging.getLogger(__name__)


class Reflector(Generic[R]):
    """One kind's list and watch."""

    def __init__(
        self,
        kind: Kind,
        source: Source,
        cache: Cache[R],
        record: Callable[[Object], R],
        restarted: Restarted,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind, self._source, self._cache, self._record = kind, source, cache, record
        self._restarted, self._sleep, self._clock = restarted, sleep, clock
        self._version: str | None = None
        self._failures = 0
        self._unreachable = False

    async def run(self) -> None:
        """Keep the cache current for ever."""
        while True:
            try:
                await self.step()
            except ApiServerError as error:
                if self._unreachable:
                    # It answers again: what it could not do while it was away says nothing any more.
                    self._failures, self._unreachable = 0, False
                if error.status == _GONE:
                    self._version = None
                self._restarted(self._kind, "gone" if error.status == _GONE else "error")
                await self._pause(error)
            except ApiServerUnreachableError as error:
                self._unreachable = True
                self._restarted(self._kind, "unreachable")
                await self._pause(error)

    async def step(self) -> None:
        """List if need be, then watch until the API server ends it."""
        if self._version is None:
            self._version = await self._list()
        await self._watch(self._version)

    async def _list(self) -> str:
        records: list[R] = []
        version = "0"
        async with aclosing(self._source.list(self._kind)) as pages:
            async for page in pages:
                records.extend(self._record(item) for item in page["items"])
                version = str(page["metadata"]["resourceVersion"])
        self._cache.replace(records, int(version))
        logger.info("%s: listed %d at version %s", self._kind, len(records), version)
        return version

    async def _watch(self, version: str) -> None:
        opened, heard_something = self._clock(), False
        async with aclosing(self._source.watch(self._kind, version, self._cache.heard)) as events:
            async for event in events:
                self._apply(str(event["type"]), event["object"])
                heard_something, self._failures = True, 0
        if not heard_something and self._clock() - opened < _SHORTEST_WATCH:
            raise ApiServerUnreachableError("the watch ended at once")
        self._failures = 0
        self._cache.heard()  # the API server ended it in good order: its time was up

    def _apply(self, kind: str, item: Object) -> None:
        match kind:
            case "ADDED" | "MODIFIED":
                self._cache.put(self._record(item))
            case "DELETED":
                self._cache.remove(self._record(item))
            case "BOOKMARK":
                self._cache.heard(int(item["metadata"]["resourceVersion"]))
            case "ERROR":
                raise status_error(item, int(item.get("code") or 500))
            case _:
                raise ApiServerUnreachableError(f"unknown watch event {kind!r}")
        self._version = str(item["metadata"]["resourceVersion"])

    async def _pause(self, error: Exception) -> None:
        """Wait longer after each failure in a row, up to some seconds, and never in step with others."""
        self._failures += 1
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10))
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
        logger.warning("%s: watch failed, next try in %.1f s: %s", self._kind, pause, error)
        await self._sleep(pause)
