"""Reconciles Announcements: who they are for, who knows, and when they end."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from harebell_crds.agent import AgentPhase
from harebell_crds.announcement import AnnouncementPhase, AnnouncementSpec, AnnouncementStatus

from .agents import AgentReconciler
from .decide.announcement import Addressee, AnnouncementObservation, decide, is_addressee
from .decide.standing import is_switch
from .kube import Kube
from .reconciling import take_step
from .reporting import write_when_due
from .standings import Standings
from .store import AgentEntry, AnnouncementEntry, Store
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)


class AnnouncementReconciler:
    """Everything that happens to Announcements."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[str],
        kube: Kube,
        standings: Standings,
        agents: AgentReconciler,
        clock: Callable[[], datetime],
        offline_after: timedelta,
    ) -> None:
        self._store = store
        self._queue = queue
        self._kube = kube
        self._standings = standings
        self._agents = agents
        self._clock = clock
        self._offline_after = offline_after

    # ---- what is observed ----------------------------------------------------------------------------

    def observed(self, body: dict[str, Any]) -> None:
        """Take in an Announcement as a watch or a list showed it."""
        meta = body["metadata"]
        self._store.heard.add(meta["uid"])
        entry = self._store.announcements.get(meta["uid"])
        if entry is not None and meta["generation"] <= entry.generation:
            return  # Our own status write, coming back, or what a list showed late.
        try:
            spec = AnnouncementSpec.model_validate(body.get("spec") or {})
            if entry is None:
                status = AnnouncementStatus.model_validate(body.get("status") or {})
                entry = AnnouncementEntry(
                    name=meta["name"],
                    uid=meta["uid"],
                    generation=meta["generation"],
                    created_at=datetime.fromisoformat(meta["creationTimestamp"]),
                    spec=spec,
                    status=status,
                    written=status,
                    # Until an agent is heard again, what it acknowledged to an earlier operator stands.
                    acknowledged={a.agent: a.at for a in status.acknowledgements},
                )
        except ValidationError as error:
            logger.error(
                "Announcement %s cannot be read: %s", meta["name"], error.errors(include_input=False)
            )
            return
        entry.spec, entry.generation = spec, meta["generation"]
        self._store.announcements[entry.uid] = entry
        self._spread(entry)

    def deleted(self, uid: str) -> None:
        """Take in that an Announcement is gone: it no longer holds."""
        self._store.heard.add(uid)
        entry = self._store.announcements.pop(uid, None)
        if entry is not None:
            self._queue.forget(uid)
            self._spread(entry)

    def _spread(self, entry: AnnouncementEntry) -> None:
        """Have everybody know that something else holds because of this Announcement."""
        self._standings.invalidate()
        self._agents.announced()
        if entry.uid in self._store.announcements:
            self._queue.add(entry.uid)
        if is_switch(entry.spec.kind):
            for uid, other in self._store.announcements.items():
                if is_switch(other.spec.kind):
                    self._queue.add(uid)

    # ---- reconcile -----------------------------------------------------------------------------------

    async def reconcile(self, uid: str) -> None:
        """Bring one Announcement's status up to date."""
        entry = self._store.announcements.get(uid)
        if entry is None:
            return
        await take_step("Announcement", entry.name, uid, self._queue, self._step(entry), self.deleted)

    async def _step(self, entry: AnnouncementEntry) -> None:
        now = self._clock()
        # Pods come and go under ever new names while an announcement stands.
        entry.acknowledged = {n: at for n, at in entry.acknowledged.items() if n in self._store.agents}
        before = entry.status
        decision = decide(self._observe(entry), now)
        entry.status = decision.status
        if before.phase != entry.status.phase:
            logger.info("%s %s is %s", entry.spec.kind, entry.name, entry.status.phase)
            if before.phase == AnnouncementPhase.ACTIVE:
                # Its time is over: nothing but the clock tells anybody else.
                self._spread(entry)
        if decision.wake_at is not None:
            self._queue.add_after(entry.uid, (decision.wake_at - now).total_seconds())
        await write_when_due(self._kube, self._queue, entry, now)

    def _observe(self, entry: AnnouncementEntry) -> AnnouncementObservation:
        return AnnouncementObservation(
            generation=entry.generation,
            spec=entry.spec,
            status=entry.status,
            superseded_by=self._standings.superseded_by(entry),
            addressees=tuple(
                Addressee(agent.name, entry.acknowledged.get(agent.name))
                for agent in self._store.agents.values()
                if self._standings.is_for(entry, agent)
                and is_addressee(_last_heard(agent), _is_gone(agent), entry.created_at, self._offline_after)
            ),
        )


def _last_heard(agent: AgentEntry) -> datetime | None:
    """When the agent was last heard of, by this operator or an earlier one."""
    return agent.last_seen if agent.heartbeat else agent.status.last_heartbeat_time


def _is_gone(agent: AgentEntry) -> bool:
    if agent.gone is not None:
        return True
    before = agent.status
    return (
        agent.heartbeat is None
        and before.phase == AgentPhase.OFFLINE
        and before.reason in ("Left", "PodGone")
    )
