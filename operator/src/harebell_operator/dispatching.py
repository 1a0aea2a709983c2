"""Publishes what decisions about Tasks ask for: work, its withdrawal, and dead letters."""

import logging
from collections.abc import Callable
from datetime import datetime

from harebell_bus.envelopes import TaskRef, Work
from harebell_bus.errors import BusError
from harebell_bus.lanes import Lane, Tier, lane_of
from harebell_bus.topology import (
    AGENT_TYPE_HEADER,
    ATTEMPT_HEADER,
    DEAD_LETTERS_EXCHANGE,
    LANE_HEADER,
    PRIORITIES,
    REASON_HEADER,
    TASK_NAME_HEADER,
    TASK_NAMESPACE_HEADER,
    WORK_EXCHANGE,
)
from harebell_crds.task import TaskSpec, TaskStatus

from . import metrics
from .broker import Broker
from .decide.lanes import lane_for
from .decide.observation import TaskDecision
from .decide.prerequisite import inputs_of
from .graph import Graph
from .store import Sent, TaskEntry
from .superseding import Superseding
from .work_queues import WorkQueues

logger = logging.getLogger(__name__)


class Dispatcher:
    """See the module."""

    def __init__(
        self,
        broker: Broker,
        work_queues: WorkQueues,
        superseding: Superseding,
        graph: Graph,
        clock: Callable[[], datetime],
    ) -> None:
        self._broker = broker
        self._work_queues = work_queues
        self._superseding = superseding
        self._graph = graph
        self._clock = clock

    async def send(self, entry: TaskEntry, decision: TaskDecision, now: datetime) -> None:
        """Publish what the decision asks for. :raises BusError: that was not confirmed."""
        if decision.supersede is not None:
            await self._superseding.tell(entry, decision.supersede)
        if decision.dead_letter:
            await self._bury(entry, decision)
        elif decision.publish:
            await self._publish(entry, decision, now)

    async def _publish(self, entry: TaskEntry, decision: TaskDecision, now: datetime) -> None:
        """Publish the Task into its lane. :raises BusError: that was not confirmed."""
        spec, status = entry.spec, decision.status
        lane = await self._reachable(spec.agent_type, lane_for(spec), spec.priority)
        try:
            await self._broker.publisher.publish(
                WORK_EXCHANGE,
                self._work(entry, spec, status),
                message_id=f"{entry.uid}.{status.attempt}.{status.dispatch}",
                correlation_id=entry.uid,
                priority=PRIORITIES[spec.priority],
                persistent=lane.tier is Tier.DISK,
                headers={**_headers(entry, status), LANE_HEADER: lane.name},
            )
        except BusError:
            # Deleted behind our back, or on a node that failed; the next try declares it again.
            self._broker.forget_lane(spec.agent_type, lane)
            raise
        entry.sent, entry.queued_as = Sent(status.attempt, now, lane), spec.priority
        entry.message_lost = False
        metrics.ATTEMPTS_PUBLISHED.labels(spec.agent_type, spec.priority.value).inc()

    async def _reachable(self, agent_type: str, lane: Lane, level: str) -> Lane:
        """Return the lane, or the Disk lane of the same level while the node of a Memory lane is down.

        :raises BusError: neither can be reached.
        """
        try:
            await self._work_queues.open(agent_type, lane)
        except BusError as error:
            if lane.tier is Tier.DISK or self._broker.error is not None:
                raise
            logger.info("lane %s of type %s is passed over: %s", lane.name, agent_type, error)
            lane = lane_of(level, Tier.DISK)
            await self._work_queues.open(agent_type, lane)
        return lane

    async def _bury(self, entry: TaskEntry, decision: TaskDecision) -> None:
        """Publish the Task to the dead letters. :raises BusError: that was not confirmed."""
        status = decision.status
        # Header values are short strings; the message holds the Task whole.
        reason = {REASON_HEADER: status.error.message[:1024]} if status.error else {}
        await self._broker.publisher.publish(
            DEAD_LETTERS_EXCHANGE,
            self._work(entry, entry.spec, status),
            message_id=f"{entry.uid}.{status.attempt}.dead",
            correlation_id=entry.uid,
            headers={**_headers(entry, status), **reason},
        )

    def _work(self, entry: TaskEntry, spec: TaskSpec, status: TaskStatus) -> Work:
        return Work(
            task=reference(entry),
            attempt=status.attempt,
            dispatch=status.dispatch,
            agent_type=spec.agent_type,
            action=spec.action,
            payload=spec.payload,
            inputs=inputs_of(self._graph.prerequisites(entry)),
            priority=spec.priority,
            active_deadline_seconds=spec.active_deadline_seconds,
            checkpoint=status.checkpoint.data if status.checkpoint else None,
            published_at=self._clock(),
            operator=self._broker.instance,
        )


def _headers(entry: TaskEntry, status: TaskStatus) -> dict[str, str | int]:
    return {
        AGENT_TYPE_HEADER: entry.spec.agent_type,
        TASK_NAMESPACE_HEADER: entry.namespace,
        TASK_NAME_HEADER: entry.name,
        ATTEMPT_HEADER: status.attempt,
    }


def reference(entry: TaskEntry) -> TaskRef:
    """Return what messages call the Task by."""
    return TaskRef(namespace=entry.namespace, name=entry.name, uid=entry.uid)
