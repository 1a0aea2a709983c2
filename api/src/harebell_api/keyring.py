"""The API keys, as they were last read, and who is let in by them. Nothing is asked of anybody."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from harebell_crds.keys import KeyRecord, KeyRecordError, KeyState, id_of, parse_record

from .permissions import Access
from .problems import ProblemError, ProblemType

FRESH_SECONDS = 30.0
"""Keys are read again every few seconds; this long without means that revocations may be missed."""
_LONGEST_WAIT_SECONDS = 10.0
"""How often an end that is known ahead is compared with the clock, which may be set."""

logger = logging.getLogger(__name__)


class KeyRing:
    """The keys of one Secret or folder that are good for an API of ``namespace``."""

    def __init__(
        self,
        namespace: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namespace, self._now, self._clock = namespace, now, clock
        self._entries: dict[str, bytes] | None = None
        self._records: dict[str, KeyRecord] = {}
        self._changed = asyncio.Event()
        self._heard: float | None = None

    def fresh(self) -> bool:
        """Whether the keys are known to be those there are."""
        return self._heard is not None and self._clock() - self._heard < FRESH_SECONDS

    def usable(self) -> int:
        """Return how many keys let somebody in here now."""
        now = self._now()
        return sum(r.state(now) is KeyState.ACTIVE and self._is_for_here(r) for r in self._records.values())

    def replace(self, entries: Mapping[str, bytes]) -> None:
        """Take what was read, by the entries' names. What is no record of a key lets nobody in."""
        self._heard = self._clock()
        if entries == self._entries:
            return
        self._entries, self._records = dict(entries), {}
        for name, value in sorted(entries.items()):
            try:
                self._records[name] = parse_record(name, value)
            except KeyRecordError as error:
                logger.error("API key %s is refused, its entry cannot be used: %s", name, error)
        logger.info("read %d API keys, %d of them usable here", len(self._records), self.usable())
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def admit(self, key: str) -> tuple[Access, KeyRecord]:
        """Return whose key it is. :raises ProblemError: it lets nobody in."""
        record = self._records.get(id_of(key) or "")
        # A record without a key differs in its hash alone: whoever guesses learns no ids.
        if record is None or not record.is_of(key):
            raise ProblemError(ProblemType.UNAUTHENTICATED, "the API key is not valid")
        why = self._why_not(record)
        if why is not None:
            raise ProblemError(ProblemType.UNAUTHENTICATED, why)
        if not self._is_for_here(record):
            detail = f"API key {record.id} is not for namespace {self._namespace}, which is served here"
            raise ProblemError(ProblemType.SCOPE_NEEDED, detail)
        return Access(record.name, record.scopes, record.agent_types, record.id), record

    async def ended(self, record: KeyRecord) -> str:
        """Wait until a key is not what it was when it let somebody in, and return why."""
        while True:
            changed = self._changed
            current = self._records.get(record.id)
            if current is None:
                return f"API key {record.id} was removed"
            if (why := self._why_not(current)) is not None:
                return why
            if current != record:
                return f"API key {record.id} was changed"
            try:
                async with asyncio.timeout(self._seconds_left(record)):
                    await changed.wait()
            except TimeoutError:
                continue

    def _why_not(self, record: KeyRecord) -> str | None:
        match record.state(self._now()):
            case KeyState.REVOKED:
                return f"API key {record.id} was revoked"
            case KeyState.EXPIRED:
                return f"API key {record.id} has expired"
            case KeyState.ACTIVE:
                return None

    def _is_for_here(self, record: KeyRecord) -> bool:
        return record.namespaces is None or self._namespace in record.namespaces

    def _seconds_left(self, record: KeyRecord) -> float | None:
        if record.expires_at is None:
            return None
        left = (record.expires_at - self._now()).total_seconds()
        return min(max(0.0, left), _LONGEST_WAIT_SECONDS)
