"""Who sends what where, and who takes it: what names and arguments in :mod:`.topology` do not say.

For people, and for the AsyncAPI document. Nothing here is declared on a broker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from .envelopes import ArchiveReport, Command, Heartbeat, Query, Removed, Reply, Work
from .history import HISTORY_EXCHANGE, HISTORY_INTAKE, HISTORY_STREAM, REPORTS_EXCHANGE, REPORTS_QUEUE
from .topology import (
    AGENT_TYPE_HEADER,
    ANNOUNCEMENTS_EXCHANGE,
    ATTEMPT_HEADER,
    COMMANDS_EXCHANGE,
    DEAD_LETTERS_EXCHANGE,
    DEAD_LETTERS_QUEUE,
    HEARTBEATS_EXCHANGE,
    HEARTBEATS_QUEUE,
    LANE_HEADER,
    REASON_HEADER,
    RECORDS_EXCHANGE,
    REPLIES_EXCHANGE,
    REPLIES_QUEUE,
    TASK_NAME_HEADER,
    TASK_NAMESPACE_HEADER,
    WORK_EXCHANGE,
    agent_queue_name,
)


class Party(StrEnum):
    """Who sends or receives."""

    OPERATOR = "operator"
    AGENT = "agent"
    ARCHIVER = "archiver"
    PERSON = "person"
    """Somebody who looks into a queue that no program reads."""


@dataclass(frozen=True)
class Sending:
    """What is published to an exchange."""

    description: str
    senders: tuple[Party, ...]
    messages: Any
    """A message model, or a union of them."""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Receiving:
    """What is taken from the queues whose names begin so."""

    prefix: str
    description: str
    receiver: Party | None
    """None: the broker itself moves the messages on."""
    acknowledged: bool = True


_TASK_HEADERS: Final = (TASK_NAMESPACE_HEADER, TASK_NAME_HEADER, ATTEMPT_HEADER)

SENDING: Mapping[str, Sending] = {
    WORK_EXCHANGE: Sending(
        "Attempts at Tasks, each for one agent of a type. The AMQP priority is the Task's.",
        (Party.OPERATOR,),
        Work,
        (AGENT_TYPE_HEADER, LANE_HEADER, *_TASK_HEADERS),
    ),
    REPLIES_EXCHANGE: Sending("What agents say of attempts.", (Party.AGENT,), Reply),
    HEARTBEATS_EXCHANGE: Sending("That agents are there, and how they are.", (Party.AGENT,), Heartbeat),
    COMMANDS_EXCHANGE: Sending(
        "What one agent is told. A command to an agent that is away is not kept.", (Party.OPERATOR,), Command
    ),
    ANNOUNCEMENTS_EXCHANGE: Sending("What all agents are told at once.", (Party.OPERATOR,), Query),
    DEAD_LETTERS_EXCHANGE: Sending(
        "Work that was given up, and messages of any kind that nobody could read, as they came.",
        (Party.OPERATOR, Party.AGENT),
        Work,
        (REASON_HEADER, AGENT_TYPE_HEADER, *_TASK_HEADERS),
    ),
    RECORDS_EXCHANGE: Sending(
        "Tasks that are deleted, for the history alone.",
        (Party.OPERATOR,),
        Removed,
        (AGENT_TYPE_HEADER, *_TASK_HEADERS),
    ),
    HISTORY_EXCHANGE: Sending("Copies of all messages, put here by the broker out of the intake.", (), None),
    REPORTS_EXCHANGE: Sending("How the archive does.", (Party.ARCHIVER,), ArchiveReport),
}
"""By exchange. What a queue dead-letters to an exchange comes on top."""

RECEIVING: tuple[Receiving, ...] = (
    Receiving(
        f"{WORK_EXCHANGE}.",
        "Work for agents of one type. An agent acknowledges when the broker has confirmed its Started.",
        Party.AGENT,
    ),
    Receiving(
        REPLIES_QUEUE,
        "Replies, and work that the broker gave up; acknowledged when the status that holds their effect is "
        "written.",
        Party.OPERATOR,
    ),
    Receiving(HEARTBEATS_QUEUE, "Heartbeats. The newest of an agent wins.", Party.OPERATOR),
    Receiving(
        agent_queue_name("", "").rstrip("."),
        "Of one agent: commands to it and announcements to all. Gone with its connection.",
        Party.AGENT,
        acknowledged=False,
    ),
    Receiving(
        HISTORY_INTAKE,
        "Copies of all messages, which the broker moves into the stream as soon as it takes them.",
        None,
    ),
    Receiving(
        HISTORY_STREAM,
        "All messages of the last days. The archiver keeps its offset with the rows it writes.",
        Party.ARCHIVER,
    ),
    Receiving(REPORTS_QUEUE, "Reports on the archive. The newest wins.", Party.OPERATOR, acknowledged=False),
    Receiving(DEAD_LETTERS_QUEUE, "Dead letters, for people to look into.", Party.PERSON),
)
"""By the beginning of a queue's name; the first that fits."""

HEADERS: Mapping[str, tuple[str, str]] = {
    AGENT_TYPE_HEADER: ("string", "Type of agent that is to do the work."),
    LANE_HEADER: ("string", "Which of the type's queues it goes to: tier and levels, as memory-high-normal."),
    TASK_NAMESPACE_HEADER: ("string", "Namespace of the Task."),
    TASK_NAME_HEADER: ("string", "Name of the Task."),
    ATTEMPT_HEADER: ("integer", "Number of the attempt, from 1."),
    REASON_HEADER: ("string", "Why the message is a dead letter, at most 1,024 characters."),
}
"""JSON type and meaning of each application header."""

PLACEHOLDERS: Mapping[str, str] = {
    "agentType": "Type of agent, an RFC 1123 label.",
    "agentId": "Name of the agent's resource: at most 253 characters, an RFC 1123 subdomain.",
}
"""Parts of names that differ from agent to agent."""
