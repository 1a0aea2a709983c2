"""Reconciles AgentPools: makes their Pods, and removes those whose agents have been drained."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from harebell_crds.agent import AgentPhase
from harebell_crds.pool import AgentPoolSpec, AgentPoolStatus
from harebell_crds.task import TaskPhase

from .agents import AgentReconciler
from .apiserver import KubeError, NoAnswerError, NotFoundError
from .broker import Broker
from .decide.observation import EventNote, EventType
from .decide.pod import Credentials, Trouble, pod_for, read_pod, selector, template_hash
from .decide.pool import (
    NOTICE_SECONDS,
    SETTLED,
    Member,
    PoolDecision,
    PoolObservation,
    another_setback,
    decide,
    presence_of,
)
from .decide.standing import Drain, OrderKind
from .decide.template import TemplateError
from .kube import Kube
from .reconciling import take_step
from .reporting import record, write_when_due
from .store import AgentEntry, PodEntry, PoolEntry, Store
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)


class PoolReconciler:
    """Everything that happens to AgentPools and their Pods."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[str],
        kube: Kube,
        broker: Broker,
        agents: AgentReconciler,
        clock: Callable[[], datetime],
        offline_after: timedelta,
        credentials: Credentials | None,
        identity: str,
    ) -> None:
        self._store = store
        self._queue = queue
        self._kube = kube
        self._broker = broker
        self._agents = agents
        self._clock = clock
        self._offline_after = offline_after
        self._credentials = credentials
        self._identity = identity
        self._touched: set[str] = set()
        """Pods heard of since the last list of them was asked for: the list may be older."""

    # ---- what is observed ----------------------------------------------------------------------------

    def observed(self, body: dict[str, Any]) -> None:
        """Take in an AgentPool as a watch or a list showed it."""
        meta = body["metadata"]
        self._store.heard.add(meta["uid"])
        entry = self._store.pools.get(meta["uid"])
        deleted = bool(meta.get("deletionTimestamp"))
        if entry is not None and (meta["generation"], deleted) <= (entry.generation, entry.deleted):
            return  # Our own status write, coming back, or what a list showed late.
        try:
            spec = AgentPoolSpec.model_validate(body.get("spec") or {})
            if entry is None:
                status = AgentPoolStatus.model_validate(body.get("status") or {})
                entry = PoolEntry(meta["name"], meta["uid"], meta["generation"], spec, status, status)
        except ValidationError as error:
            logger.error("AgentPool %s cannot be read: %s", meta["name"], error.errors(include_input=False))
            return
        if spec.template != entry.spec.template:
            # Perhaps mended: nobody should have to wait to see that.
            entry.setback = None
        entry.spec, entry.generation, entry.deleted = spec, meta["generation"], deleted
        self._store.pools[entry.uid] = entry
        self._queue.add(entry.uid)

    def deleted(self, uid: str) -> None:
        """Take in that an AgentPool is gone; the API server removes its Pods."""
        self._store.heard.add(uid)
        if self._store.pools.pop(uid, None) is not None:
            self._queue.forget(uid)

    def pod_observed(self, body: dict[str, Any]) -> None:
        """Take in a Pod as a watch showed it; one of no pool, or no longer of any, does not count."""
        self._touched.add(body["metadata"]["uid"])
        self._take(body)

    def pod_deleted(self, uid: str) -> None:
        """Take in that a Pod is gone."""
        self._touched.add(uid)
        self._drop(uid)

    def listing(self) -> None:
        """Take in that a list of Pods is about to be asked for."""
        self._touched = set()

    def listed(self, bodies: Iterable[dict[str, Any]]) -> None:
        """Take in all Pods, as the list showed them; what was heard meanwhile is newer."""
        listed = {body["metadata"]["uid"]: body for body in bodies}
        for uid in listed.keys() - self._touched:
            self._take(listed[uid])
        for uid in self._store.pods.keys() - listed.keys() - self._touched:
            self._drop(uid)

    def _take(self, body: dict[str, Any]) -> None:
        facts = read_pod(body)
        if facts is None:
            self._drop(body["metadata"]["uid"])
            return
        entry = self._store.pods.get(facts.uid)
        before = entry.facts if entry else None
        now = self._clock()
        if entry is None:
            entry = self._store.pods[facts.uid] = PodEntry(facts, since=now)
        entry.facts = facts
        pool = self._store.pools.get(facts.pool_uid)
        fails = facts.ended and not facts.terminating and entry.drain is None
        if fails and pool is not None and not (before and before.ended):
            trouble = facts.trouble or Trouble("PodEnded", "its Pod ended")
            logger.warning("Pod %s of AgentPool %s ended: %s", facts.name, pool.name, trouble.message)
            if now - facts.created_at < SETTLED:
                pool.setback = another_setback(pool.setback, trouble, now, entry.since)
        self._review(facts.pool_uid)

    def _drop(self, uid: str) -> None:
        entry = self._store.pods.pop(uid, None)
        if entry is not None:
            # It may live on without its pool; then its agent is to take work again.
            self._tell(uid)
            self._review(entry.facts.pool_uid)

    def _review(self, pool_uid: str) -> None:
        self._queue.add_after(pool_uid, NOTICE_SECONDS)

    # ---- reconcile -----------------------------------------------------------------------------------

    async def reconcile(self, uid: str) -> None:
        """Bring one AgentPool nearer to what is wanted."""
        entry = self._store.pools.get(uid)
        if entry is None or entry.deleted:
            return
        await take_step("AgentPool", entry.name, uid, self._queue, self._step(entry), self.deleted)

    async def _step(self, entry: PoolEntry) -> None:
        now = self._clock()
        decision = decide(self._observe(entry, now), now)
        entry.status = decision.status
        if decision.wake_at is not None:
            self._queue.add_after(entry.uid, (decision.wake_at - now).total_seconds())
        self._mark(entry, decision, now)
        try:
            refused = await self._delete(entry, decision)
            await self._create(entry, decision.create)
            if refused is not None:
                raise refused
        except Exception:
            # What could not be done is tried again; what is known is said all the same.
            with suppress(KubeError):
                await write_when_due(self._kube, self._queue, entry, now)
            raise
        await write_when_due(self._kube, self._queue, entry, now)

    def _observe(self, entry: PoolEntry, now: datetime) -> PoolObservation:
        agents = list(self._store.agents.values())
        heard = {a.heartbeat.pod.uid: a for a in agents if a.heartbeat and a.heartbeat.pod}
        unheard = {a.status.pod_name: a for a in agents if a.heartbeat is None}
        return PoolObservation(
            uid=entry.uid,
            generation=entry.generation,
            replicas=entry.spec.replicas,
            template_hash=template_hash(entry.spec.template),
            selector=selector(entry.name),
            status=entry.status,
            members=tuple(
                self._member(pod, heard.get(uid) or unheard.get(pod.facts.name), now)
                for uid, pod in self._store.pods.items()
                if pod.facts.pool_uid == entry.uid and not pod.facts.terminating and not pod.deleted
            ),
            setback=entry.setback,
            rollout=entry.spec.strategy.rolling_update,
        )

    def _member(self, pod: PodEntry, agent: AgentEntry | None, now: datetime) -> Member:
        beat = agent.heartbeat if agent else None
        return Member(
            pod=pod.facts,
            presence=presence_of(
                pod.facts,
                heard=beat is not None,
                known=agent is not None,
                gone=agent is not None and agent.gone is not None,
                due=self._due(pod.facts.running_since or now),
                now=now,
            ),
            expected=agent is not None and agent.status.phase not in (None, AgentPhase.OFFLINE),
            tasks=len(self._work(agent)) if agent else 0,
            leaving=agent is not None and agent.order is not None and agent.order.kind is OrderKind.DRAIN,
            draining=pod.drain is not None,
            drained=pod.drain is not None
            and beat is not None
            and beat.paused
            and pod.drain.uid in beat.acknowledged
            and not beat.current_tasks,
        )

    def _due(self, since: datetime) -> datetime | None:
        """Return until when an agent that runs since then is to be heard of; None while none can be."""
        hearing = self._broker.hearing_since
        return None if hearing is None else max(since, hearing) + self._offline_after

    def _work(self, agent: AgentEntry) -> set[str]:
        """Return the UIDs of the Tasks that an agent has, by anybody's word."""
        said = agent.tasks if agent.heartbeat else {t.uid for t in agent.status.current_tasks}
        running = {t.uid for t in self._store.tasks_of(agent.name) if t.status.phase == TaskPhase.RUNNING}
        return running.union(said)

    # ---- act -----------------------------------------------------------------------------------------

    def _mark(self, entry: PoolEntry, decision: PoolDecision, now: datetime) -> None:
        """Have agents take no more work, or take it again; nothing is awaited in between."""
        for uid in decision.undrain:
            pod = self._store.pods[uid]
            pod.drain = None
            logger.info("agent %s of AgentPool %s stays", pod.facts.name, entry.name)
            self._tell(uid)
        for uid in decision.drain:
            pod = self._store.pods[uid]
            pod.drain = Drain(uuid4().hex, entry.name, now)
            logger.info("agent %s of AgentPool %s is drained", pod.facts.name, entry.name)
            self._tell(uid)

    def _tell(self, pod_uid: str) -> None:
        for agent in self._store.agents.values():
            if agent.heartbeat and agent.heartbeat.pod and agent.heartbeat.pod.uid == pod_uid:
                self._agents.redirected(agent)

    async def _delete(self, entry: PoolEntry, decision: PoolDecision) -> KubeError | None:
        """Delete Pods; return why one could not be. That one must not keep the pool from all else."""
        removed, refused = [], None
        for uid in decision.delete:
            pod = self._store.pods.get(uid)
            if pod is None:
                continue
            try:
                await self._kube.delete_pod(pod.facts.name, uid)
            except NotFoundError:
                self.pod_deleted(uid)
                continue
            except NoAnswerError:
                raise
            except KubeError as error:
                refused = refused or error
                continue
            pod.deleted = True
            removed.append(pod.facts.name)
        if removed:
            self._review(entry.uid)
            note = EventNote(EventType.NORMAL, "Deleted", f"deleted {_listed(removed)}")
            await record(self._kube, entry, note, self._identity)
        return refused

    async def _create(self, entry: PoolEntry, count: int) -> None:
        if not count:
            return
        made = []
        try:
            body = pod_for(entry.name, entry.uid, entry.spec.type, entry.spec.template, self._credentials)
            for _ in range(count):
                pod = await self._kube.create_pod(body)
                self.pod_observed(pod)
                made.append(pod["metadata"]["name"])
        except NoAnswerError:
            # That is nobody's mistake, and no reason to wait for long once it answers again.
            raise
        except (TemplateError, KubeError) as error:
            # Nor does a 404 say that the pool is gone.
            await self._failed(entry, Trouble("FailedCreate", str(error)))
        else:
            if entry.setback is not None and entry.setback.trouble.reason == "FailedCreate":
                entry.setback = None
        self._review(entry.uid)
        if made:
            note = EventNote(EventType.NORMAL, "Created", f"created {_listed(made)}")
            await record(self._kube, entry, note, self._identity)

    async def _failed(self, entry: PoolEntry, trouble: Trouble) -> None:
        entry.setback = another_setback(entry.setback, trouble, self._clock())
        logger.error("AgentPool %s: no Pod was made: %s", entry.name, trouble.message)
        note = EventNote(EventType.WARNING, trouble.reason, trouble.message)
        await record(self._kube, entry, note, self._identity)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{'Pod' if len(names) == 1 else 'Pods'} {', '.join(names[:10])}{more}"
