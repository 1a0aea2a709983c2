"""Exchanges, queues and bindings as data. The operator declares them; agents declare only their own queue.

Settings that may have to change on a running broker belong in policies, not in queue arguments, because
arguments of an existing queue cannot be changed (RabbitMQ documentation, "Queues: Optional Arguments").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WORK_EXCHANGE = "harebell.work"
REPLIES_EXCHANGE = "harebell.replies"
HEARTBEATS_EXCHANGE = "harebell.heartbeats"
COMMANDS_EXCHANGE = "harebell.commands"
ANNOUNCEMENTS_EXCHANGE = "harebell.announcements"
DEAD_LETTERS_EXCHANGE = "harebell.dead-letters"

REPLIES_QUEUE = "harebell.replies"
HEARTBEATS_QUEUE = "harebell.heartbeats"
DEAD_LETTERS_QUEUE = "harebell.dead-letters"

AGENT_TYPE_HEADER = "agent-type"
REASON_HEADER = "harebell-reason"
TASK_NAMESPACE_HEADER = "harebell-task-namespace"
TASK_NAME_HEADER = "harebell-task-name"
ATTEMPT_HEADER = "harebell-attempt"

PRIORITIES: Mapping[str, int] = {"background": 0, "low": 2, "normal": 4, "high": 6, "critical": 8}
"""AMQP priority of each level. A message without one counts as 4 in a quorum queue: normal."""

MINIMUM_VERSION = (4, 3)
"""Strict priorities in quorum queues begin with RabbitMQ 4.3."""

WEEK_MS = 7 * 24 * 3600 * 1000
DELIVERY_LIMIT = 20
"""Deliveries of one message before the broker itself dead-letters it: a message whose every claim crashes."""


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
        ),
        queues=(
            # No delivery limit: a reply is never thrown away because the operator restarted often.
            Queue(REPLIES_QUEUE, arguments={"x-queue-type": "quorum", "x-delivery-limit": -1}),
            # Newest wins, and an unread heartbeat is worth nothing after a few minutes. Replicated all the
            # same: a classic queue is gone with its node, and cannot be made anew until the node is back.
            Queue(
                HEARTBEATS_QUEUE,
                arguments={
                    "x-queue-type": "quorum",
                    "x-delivery-limit": -1,
                    "x-max-length": 100_000,
                    "x-overflow": "drop-head",
                    "x-message-ttl": 180_000,
                },
            ),
            Queue(
                DEAD_LETTERS_QUEUE,
                arguments={"x-queue-type": "quorum", "x-delivery-limit": -1, "x-message-ttl": WEEK_MS},
            ),
        ),
        bindings=(
            Binding(REPLIES_EXCHANGE, REPLIES_QUEUE),
            Binding(HEARTBEATS_EXCHANGE, HEARTBEATS_QUEUE),
            Binding(DEAD_LETTERS_EXCHANGE, DEAD_LETTERS_QUEUE),
        ),
    )


def work_queue_name(agent_type: str) -> str:
    """Return the name of the queue that agents of ``agent_type`` share."""
    return f"{WORK_EXCHANGE}.{agent_type}"


def work_topology(agent_type: str) -> Topology:
    """Return the queue of one agent type, bound by the type in the message's header."""
    queue = Queue(
        work_queue_name(agent_type),
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD_LETTERS_EXCHANGE,
            # Dead-lettering confirms before it removes; it needs reject-publish instead of drop-head.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    binding = Binding(WORK_EXCHANGE, queue.name, arguments={"x-match": "all", AGENT_TYPE_HEADER: agent_type})
    return Topology(queues=(queue,), bindings=(binding,))


def agent_queue_name(agent_type: str, agent_id: str) -> str:
    """Return the name of the queue of one agent. It begins with the type, which permissions go by."""
    return f"harebell.agent.{agent_type}.{agent_id}"


def command_key(agent_type: str, agent_id: str) -> str:
    """Return the routing key of commands to one agent."""
    return f"{agent_type}.{agent_id}"


def agent_topology(agent_type: str, agent_id: str) -> Topology:
    """Return the queue of one agent: commands to it, and announcements to all. Gone with its connection."""
    queue = Queue(agent_queue_name(agent_type, agent_id), durable=False, exclusive=True)
    return Topology(
        queues=(queue,),
        bindings=(
            Binding(COMMANDS_EXCHANGE, queue.name, routing_key=command_key(agent_type, agent_id)),
            Binding(ANNOUNCEMENTS_EXCHANGE, queue.name),
        ),
    )
