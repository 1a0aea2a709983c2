"""What each user of the broker may do: RabbitMQ's permissions as data.

RabbitMQ asks for *configure* to declare or delete, for *write* to publish to an exchange or to bind something
to one, and for *read* to take from a queue or to bind to an exchange (RabbitMQ documentation, "Access
Control"). Its regular expressions match anywhere in a name, so all of these are anchored.

The Helm chart creates the users with the same expressions; a test compares the two.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .history import HISTORY_EXCHANGE, HISTORY_INTAKE, HISTORY_STREAM, REPORTS_EXCHANGE, REPORTS_QUEUE
from .topology import (
    ANNOUNCEMENTS_EXCHANGE,
    COMMANDS_EXCHANGE,
    DEAD_LETTERS_EXCHANGE,
    HEARTBEATS_EXCHANGE,
    RECORDS_EXCHANGE,
    REPLIES_EXCHANGE,
    WORK_EXCHANGE,
    agent_queue_name,
    command_key,
)

OPERATOR_USER = "harebell-operator"
ARCHIVER_USER = "harebell-archiver"


@dataclass(frozen=True)
class TopicPermission:
    """Which routing keys of a topic exchange a user may bind (``read``) and publish (``write``) with."""

    exchange: str
    write: str
    read: str


@dataclass(frozen=True)
class Permissions:
    """What a user may do in a virtual host."""

    configure: str
    write: str
    read: str
    topics: tuple[TopicPermission, ...] = ()


def agent_user(agent_type: str) -> str:
    """Return the name of the user that agents of ``agent_type`` share."""
    return f"harebell-agent-{agent_type}"


def operator_permissions() -> Permissions:
    """Return what the operator needs: to declare the topology, to publish work, commands and dead letters,
    and to read what agents and the archiver say. Queues of agents are none of its business.

    It reads no commands, yet may: who binds a queue to an exchange, as the history's intake is bound to all,
    needs the right to read there.
    """
    # Queues have the names of their exchanges, or, for work, begin with them.
    names = (
        *(WORK_EXCHANGE, REPLIES_EXCHANGE, HEARTBEATS_EXCHANGE, DEAD_LETTERS_EXCHANGE),
        *(COMMANDS_EXCHANGE, ANNOUNCEMENTS_EXCHANGE, RECORDS_EXCHANGE),
        *(HISTORY_EXCHANGE, HISTORY_INTAKE, REPORTS_EXCHANGE, REPORTS_QUEUE),
    )
    everything = _any_of(_literal(*names), f"{_escaped(WORK_EXCHANGE)}\\..+")
    return Permissions(everything, everything, everything)


def archiver_permissions() -> Permissions:
    """Return what the archiver needs: to read the stream, and to report."""
    return Permissions("^$", _any_of(_literal(REPORTS_EXCHANGE)), _any_of(_literal(HISTORY_STREAM)))


def agent_permissions(agent_type: str) -> Permissions:
    """Return what agents of a type need: queues of their own, the queues of their type, and to report."""
    own = f"{_escaped(agent_queue_name(agent_type, ''))}.+"
    outgoing = _literal(REPLIES_EXCHANGE, HEARTBEATS_EXCHANGE, DEAD_LETTERS_EXCHANGE)
    # A type holds no dot, so nothing of another type begins like this.
    work = f"{_escaped(f'{WORK_EXCHANGE}.{agent_type}')}\\.[^.]+"
    incoming = [*_literal(COMMANDS_EXCHANGE, ANNOUNCEMENTS_EXCHANGE), work]
    # No wildcard in a key, and nothing at all to be published.
    keys = TopicPermission(
        COMMANDS_EXCHANGE, write="^$", read=f"^{_escaped(command_key(agent_type, ''))}[^*#]+$"
    )
    return Permissions(_any_of([own]), _any_of(outgoing, own), _any_of(incoming, own), (keys,))


def _literal(*names: str) -> list[str]:
    return [_escaped(name) for name in names]


def _escaped(name: str) -> str:
    """Escape the dot: nothing else that names are made of has a meaning in a regular expression."""
    return name.replace(".", r"\.")


def _any_of(*patterns: Iterable[str] | str) -> str:
    alternatives = [p for each in patterns for p in ([each] if isinstance(each, str) else each)]
    return f"^({'|'.join(alternatives)})$"
