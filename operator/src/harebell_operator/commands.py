"""Commands to agents. None is kept for an agent that is away: its next heartbeat is the next occasion."""

import logging
from collections.abc import Sequence

from harebell_bus.envelopes import (
    CancelMode,
    CancelTask,
    Newest,
    Proceed,
    Query,
    Superseded,
    SuspendTask,
    TaskRef,
    Welcome,
    WorkQueues,
)
from harebell_bus.errors import BusError
from harebell_bus.publisher import Publisher
from harebell_bus.topology import ANNOUNCEMENTS_EXCHANGE, COMMANDS_EXCHANGE, command_key, type_key

from .decide.observation import StopOrder

logger = logging.getLogger(__name__)


async def send_stop(publisher: Publisher, agent_type: str, task: TaskRef, order: StopOrder) -> None:
    """Tell an agent to stop an attempt, if it can be told now."""
    command: CancelTask | SuspendTask
    if order.hand_back:
        command = SuspendTask(task=task, attempt=order.attempt, reason=order.reason)
    else:
        mode = CancelMode(order.mode.value)
        command = CancelTask(task=task, attempt=order.attempt, mode=mode, reason=order.reason)
    try:
        await publisher.publish(
            COMMANDS_EXCHANGE,
            command,
            routing_key=command_key(agent_type, order.agent_id),
            message_id=f"{task.uid}.{order.attempt}.{'suspend' if order.hand_back else 'stop'}",
            persistent=False,
        )
    except BusError as error:
        logger.info("agent %s was not told to stop Task %s: %s", order.agent_id, task.name, error)


async def send_proceed(
    publisher: Publisher, agent_type: str, agent_id: str, task: TaskRef, attempt: int
) -> None:
    """Tell an agent to begin an attempt that it asked about, if it can be told now."""
    try:
        await publisher.publish(
            COMMANDS_EXCHANGE,
            Proceed(task=task, attempt=attempt),
            routing_key=command_key(agent_type, agent_id),
            message_id=f"{task.uid}.{attempt}.proceed",
            persistent=False,
        )
    except BusError as error:
        logger.info("agent %s was not told to begin Task %s: %s", agent_id, task.name, error)


async def send_welcome(
    publisher: Publisher,
    agent_id: str,
    instance: str,
    agent_type: str,
    work_queues: tuple[str, ...],
    heartbeat_seconds: float,
    paused: bool,
    superseded: Sequence[Newest],
    operator: str,
) -> None:
    """Tell an agent that it is registered. :raises BusError: it could not be told; it will register again."""
    welcome = Welcome(
        instance=instance,
        work_queues=work_queues,
        heartbeat_seconds=heartbeat_seconds,
        paused=paused,
        superseded=tuple(superseded),
        operator=operator,
    )
    await publisher.publish(
        COMMANDS_EXCHANGE,
        welcome,
        routing_key=command_key(agent_type, agent_id),
        message_id=f"{instance}.welcome",
        persistent=False,
    )


async def send_work_queues(publisher: Publisher, agent_type: str, work_queues: tuple[str, ...]) -> None:
    """Tell the agents of a type where work comes from. Who is away hears it with its Welcome.

    :raises BusError: it was not confirmed.
    """
    await publisher.publish(
        COMMANDS_EXCHANGE,
        WorkQueues(work_queues=work_queues),
        routing_key=type_key(agent_type),
        message_id=f"{agent_type}.{len(work_queues)}.queues",
        persistent=False,
        mandatory=False,
    )


async def send_superseded(publisher: Publisher, agent_type: str, *newest: Newest) -> None:
    """Tell the agents of a type which messages of some Tasks count. Who is away hears it with its Welcome.

    :raises BusError: it was not confirmed.
    """
    await publisher.publish(
        COMMANDS_EXCHANGE,
        Superseded(newest=newest),
        routing_key=type_key(agent_type),
        message_id=f"{newest[0].uid}.{newest[0].attempt}.{newest[0].dispatch}.{len(newest)}.superseded",
        persistent=False,
        mandatory=False,
    )


async def send_query(publisher: Publisher, message_id: str, operator: str) -> None:
    """Ask every agent for a heartbeat now. :raises BusError: they could not be asked."""
    await publisher.publish(
        ANNOUNCEMENTS_EXCHANGE,
        Query(operator=operator),
        message_id=message_id,
        persistent=False,
        mandatory=False,
    )
