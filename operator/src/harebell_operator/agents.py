"""Reconciles Agents: who is there, what they do, and what that means for the Tasks they have."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from harebell_bus.envelopes import Heartbeat, HeartbeatReason
from harebell_bus.errors import UnreadableMessageError
from harebell_crds.agent import AgentPhase, AgentSpec, AgentStatus, CurrentTask
from harebell_crds.task import CancelMode, TaskPhase, TaskStatus

from . import metrics
from .apiserver import AlreadyExistsError, NotFoundError
from .broker import Broker
from .commands import send_welcome
from .decide.agent import decide, is_offline, left
from .decide.consuming import deaf_since
from .decide.expiry import Remains, delete_at
from .decide.fencing import is_stale
from .decide.observation import StopOrder
from .decide.pool import NOTICE_SECONDS
from .decide.standing import OrderKind, ordered
from .kube import Kube, agent_labels, made_here
from .reconciling import RETRY_SECONDS, take_step
from .reporting import record
from .standings import Standings
from .store import AgentEntry, Store, TaskEntry
from .superseding import Superseding
from .work_queues import WorkQueues
from .workforce import FORGOT_GRACE, Workforce
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

STRAGGLERS = timedelta(seconds=30)
"""How long after its successor was heard a process of an agent may still be heard."""


class AgentReconciler:
    """Everything that happens to Agents."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[str],
        task_queue: WorkQueue[str],
        pool_queue: WorkQueue[str],
        kube: Kube,
        broker: Broker,
        standings: Standings,
        workforce: Workforce,
        work_queues: WorkQueues,
        superseding: Superseding,
        clock: Callable[[], datetime],
        heartbeat_seconds: float,
        ttl: timedelta | None,
        identity: str,
    ) -> None:
        self._store = store
        self._queue = queue
        self._task_queue = task_queue
        self._pool_queue = pool_queue
        self._kube = kube
        self._broker = broker
        self._standings = standings
        self._workforce = workforce
        self._work_queues = work_queues
        self._superseding = superseding
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._ttl = ttl
        self._identity = identity
        self._started_at = clock()

    # ---- what is observed ----------------------------------------------------------------------------

    def observed(self, body: dict[str, Any]) -> None:
        """Take in an Agent as a watch or a list showed it."""
        meta = body["metadata"]
        self._store.heard.add(meta["name"])
        entry = self._store.agents.get(meta["name"])
        if entry is None:
            try:
                spec = AgentSpec.model_validate(body.get("spec") or {})
                status = AgentStatus.model_validate(body.get("status") or {})
            except ValidationError as error:
                logger.error("Agent %s cannot be read: %s", meta["name"], error.errors(include_input=False))
                return
            entry = AgentEntry(
                name=meta["name"],
                agent_type=spec.type,
                exists=True,
                generation=meta["generation"],
                order=ordered(spec, meta["name"], meta["uid"], meta["generation"], self._clock()),
                status=status,
                last_seen=self._started_at,
                tasks_changed_at=self._started_at,
                labels=dict(meta.get("labels") or {}),
                uid=meta["uid"],
                owned=bool(meta.get("ownerReferences")),
            )
            self._store.agents[entry.name] = entry
            self._queue.add(entry.name)
            self._standings.review()
            return
        self._there(entry, body)

    def deleted(self, name: str) -> None:
        """Take in that an Agent's resource is gone. An agent that is alive gets it back."""
        self._store.heard.add(name)
        entry = self._store.agents.get(name)
        if entry is not None:
            entry.exists = False
            entry.order = None
            entry.status = AgentStatus()
            # As the resource will be made again.
            self._labelled(entry, {"labels": agent_labels(entry.agent_type)})
            self._queue.add(name)
            self._standings.review()

    def _there(self, entry: AgentEntry, body: dict[str, Any]) -> None:
        """Take in that a known agent's resource exists, and what its spec asks."""
        meta = body["metadata"]
        if body["spec"]["type"] != entry.agent_type:
            return  # Of an earlier agent that had this id; it is in the way when this one's is made.
        if entry.exists and entry.uid == meta["uid"] and meta["generation"] < entry.generation:
            return  # What a list or an answer showed late.
        entry.uid, entry.owned = meta["uid"], bool(meta.get("ownerReferences"))
        if not entry.exists or entry.generation != meta["generation"]:
            try:
                spec = AgentSpec.model_validate(body["spec"])
            except ValidationError as error:
                logger.error("Agent %s cannot be read: %s", entry.name, error.errors(include_input=False))
                return
            entry.exists, entry.generation = True, meta["generation"]
            entry.order = ordered(spec, entry.name, meta["uid"], entry.generation, self._clock())
            self._queue.add(entry.name)
            self.redirected(entry)
        self._labelled(entry, meta)

    def _labelled(self, entry: AgentEntry, meta: dict[str, Any]) -> None:
        """Take in labels; other ones may bring other announcements."""
        labels = dict(meta.get("labels") or {})
        if labels != entry.labels:
            entry.labels = labels
            self._workforce.changed(entry)
            self._standings.tell(entry)
            self._standings.review()

    def announced(self) -> None:
        """Take in that other announcements hold now."""
        for entry in self._store.agents.values():
            self.redirected(entry)

    def redirected(self, entry: AgentEntry) -> None:
        """Take in that something else may hold for an agent now."""
        self._workforce.changed(entry)
        self._standings.tell(entry)
        if entry.heartbeat is not None:
            self._queue.add(entry.name)

    def pod_gone(self, pod_uid: str, pod_name: str) -> None:
        """Take in that a Pod was deleted or has ended: its agent is gone at once."""
        for entry in self._store.agents.values():
            pod = entry.heartbeat.pod if entry.heartbeat else None
            if pod.uid == pod_uid if pod else entry.status.pod_name == pod_name:
                entry.gone = "PodGone"
                self._changed(entry)
                self._standings.review()

    def heard(self, beat: Heartbeat) -> None:
        """Take in a heartbeat. :raises UnreadableMessageError: it names no agent that could exist."""
        metrics.HEARTBEATS.labels(beat.reason.value).inc()
        now = self._clock()
        entry = self._store.agents.get(beat.agent.id)
        if entry is not None and entry.agent_type != beat.agent_type:
            if not self._makes_way(entry, now):
                # Never welcomed, it takes no work; it registers again and again until it may.
                logger.warning(
                    "agent %s of type %s is refused: one of type %s has this id",
                    beat.agent.id, beat.agent_type, entry.agent_type,
                )  # fmt: skip
                return
            entry = None
        if entry is None:
            entry = self._introduce(beat, now)
        known = entry.heartbeat
        if known is not None and self._is_straggler(entry, known, beat, now):
            logger.debug("heartbeat of an earlier process of agent %s", beat.agent.id)
            return
        restarted = entry.instance is not None and entry.instance != beat.agent.instance
        if entry.gone == "PodGone" and not restarted:
            return
        if known is None or restarted or entry.gone is not None or left(beat):
            self._standings.review()
        if restarted:
            entry.told = None
        entry.heartbeat, entry.last_seen = beat, now
        entry.deaf_since = deaf_since(beat, now, known, entry.deaf_since)
        entry.gone = "Left" if left(beat) else None
        tasks = {
            t.task.uid: CurrentTask(
                namespace=t.task.namespace, name=t.task.name, uid=t.task.uid, attempt=t.attempt
            )
            for t in beat.current_tasks
        }
        if tasks.keys() != entry.tasks.keys():
            entry.tasks_changed_at = now
        entry.tasks = tasks
        if restarted:
            for task in self._store.tasks_of(entry.name):
                self._task_queue.add(task.uid)
        self._compare(entry, beat, now)
        self._standings.heard(entry, beat)
        self._changed(entry)
        if beat.reason == HeartbeatReason.REGISTERED:
            logger.info("agent %s of type %s registered", beat.agent.id, beat.agent_type)
            self._broker.spawn(self._welcome(beat))

    @staticmethod
    def _is_straggler(entry: AgentEntry, known: Heartbeat, beat: Heartbeat, now: datetime) -> bool:
        """Whether a heartbeat is among the last words of an earlier process of the same agent.

        They come soon after the first ones of its successor. Later, what began earlier is another process,
        begun by a clock that was set back.
        """
        earlier = beat.agent.instance != known.agent.instance and beat.started_at < known.started_at
        return earlier and entry.gone is None and now - entry.last_seen < STRAGGLERS

    def _makes_way(self, entry: AgentEntry, now: datetime) -> bool:
        """Forget an agent whose id one of another type wants, if it is gone; return whether that is so."""
        was_offline = entry.heartbeat is None and entry.status.phase == AgentPhase.OFFLINE
        if is_offline(self._workforce.observe(entry), now) is None and not was_offline:
            return False
        for task in self._store.tasks_of(entry.name):
            self._task_queue.add(task.uid)
        self._review_pool(entry)
        self._workforce.changed(entry)
        del self._store.agents[entry.name]
        return True

    def _introduce(self, beat: Heartbeat, now: datetime) -> AgentEntry:
        try:
            AgentSpec(type=beat.agent_type)
        except ValidationError as error:
            raise UnreadableMessageError(f"agentType: {error.errors()[0]['msg']}") from None
        entry = AgentEntry(
            name=beat.agent.id,
            agent_type=beat.agent_type,
            exists=False,
            generation=1,
            status=AgentStatus(),
            last_seen=now,
            tasks_changed_at=now,
            labels=agent_labels(beat.agent_type),
        )
        self._store.agents[entry.name] = entry
        return entry

    def _compare(self, entry: AgentEntry, beat: Heartbeat, now: datetime) -> None:
        """Hold what the agent says it does against what the Tasks say: both ways."""
        listed = {(t.task.uid, t.attempt) for t in beat.current_tasks}
        for current in beat.current_tasks:
            task = self._store.tasks.get(current.task.uid)
            why = is_stale(task.status if task else None, current.attempt, beat.agent, beat.at)
            if why is not None:
                order = StopOrder(entry.name, current.attempt, CancelMode.IMMEDIATE, why, fences=True)
                self._broker.spawn(self._workforce.stop(current.task, order))
        missing: dict[str, datetime] = {}
        for task in self._store.tasks_of(entry.name):
            began = task.status.started_at
            said_before_start = began is not None and beat.at <= began
            if (task.uid, task.status.attempt) not in listed and not said_before_start:
                missing[task.uid] = entry.missing_since.get(task.uid, now)
                self._task_queue.add_after(task.uid, FORGOT_GRACE.total_seconds() + 0.1)
        entry.missing_since = missing

    def assigned(self, task: TaskEntry, before: TaskStatus, after: TaskStatus, now: datetime) -> None:
        """Take in that a Task's current attempt began or ended, as its replies say."""
        was = before.agent_name if before.phase == TaskPhase.RUNNING else None
        is_now = after.agent_name if after.phase == TaskPhase.RUNNING else None
        if was == is_now and before.attempt == after.attempt:
            return
        for name, present in ((was, False), (is_now, True)):
            entry = self._store.agents.get(name) if name else None
            if entry is None:
                continue
            entry.missing_since.pop(task.uid, None)
            if present:
                entry.tasks[task.uid] = CurrentTask(
                    namespace=task.namespace, name=task.name, uid=task.uid, attempt=after.attempt
                )
            else:
                entry.tasks.pop(task.uid, None)
            entry.tasks_changed_at = now
            self._changed(entry)

    # ---- reconcile -----------------------------------------------------------------------------------

    async def reconcile(self, name: str) -> None:
        """Bring one Agent's resource up to date."""
        entry = self._store.agents.get(name)
        if entry is None:
            return
        await take_step("Agent", name, name, self._queue, self._step(entry), self.deleted)

    async def _step(self, entry: AgentEntry) -> None:
        now = self._clock()
        offline = is_offline(self._workforce.observe(entry), now)
        if offline is not None:
            # It stays so until it is heard of, also when the broker goes away and comes back meanwhile.
            entry.gone = offline
            self._workforce.changed(entry)
            self._review_pool(entry)
            for task in self._store.tasks_of(entry.name):
                self._task_queue.add(task.uid)
            if not entry.exists:
                # Remembered until its Tasks have been told, or they would wait for it as for one unheard of.
                if any(self._store.tasks_of(entry.name)):
                    self._queue.add_after(entry.name, RETRY_SECONDS)
                else:
                    self._store.agents.pop(entry.name, None)
                    self._standings.review()
                return
        if not entry.exists:
            await self._create(entry)
        decision = decide(self._workforce.observe(entry), now)
        if decision.write:
            await self._kube.write_status("agents", entry.name, None, decision.status.to_wire())
            metrics.STATUS_WRITES.labels("Agent").inc()
            if decision.status.phase != entry.status.phase:
                logger.info("agent %s is %s (%s)", entry.name, decision.status.phase, decision.status.reason)
            entry.status = decision.status
            for note in decision.events:
                await record(self._kube, entry, note, self._identity)
        if entry.gone is not None:  # and was not heard of while its status was written
            await self._expire(entry, now)
        if decision.wake_at is not None:
            self._queue.add_after(entry.name, (decision.wake_at - now).total_seconds())

    async def _expire(self, entry: AgentEntry, now: datetime) -> None:
        """Delete the resource of an agent that has been offline for too long, or say when to look again."""
        observed = self._workforce.observe(entry)
        remains = Remains(
            status=entry.status,
            made_here=made_here(entry.labels),
            owned=entry.owned,
            paused=entry.order is not None and entry.order.kind is OrderKind.PAUSE,
            has_tasks=any(self._store.tasks_of(entry.name)),
            hearing_since=observed.hearing_since,
            offline_after=observed.offline_after,
        )
        due = delete_at(remains, self._ttl, now)
        if due is None:
            return
        if now < due:
            self._queue.add_after(entry.name, (due - now).total_seconds())
            return
        logger.info("agent %s has been offline for too long; its Agent is deleted", entry.name)
        try:
            await self._kube.delete("agents", entry.name, entry.uid)
        except NotFoundError:
            logger.debug("the Agent %s was deleted already", entry.name)

    async def _create(self, entry: AgentEntry) -> None:
        pod = entry.heartbeat.pod if entry.heartbeat else None
        try:
            body = await self._kube.create_agent(entry.name, entry.agent_type, pod)
        except AlreadyExistsError:
            body = await self._kube.get("agents", entry.name)
            if body["spec"]["type"] != entry.agent_type:
                # The type is immutable; an agent that came back as another type is another agent.
                await self._kube.delete("agents", entry.name, body["metadata"]["uid"])
                raise
        self._there(entry, body)

    async def _welcome(self, beat: Heartbeat) -> None:
        # Anew: an agent whose queue somebody deleted registers again. Publishing would not tell, because the
        # history takes every message.
        await self._work_queues.restore(beat.agent_type)
        entry = self._store.agents.get(beat.agent.id)
        await send_welcome(
            self._broker.publisher,
            beat.agent.id,
            beat.agent.instance,
            beat.agent_type,
            self._work_queues.names(beat.agent_type),
            self._heartbeat_seconds,
            paused=entry is not None and bool(self._standings.of(entry).paused_by),
            superseded=self._superseding.of_type(beat.agent_type),
            operator=self._broker.instance,
        )

    def _changed(self, entry: AgentEntry) -> None:
        self._workforce.changed(entry)
        self._queue.add(entry.name)
        self._review_pool(entry)

    def _review_pool(self, entry: AgentEntry) -> None:
        pod = self._store.pod_of(entry)
        if pod is not None:
            self._pool_queue.add_after(pod.facts.pool_uid, NOTICE_SECONDS)
