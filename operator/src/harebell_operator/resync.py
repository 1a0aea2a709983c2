"""Lists the resources: once before anything else, then now and again for what a watch may have missed."""

import asyncio
import logging
from collections.abc import Iterable, Set
from typing import Any

from .agents import AgentReconciler
from .announcements import AnnouncementReconciler
from .apiserver import KubeError, NotFoundError
from .kube import Kube
from .pools import PoolReconciler
from .store import Store
from .tasks import TaskReconciler

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 300.0
MAX_BACKOFF_SECONDS = 15.0


class Resync:
    """Keeps the store in step with the API server, independently of the watches."""

    def __init__(
        self,
        store: Store,
        kube: Kube,
        tasks: TaskReconciler,
        agents: AgentReconciler,
        announcements: AnnouncementReconciler,
        pools: PoolReconciler,
    ) -> None:
        self._store = store
        self._kube = kube
        self._tasks = tasks
        self._agents = agents
        self._announcements = announcements
        self._pools = pools
        self.synced = False

    async def first(self) -> None:
        """Read everything, however long the API server takes to answer."""
        delay = 0.5
        while not self.synced:
            try:
                await self._once()
                self.synced = True
            except KubeError as error:
                logger.warning("the resources cannot be read yet: %s", error)
                await asyncio.sleep(delay)
                delay = min(MAX_BACKOFF_SECONDS, delay * 2)

    async def run(self) -> None:
        """Read everything again, for ever."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self._once()
            except KubeError as error:
                logger.warning("resync failed: %s", error)

    async def _once(self) -> None:
        # What appears while the list is read is not missing from it.
        known = set(self._store.tasks)
        known_agents = {a.name for a in self._store.agents.values() if a.exists}
        known_announcements = set(self._store.announcements)
        known_pools = set(self._store.pools)
        with self._store.heard.meanwhile() as newer:
            announcements = await self._list_if_installed("announcements")
            pools = await self._list_if_installed("agentpools")
            self._pools.listing()
            pods = await self._kube.list_pods()
            agents = await self._kube.list_all("agents")
            # What a watch told of meanwhile is left to it: it may have changed, or be gone, since it was
            # listed. First of all: they say whether the agents may work.
            for body in _without(newer, "uid", announcements):
                self._announcements.observed(body)
            # Pods before their pools, which would make others in their place.
            self._pools.listed(pods)
            for body in _without(newer, "uid", pools):
                self._pools.observed(body)
            for body in _without(newer, "name", agents):
                self._agents.observed(body)
            for name in known_agents - {b["metadata"]["name"] for b in agents} - newer:
                self._agents.deleted(name)
            for uid in known_announcements - {b["metadata"]["uid"] for b in announcements}:
                self._announcements.deleted(uid)
            for uid in known_pools - {b["metadata"]["uid"] for b in pools}:
                self._pools.deleted(uid)
            listed: set[str] = set()
            async for tasks in self._kube.list_pages("tasks"):
                listed.update(body["metadata"]["uid"] for body in tasks)
                for body in _without(newer, "uid", tasks):
                    self._tasks.observed(body)
            for uid in known - listed:
                self._tasks.deleted(uid)

    async def _list_if_installed(self, plural: str) -> list[dict[str, Any]]:
        try:
            return await self._kube.list_all(plural)
        except NotFoundError:
            # Helm does not bring new kinds with an upgrade. That must not stop work; there are none then.
            logger.warning("the resource %s is not installed: apply the chart's crds folder", plural)
            return []


def _without(keys: Set[str], key: str, bodies: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [body for body in bodies if body["metadata"][key] not in keys]
