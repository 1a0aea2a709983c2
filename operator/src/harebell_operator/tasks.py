"""Reconciles Tasks: gather an observation, decide, act."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from pydantic import ValidationError

from harebell_bus.envelopes import Started
from harebell_bus.errors import BusError
from harebell_crds.task import CancelMode, TaskPhase, TaskSpec, TaskStatus

from . import metrics, removal
from .agents import AgentReconciler
from .apiserver import KubeError
from .broker import Broker
from .decide.dependencies import REWORD, only_rewords
from .decide.duplicates import original_of
from .decide.observation import Report, Sighting, StopOrder, TaskDecision, TaskObservation
from .decide.payload import payload_problem
from .decide.prerequisite import Prospect
from .decide.task import decide, may_be_lost
from .decide.vouching import may_begin
from .dispatching import Dispatcher, reference
from .graph import Graph
from .kube import Kube
from .reconciling import RETRY_SECONDS, take_step
from .reporting import record
from .store import Delivery, Store, TaskEntry
from .superseding import Superseding
from .work_queues import WorkQueues
from .workforce import Workforce
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

EMPTY_GRACE = timedelta(seconds=5)
"""A message that is not in its lane may have been taken by an agent that is about to say so."""
COALESCE = timedelta(seconds=1)
"""A status that is not final is written this long after it changed, so that a short Task costs one write."""


class TaskReconciler:
    """Everything that happens to Tasks. Events only note what they brought and queue the Task."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[str],
        kube: Kube,
        broker: Broker,
        agents: AgentReconciler,
        workforce: Workforce,
        work_queues: WorkQueues,
        superseding: Superseding,
        clock: Callable[[], datetime],
        identity: str,
    ) -> None:
        self._store = store
        self._queue = queue
        self._kube = kube
        self._broker = broker
        self._agents = agents
        self._workforce = workforce
        self._superseding = superseding
        self._clock = clock
        self._identity = identity
        self._unheard: set[str] = set()
        """Tasks that are looked at again when everything is heard that agents have said."""
        self._graph = Graph(queue.add, clock)
        self._dispatcher = Dispatcher(broker, work_queues, superseding, self._graph, clock)

    # ---- what is observed ----------------------------------------------------------------------------

    def observed(self, body: dict[str, Any]) -> None:
        """Take in a Task as a watch or a list showed it."""
        meta = body["metadata"]
        self._store.heard.add(meta["uid"])
        try:
            spec = TaskSpec.model_validate(body.get("spec") or {})
            entry = self._store.tasks.get(meta["uid"])
            if entry is None:
                status = TaskStatus.model_validate(body.get("status") or {})
                entry = TaskEntry(
                    namespace=meta["namespace"],
                    name=meta["name"],
                    uid=meta["uid"],
                    generation=meta["generation"],
                    created_at=datetime.fromisoformat(meta["creationTimestamp"]),
                    spec=spec,
                    status=status,
                    written=status,
                    payload_problem=payload_problem(spec.payload),
                    # Whatever changed while no operator looked may have been the priority.
                    queued_as=spec.priority if status.observed_generation == meta["generation"] else None,
                )
                self._store.add_task(entry)
                self._graph.add(entry)
            elif meta["generation"] <= entry.generation:
                return  # Our own status write, coming back, or what a list showed late.
        except ValidationError as error:
            # Only a Task stored under other rules than today's can be like this; the schema refuses new ones.
            logger.error("Task %s cannot be read: %s", meta["name"], error.errors(include_input=False))
            return
        entry.spec, entry.generation = spec, meta["generation"]
        entry.forget_payload()
        self._queue.add(entry.uid)

    def removed(self, body: dict[str, Any]) -> None:
        """Take in that a watch showed a Task for the last time."""
        entry = self._store.tasks.get(body["metadata"]["uid"])
        if entry is not None and not entry.recorded:
            self._broker.spawn(removal.record(self._broker.publisher, body, self._clock()))
        self.deleted(body["metadata"]["uid"])

    def deleted(self, uid: str) -> None:
        """Take in that a Task is gone; whoever works on it is told to stop."""
        self._store.heard.add(uid)
        entry = self._store.drop_task(uid)
        if entry is None:
            return
        entry.deleted = True
        self._graph.drop(entry)
        self._queue.forget(uid)
        self._superseding.deleted(entry)
        self._broker.acknowledge(entry.unacked + [d.message for d in entry.inbox])
        if entry.status.phase == TaskPhase.RUNNING and entry.status.agent_name:
            order = StopOrder(
                entry.status.agent_name, entry.status.attempt, CancelMode.GRACEFUL, "the Task was deleted"
            )
            self._broker.spawn(self._workforce.stop(reference(entry), order))
        for delivery in entry.inbox:
            self._stop_begun(delivery.reply)

    def _stop_begun(self, reply: Report) -> None:
        """Tell whoever says that it has begun a Task that is gone to stop."""
        if isinstance(reply, Started):
            why = "the Task was deleted"
            order = StopOrder(reply.agent.id, reply.attempt, CancelMode.IMMEDIATE, why, fences=True)
            self._broker.spawn(self._workforce.stop(reply.task, order))

    def heard(self, reply: Report, message: AbstractIncomingMessage) -> None:
        """Take in a reply; its message is acknowledged when its effect is written."""
        metrics.REPLIES.labels(reply.kind).inc()
        entry = self._store.tasks.get(reply.task.uid)
        if entry is None:
            # Deleted meanwhile: nothing to write, but whoever starts it now should not.
            self._broker.acknowledge([message])
            self._stop_begun(reply)
            return
        entry.inbox.append(Delivery(reply, message))
        self._queue.add(entry.uid)

    def wake(self, uid: str) -> None:
        """Have a Task looked at because something around it changed."""
        self._queue.add(uid)

    def heard_out(self) -> None:
        """Take in that :attr:`.broker.Broker.heard_until` is later than it was."""
        unheard, self._unheard = self._unheard, set()
        for uid in unheard:
            self._queue.add(uid)

    def _hear_out(self, entry: TaskEntry) -> None:
        self._unheard.add(entry.uid)
        self._broker.hear_out()

    # ---- reconcile -----------------------------------------------------------------------------------

    async def reconcile(self, uid: str) -> None:
        """Bring one Task forward, and say when to look again."""
        entry = self._store.tasks.get(uid)
        if entry is None:
            return
        await take_step("Task", entry.name, uid, self._queue, self._step(entry), self.deleted)

    async def _step(self, entry: TaskEntry) -> None:
        now = self._clock()
        # In this order: what is heard later than the replies are taken may be missing among them.
        heard_until = self._broker.heard_until
        taken = tuple(entry.inbox)
        waiting = await self._messages_waiting(entry, now, heard_until)
        observation = self._gather(entry, tuple(d.reply for d in taken), now, waiting, heard_until)
        decision = decide(observation, now)
        # No other Task of its key may begin while the message is on its way.
        entry.starting = decision.publish
        try:
            await self._dispatcher.send(entry, decision, now)
        except BusError as error:
            logger.warning("nothing could be published of Task %s: %s", entry.name, error)
            if decision.dead_letter:
                # Nothing of this decision may happen before the letter is safe; the replies stay.
                self._queue.add_after(entry.uid, RETRY_SECONDS)
                return
            entry.broker_error = str(error)
            decision = decide(self._gather(entry, observation.replies, now, None, heard_until), now)
            entry.broker_error = None
        finally:
            entry.starting = False
        if entry.deleted:
            return
        self._commit(entry, decision, taken, now)
        for order in decision.stop:
            await self._workforce.stop(reference(entry), order)
            entry.cancel_sent = (order.attempt, now)
        for started in may_begin(observation.replies, decision, entry.spec):
            await self._workforce.proceed(started)
        if decision.hear_out:
            self._hear_out(entry)
        await self._write(entry, now)
        for note in decision.events:
            await record(self._kube, entry, note, self._identity)
        if decision.delete:
            if not await removal.expire(self._kube, self._broker.publisher, entry, now):
                self._queue.add_after(entry.uid, removal.RETRY_SECONDS)
        elif decision.wake_at is not None:
            self._queue.add_after(entry.uid, (decision.wake_at - now).total_seconds())

    async def flush(self) -> None:
        """Write every status that is due later, as before the end: the next operator knows nothing else."""
        dirty = [entry for entry in self._store.tasks.values() if entry.status != entry.written]
        await asyncio.gather(*(self._flush(entry) for entry in dirty))

    async def _flush(self, entry: TaskEntry) -> None:
        try:
            await self._write(entry, self._clock(), due=True)
        except KubeError as error:
            logger.warning("the status of Task %s was not written before the end: %s", entry.name, error)

    async def _messages_waiting(
        self, entry: TaskEntry, now: datetime, heard_until: datetime | None
    ) -> int | None:
        """Ask the broker how many messages wait, where the answer could matter.

        That there are none means nothing before all is heard that agents said until then, and a little later:
        whoever took the Task's message has said so.
        """
        kind = entry.spec.agent_type
        empty_since, entry.lane_empty_since = entry.lane_empty_since, None
        if not may_be_lost(entry.status, self._workforce.supply(kind), _published_at(entry), now):
            return None
        try:
            found = await self._broker.messages_waiting(kind, entry.lane)
        except BusError as error:
            logger.info("lane %s of type %s was not counted: %s", entry.lane.name, kind, error)
            return None
        if found:
            return found
        entry.lane_empty_since = empty_since or now
        taken_by = entry.lane_empty_since + EMPTY_GRACE
        if heard_until is not None and heard_until >= taken_by:
            return 0
        if now >= taken_by:
            self._hear_out(entry)
        else:
            self._queue.add_after(entry.uid, (taken_by - now).total_seconds())
        return None

    def _gather(
        self,
        entry: TaskEntry,
        replies: tuple[Report, ...],
        now: datetime,
        messages_waiting: int | None,
        heard_until: datetime | None,
    ) -> TaskObservation:
        sent = entry.cancel_sent
        sighting = self._workforce.sighting(entry, now)
        unseen = sighting in (Sighting.GONE, Sighting.FORGOT)
        entry.unseen_since = (entry.unseen_since or now) if unseen else None
        prerequisites = self._graph.prerequisites(entry)
        missing = any(p.prospect is Prospect.MISSING for p in prerequisites)
        entry.missing_since = (entry.missing_since or now) if missing else None
        return TaskObservation(
            uid=entry.uid,
            generation=entry.generation,
            created_at=entry.created_at,
            spec=entry.spec,
            status=entry.status,
            replies=replies,
            sighting=sighting,
            unseen_since=entry.unseen_since,
            heard_until=heard_until,
            supply=self._workforce.supply(entry.spec.agent_type),
            broker_error=entry.broker_error or self._broker.error,
            published_at=_published_at(entry),
            queued_as=entry.queued_as,
            messages_waiting=messages_waiting,
            message_lost=entry.message_lost,
            payload_problem=entry.payload_problem,
            cancel_sent_at=sent[1] if sent and sent[0] == entry.status.attempt else None,
            prerequisites=prerequisites,
            missing_since=entry.missing_since,
            cycle=self._graph.cycle(entry) if prerequisites else (),
            needed=self._graph.needed(entry),
            original=original_of(entry.claim, self._store.claims(entry.spec.idempotency_key)),
        )

    def _commit(
        self, entry: TaskEntry, decision: TaskDecision, taken: tuple[Delivery, ...], now: datetime
    ) -> None:
        """Make the decision the Task's state in memory."""
        before, after = entry.status, decision.status
        entry.status = after
        del entry.inbox[: len(taken)]
        entry.unacked += [d.message for d in taken]
        metrics.STALE_REPLIES.inc(decision.stale_replies)
        self._store.assign(entry.uid, before, after)
        self._store.dispatched(entry)
        self._agents.assigned(entry, before, after, now)
        reworded = only_rewords(entry.written, before) and not only_rewords(entry.written, after)
        if after != entry.written and (entry.dirty_since is None or reworded):
            entry.dirty_since = now
        if after.started_at and after.started_at != before.started_at and after.queued_at:
            waited = (after.started_at - after.queued_at).total_seconds()
            metrics.QUEUE_SECONDS.observe(max(0.0, waited))
        if after.phase and after.phase.terminal and after.phase != before.phase:
            metrics.TASKS_FINISHED.labels(after.phase.value, entry.spec.agent_type).inc()
            level = logging.WARNING if after.phase == TaskPhase.DEAD_LETTERED else logging.INFO
            logger.log(
                level,
                "Task %s: %s (%s) after attempt %d",
                entry.name,
                after.phase,
                after.reason,
                after.attempt,
            )

    async def _write(self, entry: TaskEntry, now: datetime, *, due: bool = False) -> None:
        """Write the status, if that is due or asked for; then acknowledge the replies that it is made of."""
        if entry.status != entry.written:
            final = entry.status.phase is not None and entry.status.phase.terminal
            pause = REWORD if only_rewords(entry.written, entry.status) else COALESCE
            due_at = (entry.dirty_since or now) + pause
            if not final and not due and now < due_at:
                self._queue.add_after(entry.uid, (due_at - now).total_seconds())
                return
            status = entry.status
            await self._kube.write_status("tasks", entry.name, entry.uid, status.to_wire())
            metrics.STATUS_WRITES.labels("Task").inc()
            entry.written, entry.dirty_since = status, None
            if final:
                self._graph.finished(entry)
                entry.forget_payload()
        unacked, entry.unacked = entry.unacked, []
        self._broker.acknowledge(unacked)


def _published_at(entry: TaskEntry) -> datetime | None:
    """When the current attempt was published: by this operator, or by the one that wrote the status."""
    if entry.sent and entry.sent.attempt == entry.status.attempt:
        return entry.sent.at
    return entry.status.queued_at
