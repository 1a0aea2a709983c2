"""What the permissions say of names, as RabbitMQ reads them: a match anywhere in the name counts."""

import re

import pytest

from harebell_bus.history import history_topology
from harebell_bus.lanes import LANES, work_queue_names
from harebell_bus.permissions import (
    Permissions,
    agent_permissions,
    agent_user,
    archiver_permissions,
    operator_permissions,
)
from harebell_bus.topology import (
    Topology,
    agent_queue_name,
    agent_topology,
    base_topology,
    command_key,
    lane_topology,
    type_key,
)

DEFAULT_EXCHANGE = "amq.default"
"""RabbitMQ's name for it when it asks for permissions."""


def allowed(pattern: str, *names: str) -> set[str]:
    return {name for name in names if re.search(pattern, name)}


def base_names() -> set[str]:
    topology = base_topology()
    return {exchange.name for exchange in topology.exchanges} | {queue.name for queue in topology.queues}


def can_declare(permissions: Permissions, topology: Topology) -> bool:
    """As RabbitMQ decides it (its documentation, "Access Control")."""
    names = [e.name for e in topology.exchanges] + [q.name for q in topology.queues]
    letters = [q for q in topology.queues if "x-dead-letter-exchange" in q.arguments]
    return (
        all(re.search(permissions.configure, name) for name in names)
        and all(re.search(permissions.write, b.queue) for b in topology.bindings)
        and all(re.search(permissions.read, b.exchange) for b in topology.bindings)
        and all(re.search(permissions.read, q.name) for q in letters)
        and all(re.search(permissions.write, q.arguments["x-dead-letter-exchange"]) for q in letters)
    )


def test_the_operator_can_declare_everything_but_queues_of_agents() -> None:
    operator = operator_permissions()
    assert can_declare(operator, base_topology())
    assert all(can_declare(operator, lane_topology("text", lane)) for lane in LANES)
    assert can_declare(operator, history_topology(heartbeats=True))
    assert not can_declare(operator, agent_topology("text", "one"))


def test_the_archiver_reads_the_stream_and_reports() -> None:
    archiver = archiver_permissions()
    queues = {queue.name for queue in history_topology(heartbeats=True).queues}
    names = {
        *base_names(),
        *queues,
        *work_queue_names("text"),
        agent_queue_name("text", "one"),
        "anything",
        "",
    }
    assert allowed(archiver.read, *names, DEFAULT_EXCHANGE) == {"harebell.history"}
    assert allowed(archiver.write, *names, "harebell.archive", DEFAULT_EXCHANGE) == {"harebell.archive"}
    assert allowed(archiver.configure, *(names - {""}), "harebell.archive") == set()


def test_nobody_else_comes_near_the_history() -> None:
    topology = history_topology(heartbeats=True)
    names = {e.name for e in topology.exchanges} | {q.name for q in topology.queues}
    agent = agent_permissions("text")
    for pattern in (agent.configure, agent.write, agent.read):
        assert allowed(pattern, *names) == set()


def test_an_agent_can_declare_its_own_queue_and_nothing_else() -> None:
    agent = agent_permissions("text")
    assert can_declare(agent, agent_topology("text", "one"))
    assert can_declare(agent, agent_topology("text", "pod-1.of.a-set"))
    others = [
        *base_names(),
        *work_queue_names("text"),
        *work_queue_names("infra"),
        agent_queue_name("infra", "one"),
        agent_queue_name("text-2", "one"),
        agent_queue_name("tex", "t.one"),
        agent_queue_name("text", ""),
        f"x{agent_queue_name('text', 'one')}",
        agent_queue_name("text", "one").replace(".", "-"),
        "anything",
    ]
    assert allowed(agent.configure, *others) == set()


def test_an_agent_publishes_reports_and_nothing_else() -> None:
    names = [exchange.name for exchange in base_topology().exchanges]
    granted = allowed(agent_permissions("text").write, *names, DEFAULT_EXCHANGE, *work_queue_names("text"))
    assert granted == {"harebell.replies", "harebell.heartbeats", "harebell.dead-letters"}


def test_an_agent_reads_the_queues_of_its_type_and_what_is_said_to_it() -> None:
    queues = [name for t in ("text", "text-2", "tex", "infra") for name in work_queue_names(t)]
    granted = allowed(
        agent_permissions("text").read, *base_names(), *queues, agent_queue_name("infra", "one")
    )
    assert granted == {*work_queue_names("text"), "harebell.commands", "harebell.announcements"}


@pytest.mark.parametrize(
    "key", ["infra.one", "text-2.one", "#", "*.one", "text.*", "text.#", "text.", "text"]
)
def test_an_agent_hears_no_commands_to_another_type(key: str) -> None:
    (keys,) = agent_permissions("text").topics
    assert not re.search(keys.read, key)
    assert re.search(keys.read, command_key("text", "one"))
    assert re.search(keys.read, type_key("text"))
    assert not re.search(keys.write, command_key("text", "one"))


def test_names_of_users() -> None:
    assert agent_user("text") == "harebell-agent-text"
