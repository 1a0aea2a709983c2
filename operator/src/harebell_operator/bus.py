"""Keeps the namespace's Bus resource: made when it is not there, its status written when it changed."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from harebell_bus.envelopes import ArchiveReport
from harebell_crds.bus import BUS_NAME, BusStatus

from . import __version__, metrics
from .apiserver import AlreadyExistsError, KubeError, NotFoundError
from .broker import Broker
from .decide.bus import BusObservation, decide, is_pressing
from .kube import Kube, Reference

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
COALESCE = timedelta(seconds=10)
"""Figures change with every message; they are written no more often than this."""
RENEW = timedelta(minutes=5)
"""A Bus that somebody deleted is noticed by writing to it."""
RETRY_SECONDS = 30.0


class BusReconciler:
    """Everything that happens to the Bus."""

    def __init__(
        self, kube: Kube, broker: Broker, clock: Callable[[], datetime], *, archive_expected: bool
    ) -> None:
        self._kube = kube
        self._broker = broker
        self._clock = clock
        self._archive_expected = archive_expected
        self._report: ArchiveReport | None = None
        self._reported_at: datetime | None = None
        self._uid: str | None = None
        self._generation = 1
        self._written = BusStatus()
        self._written_at: datetime | None = None

    @property
    def reference(self) -> Reference | None:
        """The Bus, for Events about it; None while it is not known to be there."""
        return None if self._uid is None else Reference("Bus", BUS_NAME, self._uid)

    def heard(self, report: ArchiveReport) -> None:
        """Take in what an archiver reports."""
        self._report, self._reported_at = report, self._clock()

    async def run(self) -> None:
        """Keep the status up to date, until cancelled."""
        while True:
            delay = LOOK_SECONDS
            try:
                await self._step()
            except NotFoundError as error:
                self._uid = None
                delay = RETRY_SECONDS if self._written_at is None else LOOK_SECONDS
                logger.warning(
                    "the Bus is not there, or its kind is not (the chart's crds folder): %s", error
                )
            except KubeError as error:
                logger.warning("the Bus could not be written: %s", error)
                delay = RETRY_SECONDS
            await asyncio.sleep(delay)

    async def _step(self) -> None:
        if self._uid is None:
            self._adopt(await self._found_or_made())
        now = self._clock()
        status = decide(
            BusObservation(
                self._generation,
                self._written,
                self._broker.error,
                self._broker.version,
                self._broker.hearing_since,
                self._archive_expected,
                self._report,
                self._reported_at,
                __version__,
            ),
            now,
        )
        since = None if self._written_at is None else now - self._written_at
        changed = status != self._written and (since is None or since >= COALESCE)
        if changed or is_pressing(self._written, status) or since is None or since >= RENEW:
            await self._kube.write_status("buses", BUS_NAME, self._uid, status.to_wire())
            metrics.STATUS_WRITES.labels("Bus").inc()
            self._written, self._written_at = status, now

    async def _found_or_made(self) -> dict[str, Any]:
        try:
            return await self._kube.create("buses", "Bus", BUS_NAME)
        except AlreadyExistsError:
            return await self._kube.get("buses", BUS_NAME)

    def _adopt(self, body: dict[str, Any]) -> None:
        """Go on from the status that is there, so that conditions keep their times."""
        self._uid, self._generation = body["metadata"]["uid"], body["metadata"]["generation"]
        try:
            self._written = BusStatus.model_validate(body.get("status") or {})
        except ValidationError as error:
            logger.warning("the Bus's status cannot be read: %s", error.errors(include_input=False))
            self._written = BusStatus()
