"""Exchanges, queues and bindings as data. The operator declares them; agents declare only their own queue.

Arguments of an existing queue cannot be changed (RabbitMQ documentation, "Queues: Optional Arguments"). So
they hold what work relies on, and outer bounds for a broker without policies; limits that may have to change
are in :mod:`.policies`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from .lanes import LEVELS, Lane, Tier, work_queue_name

WORK_EXCHANGE = "harebell.work"
REPLIES_EXCHANGE = "harebell.replies"
HEARTBEATS_EXCHANGE = "harebell.heartbeats"
COMMANDS_EXCHANGE = "harebell.commands"
ANNOUNCEMENTS_EXCHANGE = "harebell.announcements"
DEAD_LETTERS_EXCHANGE = "harebell.dead-letters"
RECORDS_EXCHANGE = "harebell.records"

REPLIES_QUEUE = "harebell.replies"
HEARTBEATS_QUEUE = "harebell.heartbeats"
DEAD_LETTERS_QUEUE = "harebell.dead-letters"

AGENT_TYPE_HEADER = "agent-type"
LANE_HEADER = "lane"
REASON_HEADER = "harebell-reason"
TASK_NAMESPACE_HEADER = "harebell-task-namespace"
TASK_NAME_HEADER = "harebell-task-name"
ATTEMPT_HEADER = "harebell-attempt"

PRIORITIES: Mapping[str, int] = {level: number for number, level in enumerate(reversed(LEVELS))}
"""AMQP priority of each level; it tells apart the levels of a lane that holds two."""

MINIMUM_VERSION = (4, 3)
"""The oldest RabbitMQ that harebell is tested with."""

DAY_MS = 24 * 3600 * 1000
DELIVERY_LIMIT = 20
"""Deliveries of one message before the broker gives it up: one whose every claim crashes."""


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str


@dataclass(frozen=True)
class Queue:
    """A queue; ``exclusive`` ones go with the connection that declared them."""

    name: str
    durable: bool = True
    exclusive: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Binding:
    """From an exchange to a queue."""

    exchange: str
    queue: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """Things to declare together, in this order."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()
    unbindings: tuple[Binding, ...] = ()
    """Bindings that must not be, of queues in this topology."""


def base_topology() -> Topology:
    """Return what exists whatever agents there are."""
    return Topology(
        exchanges=(
            Exchange(WORK_EXCHANGE, "headers"),
            Exchange(REPLIES_EXCHANGE, "fanout"),
            Exchange(HEARTBEATS_EXCHANGE, "fanout"),
            # Keys never hold wildcards; topic, because only there may a user be held to some of the keys.
            Exchange(COMMANDS_EXCHANGE, "topic"),
            Exchange(ANNOUNCEMENTS_EXCHANGE, "fanout"),
            Exchange(DEAD_LETTERS_EXCHANGE, "fanout"),
            # Here and not with the history, which may not be declared: publishing to none ends a channel.
            Exchange(RECORDS_EXCHANGE, "fanout"),
        ),
        queues=(
            # No delivery limit: a reply is never thrown away because the operator restarted often.
            Queue(REPLIES_QUEUE, arguments={"x-queue-type": "quorum", "x-delivery-limit": -1}),
            # Newest wins. Replicated all the same: a classic queue is gone with its node, and cannot be made
            # anew until the node is back.
            Queue(
                HEARTBEATS_QUEUE,
                arguments={
                    "x-queue-type": "quorum",
                    "x-delivery-limit": -1,
                    "x-max-length": 1_000_000,
                    "x-overflow": "drop-head",
                    "x-message-ttl": 600_000,
                },
            ),
            Queue(
                DEAD_LETTERS_QUEUE,
                arguments={"x-queue-type": "quorum", "x-delivery-limit": -1, "x-message-ttl": 30 * DAY_MS},
            ),
        ),
        bindings=(
            Binding(REPLIES_EXCHANGE, REPLIES_QUEUE),
            Binding(HEARTBEATS_EXCHANGE, HEARTBEATS_QUEUE),
            Binding(DEAD_LETTERS_EXCHANGE, DEAD_LETTERS_QUEUE),
        ),
    )


def lane_topology(agent_type: str, lane: Lane) -> Topology:
    """Return the queue of one lane of an agent type, bound by both in the message's headers."""
    queue = Queue(work_queue_name(agent_type, lane), arguments=_lane_arguments(lane))
    headers = {"x-match": "all", AGENT_TYPE_HEADER: agent_type, LANE_HEADER: lane.name}
    return Topology(queues=(queue,), bindings=(Binding(WORK_EXCHANGE, queue.name, arguments=headers),))


def _lane_arguments(lane: Lane) -> Mapping[str, Any]:
    match lane.tier:
        case Tier.DISK:
            return {
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                # The operator hears of it, and ends the Task: otherwise it would publish it once more.
                "x-dead-letter-exchange": REPLIES_EXCHANGE,
                # Dead-lettering confirms before it removes; it needs reject-publish instead of drop-head.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
        case Tier.MEMORY:
            # Durable as a queue, because RabbitMQ refuses shared queues that are not; its messages are not.
            ranked = {"x-max-priority": max(PRIORITIES.values())} if len(lane.levels) > 1 else {}
            return {"x-queue-type": "classic", **ranked}
        case _:
            assert_never(lane.tier)


def agent_queue_name(agent_type: str, agent_id: str) -> str:
    """Return the name of the queue of one agent. It begins with the type, which permissions go by."""
    return f"harebell.agent.{agent_type}.{agent_id}"


def command_key(agent_type: str, agent_id: str) -> str:
    """Return the routing key of commands to one agent."""
    return f"{agent_type}.{agent_id}"


def type_key(agent_type: str) -> str:
    """Return the routing key of commands to all agents of a type; no agent can have this id."""
    return command_key(agent_type, "@all")


def agent_topology(agent_type: str, agent_id: str) -> Topology:
    """Return the queue of one agent: commands to it, and announcements to all. Gone with its connection."""
    queue = Queue(agent_queue_name(agent_type, agent_id), durable=False, exclusive=True)
    return Topology(
        queues=(queue,),
        bindings=(
            Binding(COMMANDS_EXCHANGE, queue.name, routing_key=command_key(agent_type, agent_id)),
            Binding(COMMANDS_EXCHANGE, queue.name, routing_key=type_key(agent_type)),
            Binding(ANNOUNCEMENTS_EXCHANGE, queue.name),
        ),
    )
