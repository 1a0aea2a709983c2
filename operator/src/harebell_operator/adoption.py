"""Reports, once, what an operator found when it began to work: what goes on, and what was lost."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from harebell_crds.agent import AgentPhase
from harebell_crds.task import TaskPhase

from . import metrics
from .apiserver import KubeError, RefusedError
from .bus import BusReconciler
from .decide.adoption import Fate, Found, Round, Takeover, fate, note, report
from .decide.agent import is_offline
from .decide.observation import Sighting
from .kube import Kube
from .store import Store
from .workforce import Workforce

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RETRY_SECONDS = 5.0


class Adoption:
    """Follows what was Running, and who was there, when the resources had been read."""

    def __init__(
        self,
        store: Store,
        workforce: Workforce,
        bus: BusReconciler,
        kube: Kube,
        clock: Callable[[], datetime],
        identity: str,
    ) -> None:
        self._store = store
        self._workforce = workforce
        self._bus = bus
        self._kube = kube
        self._clock = clock
        self._identity = identity
        self._attempts = {
            t.uid: t.status.attempt for t in store.tasks.values() if t.status.phase == TaskPhase.RUNNING
        }
        self._fates: dict[str, Fate] = {}
        self._silent = {a.name for a in store.agents.values() if a.status.phase != AgentPhase.OFFLINE}
        workforce.fenced = set()

    async def run(self) -> None:
        """Report as soon as everything is known."""
        while True:
            takeover = report(self._look())
            if takeover is not None:
                break
            await asyncio.sleep(LOOK_SECONDS)
        self._workforce.fenced = None
        for outcome, count in vars(takeover).items():
            metrics.ADOPTION.labels(outcome).set(count)
        logger.info("took over: %s", note(takeover).message)
        await self._record(takeover)

    def _look(self) -> Round:
        """Settle what can be settled by now; it stays so."""
        now = self._clock()
        for uid, attempt in self._attempts.items():
            if self._fates.get(uid, Fate.OPEN) is Fate.OPEN:
                self._fates[uid] = fate(self._found(uid, attempt, now))
        self._silent = {name for name in self._silent if self._is_silent(name, now)}
        return Round(tuple(self._fates.values()), len(self._silent), len(self._workforce.fenced or ()))

    def _found(self, uid: str, attempt: int, now: datetime) -> Found:
        task = self._store.tasks.get(uid)
        if task is None:
            return Found(attempt, None, confirmed=False)
        agent = self._store.agents.get(task.status.agent_name or "")
        listed = agent is not None and uid not in agent.missing_since
        working = self._workforce.sighting(task, now) is Sighting.WORKING
        return Found(attempt, task.status, confirmed=listed and working)

    def _is_silent(self, name: str, now: datetime) -> bool:
        agent = self._store.agents.get(name)
        if agent is None or agent.heartbeat is not None:
            return False
        return is_offline(self._workforce.observe(agent), now) is None

    async def _record(self, takeover: Takeover) -> None:
        """Record the Event on the Bus, as soon as there is one."""
        while True:
            bus = self._bus.reference
            if bus is not None:
                try:
                    await self._kube.record(bus, note(takeover), self._identity)
                    return
                except RefusedError as error:
                    logger.error("the Event of the takeover was refused: %s", error)
                    return
                except KubeError as error:
                    logger.warning("the Event of the takeover was not recorded: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
