"""Tells the history what a Task was when it was deleted, so that it can still be asked for."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from harebell_bus.envelopes import Removed, TaskRef
from harebell_bus.errors import BrokerUnavailableError, BusError
from harebell_bus.publisher import Publisher
from harebell_bus.topology import (
    AGENT_TYPE_HEADER,
    ATTEMPT_HEADER,
    RECORDS_EXCHANGE,
    TASK_NAME_HEADER,
    TASK_NAMESPACE_HEADER,
)

from .kube import Kube
from .store import TaskEntry

logger = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
PATIENCE = timedelta(hours=1)
"""How long a Task outlives its TTL at most for want of a history: finished work must not fill the cluster."""


def removed(body: Mapping[str, Any], at: datetime) -> Removed:
    """Return the record of a Task, as the API server showed it last."""
    meta, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    return Removed(
        task=TaskRef(namespace=meta["namespace"], name=meta["name"], uid=meta["uid"]),
        at=at,
        agent_type=spec["agentType"],
        attempt=status.get("attempt") or 0,
        created_at=meta["creationTimestamp"],
        labels=meta.get("labels") or {},
        spec={name: value for name, value in spec.items() if name != "payload"},
        status=status,
    )


async def record(publisher: Publisher, body: Mapping[str, Any], at: datetime) -> None:
    """Record a Task. :raises BusError: the history did not take it."""
    if not publisher.attached:
        # Many may expire while the broker is away, and none is worth a worker's time.
        raise BrokerUnavailableError("not connected")
    told = removed(body, at)
    await publisher.publish(
        RECORDS_EXCHANGE,
        told,
        message_id=f"{told.task.uid}.removed",
        correlation_id=told.task.uid,
        headers={
            AGENT_TYPE_HEADER: told.agent_type,
            TASK_NAMESPACE_HEADER: told.task.namespace,
            TASK_NAME_HEADER: told.task.name,
            ATTEMPT_HEADER: told.attempt,
        },
    )


async def recorded(publisher: Publisher, body: Mapping[str, Any], due: datetime, now: datetime) -> bool:
    """Record a Task that is due to be deleted; return whether it may be, see :data:`PATIENCE`."""
    try:
        await record(publisher, body, now)
    except BusError as error:
        name = body["metadata"]["name"]
        if now - due < PATIENCE:
            logger.info("Task %s is kept until it can be recorded: %s", name, error)
            return False
        logger.warning("Task %s is deleted unrecorded: %s", name, error)
    return True


async def expire(kube: Kube, publisher: Publisher, entry: TaskEntry, now: datetime) -> bool:
    """Delete a Task whose time is up, once the history knows it; return whether that could be done.

    :raises KubeError: the API server did not do it.
    """
    due = (entry.status.completed_at or now) + timedelta(seconds=entry.spec.ttl_seconds_after_finished)
    body = await kube.get("tasks", entry.name)
    same = body["metadata"]["uid"] == entry.uid
    if same and not await recorded(publisher, body, due, now):
        return False
    entry.recorded = True
    await kube.delete("tasks", entry.name, entry.uid)
    return True
