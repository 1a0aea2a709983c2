"""Looks after what only the memory of one node of the broker holds."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from harebell_bus.errors import BusError
from harebell_bus.lanes import Lane, Tier
from harebell_crds.task import TaskPhase

from . import metrics
from .broker import Broker
from .decide.lanes import Look, MessageNumber, lost_messages
from .store import Store
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.5
"""How often Memory lanes are counted: a little more than two looks must lie apart."""

_Place = tuple[str, Lane]
"""Agent type and lane."""


class LaneKeeper:
    """Compares Memory lanes with the Queued Tasks, and has published again what the broker lost."""

    def __init__(
        self, store: Store, task_queue: WorkQueue[str], broker: Broker, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._task_queue = task_queue
        self._broker = broker
        self._clock = clock
        self._looks: dict[_Place, Look] = {}

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._round()
            except BusError as error:
                logger.info("the lanes were not counted: %s", error)
                self._looks.clear()

    async def _round(self) -> None:
        owed = self._owed()
        if owed and await self._broker.replies_waiting():
            # Starts that were not heard of yet would look like messages that were lost.
            self._looks.clear()
            return
        looks: dict[_Place, Look] = {}
        for place, messages in owed.items():
            look = looks[place] = Look(self._clock(), await self._ready(place), frozenset(messages))
            before = self._looks.get(place)
            lost = lost_messages(before, look) if before is not None else frozenset()
            if lost:
                await self._restore(place, look, lost)
                del looks[place]
        self._looks = looks

    def _owed(self) -> dict[_Place, list[tuple[str, MessageNumber]]]:
        owed: dict[_Place, list[tuple[str, MessageNumber]]] = defaultdict(list)
        for entry in self._store.tasks.values():
            if entry.status.phase == TaskPhase.QUEUED and entry.lane.tier is Tier.MEMORY and not entry.inbox:
                number = MessageNumber(entry.status.attempt, entry.status.dispatch)
                owed[entry.spec.agent_type, entry.lane].append((entry.uid, number))
        return owed

    async def _ready(self, place: _Place) -> int | None:
        try:
            return await self._broker.count(*place)
        except BusError as error:
            if self._broker.error is not None:
                raise
            logger.warning("lane %s of type %s cannot be reached: %s", place[1].name, place[0], error)
            return None

    async def _restore(self, place: _Place, look: Look, lost: frozenset[str]) -> None:
        agent_type, lane = place
        logger.warning(
            "lane %s of type %s holds %s of %d messages: publishing them again",
            lane.name, agent_type, look.ready, len(look.owed),
        )  # fmt: skip
        if look.ready:
            await self._broker.purge(agent_type, lane)
        metrics.MESSAGES_LOST.labels(agent_type).inc(len(lost))
        for uid in lost:
            entry = self._store.tasks.get(uid)
            if entry is not None:
                entry.message_lost = True
                self._task_queue.add(uid)
