"""Notices a watch that has died without a word, so that the liveness probe can have the operator restarted.

Whatever the API server answers to the operator's own writes and lists has a version; the watch of that kind
must bring it, or a later one, in time.
"""

import asyncio
import logging
from typing import Any

from . import metrics
from .apiserver import KubeError
from .decide.silence import LOOKS, Lag, look
from .kube import Kube, version

logger = logging.getLogger(__name__)

KINDS = ("tasks", "agents", "announcements", "agentpools", "pods")
"""What is watched."""


class Watchdog:
    """Compares what the watches bring with what :class:`Kube` was told."""

    def __init__(self, kube: Kube, patience_seconds: float) -> None:
        self._kube = kube
        self._patience = patience_seconds
        self._seen = dict.fromkeys(KINDS, 0)
        self._lags: dict[str, Lag | None] = dict.fromkeys(KINDS)

    def seen(self, plural: str, body: Any) -> None:
        """Take in an object that a watch brought."""
        self._seen[plural] = max(self._seen[plural], version(body))

    @property
    def problem(self) -> str | None:
        """Which watches are dead, in words; None: none is."""
        dead = [kind for kind, lag in self._lags.items() if lag is not None and lag.dead]
        if not dead:
            return None
        names = ", ".join(dead)
        return f"for {self._patience:g} s these watches have not brought what the API server has: {names}"

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._patience / LOOKS)
            for kind in KINDS:
                await self._look(kind)

    async def _look(self, kind: str) -> None:
        newest, before = self._kube.newest.get(kind, 0), self._lags[kind]
        answers = newest > self._seen[kind] and await self._answers(kind)
        after = self._lags[kind] = look(before, newest, self._seen[kind], answers=answers)
        if after is not None and after.dead and not (before and before.dead):
            metrics.MISSED_BY_WATCH.labels(kind).inc()
            logger.critical("the watch of %s is dead; the liveness probe fails until it is restarted", kind)

    async def _answers(self, kind: str) -> bool:
        try:
            await self._kube.ask(kind)
        except KubeError as error:
            logger.info("%s are not asked for: %s", kind, error)
            return False
        return True
