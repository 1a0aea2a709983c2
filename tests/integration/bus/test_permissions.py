"""What the broker refuses to an agent's credentials, and to the operator's."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed, InvalidFrameError
from tests.support.scripted_agent import scripted_agent
from tests.support.servers import Vhost

from harebell_bus.claim import Lanes
from harebell_bus.declare import declare
from harebell_bus.envelopes import Query
from harebell_bus.history import (
    HISTORY_EXCHANGE,
    HISTORY_INTAKE,
    HISTORY_STREAM,
    REPORTS_EXCHANGE,
    REPORTS_QUEUE,
    history_topology,
)
from harebell_bus.lanes import LANES, Tier, lane_of, work_queue_name, work_queue_names
from harebell_bus.permissions import OPERATOR_USER, archiver_permissions
from harebell_bus.publisher import Publisher
from harebell_bus.topology import (
    AGENT_TYPE_HEADER,
    ANNOUNCEMENTS_EXCHANGE,
    COMMANDS_EXCHANGE,
    DEAD_LETTERS_EXCHANGE,
    DEAD_LETTERS_QUEUE,
    HEARTBEATS_EXCHANGE,
    HEARTBEATS_QUEUE,
    LANE_HEADER,
    REPLIES_EXCHANGE,
    REPLIES_QUEUE,
    WORK_EXCHANGE,
    agent_queue_name,
    agent_topology,
    base_topology,
    command_key,
    lane_topology,
)

Act = Callable[[AbstractChannel], Awaitable[object]]

LANE = lane_of("normal", Tier.DISK)
MINE, OTHERS = work_queue_name("text", LANE), work_queue_name("infra", LANE)
OWN_QUEUE, ANOTHERS_QUEUE = agent_queue_name("text", "mine"), agent_queue_name("infra", "other")


@pytest.fixture
async def operator(vhost: Vhost) -> AsyncIterator[AbstractChannel]:
    """The operator's channel, after it declared everything. One message waits for agents of type infra."""
    async with await aio_pika.connect(vhost.operator_url) as connection:
        channel = await connection.channel()
        lanes = [lane_topology(agent_type, lane) for agent_type in ("text", "infra") for lane in LANES]
        for topology in (base_topology(), *lanes):
            for queue in (await declare(channel, topology)).values():
                await queue.purge()
        await declare(channel, history_topology(heartbeats=True))
        work = await channel.get_exchange(WORK_EXCHANGE, ensure=False)
        headers = {AGENT_TYPE_HEADER: "infra", LANE_HEADER: LANE.name}
        await work.publish(Message(b"secret", headers=dict(headers)), "")
        yield channel


@pytest.fixture
async def agent(vhost: Vhost, operator: AbstractChannel) -> AsyncIterator[AbstractConnection]:
    """A connection with the credentials of agents of type text; its own queue is declared."""
    async with await aio_pika.connect(vhost.agent_url("text")) as connection:
        await declare(await connection.channel(), agent_topology("text", "mine"))
        yield connection


@pytest.fixture
async def other(vhost: Vhost, operator: AbstractChannel) -> AsyncIterator[AbstractConnection]:
    """An agent of type infra."""
    async with await aio_pika.connect(vhost.agent_url("infra")) as connection:
        await declare(await connection.channel(), agent_topology("infra", "other"))
        yield connection


async def waiting(channel: AbstractChannel, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True)
    return queue.declaration_result.message_count or 0


def consume(name: str) -> Act:
    async def ignore(message: AbstractIncomingMessage) -> None:
        pass

    async def act(channel: AbstractChannel) -> None:
        await (await channel.get_queue(name, ensure=False)).consume(ignore, no_ack=True)

    return act


def get(name: str) -> Act:
    async def act(channel: AbstractChannel) -> None:
        await (await channel.get_queue(name, ensure=False)).get(fail=False)

    return act


def purge(name: str) -> Act:
    async def act(channel: AbstractChannel) -> None:
        await (await channel.get_queue(name, ensure=False)).purge()

    return act


def publish(exchange: str, key: str = "") -> Act:
    async def act(channel: AbstractChannel) -> None:
        target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await target.publish(Message(b"forged", headers={AGENT_TYPE_HEADER: "infra"}), key, mandatory=False)

    return act


def bind(queue: str, exchange: str, key: str = "") -> Act:
    async def act(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).bind(exchange, key)

    return act


def declare_queue(name: str, **arguments: str) -> Act:
    return lambda channel: channel.declare_queue(name, arguments=dict(arguments))


REFUSED: dict[str, Act] = {
    "consume another type's work": consume(OTHERS),
    "get another type's work": get(OTHERS),
    "purge another type's work": purge(OTHERS),
    "count another type's work": lambda channel: channel.declare_queue(OTHERS, passive=True),
    "consume replies": consume(REPLIES_QUEUE),
    "get a heartbeat": get(HEARTBEATS_QUEUE),
    "get a dead letter": get(DEAD_LETTERS_QUEUE),
    "purge replies": purge(REPLIES_QUEUE),
    "publish work": publish(WORK_EXCHANGE),
    "publish a command to another": publish(COMMANDS_EXCHANGE, command_key("infra", "other")),
    "publish a command to its own type": publish(COMMANDS_EXCHANGE, command_key("text", "mine")),
    "publish an announcement": publish(ANNOUNCEMENTS_EXCHANGE),
    "publish work past its exchange": publish("", OTHERS),
    "publish a command past its exchange": publish("", ANOTHERS_QUEUE),
    "declare a queue": declare_queue("anything"),
    "declare a work queue": declare_queue(work_queue_name("new", LANE)),
    "declare a queue of another type": declare_queue(agent_queue_name("infra", "mine")),
    "declare a queue of a longer type": declare_queue(agent_queue_name("text-2", "mine")),
    "declare a queue whose dead letters are work": declare_queue(
        agent_queue_name("text", "letters"), **{"x-dead-letter-exchange": WORK_EXCHANGE}
    ),
    "declare an exchange": lambda channel: channel.declare_exchange("anything", "fanout"),
    "delete the queue of its type": lambda channel: channel.queue_delete(MINE),
    "delete another type's work queue": lambda channel: channel.queue_delete(OTHERS),
    "delete replies": lambda channel: channel.queue_delete(REPLIES_QUEUE),
    "delete an exchange": lambda channel: channel.exchange_delete(COMMANDS_EXCHANGE),
    "bind its queue to another's commands": bind(OWN_QUEUE, COMMANDS_EXCHANGE, command_key("infra", "other")),
    "bind its queue to all commands": bind(OWN_QUEUE, COMMANDS_EXCHANGE, "#"),
    "bind its queue with a wildcard": bind(OWN_QUEUE, COMMANDS_EXCHANGE, "text.*"),
    "bind its queue to work": bind(OWN_QUEUE, WORK_EXCHANGE),
    "bind its queue to replies": bind(OWN_QUEUE, REPLIES_EXCHANGE),
    "bind its queue to heartbeats": bind(OWN_QUEUE, HEARTBEATS_EXCHANGE),
    "bind its queue to dead letters": bind(OWN_QUEUE, DEAD_LETTERS_EXCHANGE),
    "bind another type's work queue": bind(OTHERS, ANNOUNCEMENTS_EXCHANGE),
    "bind the queue of its type": bind(MINE, ANNOUNCEMENTS_EXCHANGE),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_agent_is_refused(name: str, agent: AbstractConnection, operator: AbstractChannel) -> None:
    channel = await agent.channel(publisher_confirms=True)
    with pytest.raises(ChannelAccessRefused) as refused:
        await REFUSED[name](channel)
    print(f"{name}: {refused.value}")
    assert "ACCESS_REFUSED" in str(refused.value)
    assert (await waiting(operator, OTHERS), await waiting(operator, MINE)) == (1, 0)


async def test_an_agent_cannot_read_the_queue_of_an_agent_of_another_type(
    agent: AbstractConnection, other: AbstractConnection
) -> None:
    for act in (consume(ANOTHERS_QUEUE), get(ANOTHERS_QUEUE), purge(ANOTHERS_QUEUE)):
        with pytest.raises(ChannelAccessRefused) as refused:
            await act(await agent.channel())
        print(refused.value)


async def test_an_agent_cannot_say_that_it_is_the_operator(agent: AbstractConnection) -> None:
    channel = await agent.channel(publisher_confirms=True)
    replies = await channel.get_exchange(REPLIES_EXCHANGE, ensure=False)
    with pytest.raises(ChannelPreconditionFailed, match=OPERATOR_USER):
        await replies.publish(Message(b"forged", user_id=OPERATOR_USER), "")


async def test_an_agent_cannot_enter_another_virtual_host(vhost: Vhost) -> None:
    elsewhere = f"{vhost.agent_url('text').rsplit('/', 1)[0]}/harebell"
    # The broker closes the connection instead of opening the virtual host; the client names the frames only.
    with pytest.raises(InvalidFrameError, match=r"Connection\.OpenOk.*Connection\.Close"):
        await aio_pika.connect(elsewhere)


async def test_an_agent_can_do_its_work(vhost: Vhost, operator: AbstractChannel) -> None:
    async with scripted_agent(vhost.agent_url("text"), "worker", "text") as agent:
        publisher = Publisher()
        publisher.attach(operator)
        await publisher.publish(ANNOUNCEMENTS_EXCHANGE, Query(), message_id="1")
        await publisher.publish(
            COMMANDS_EXCHANGE, Query(), routing_key=command_key("text", "worker"), message_id="2"
        )
        assert [await agent.commands.get() for _ in range(2)] == [Query(), Query()]
        async with Lanes(agent.connection, work_queue_names("text")) as lanes:
            for lane in LANES:
                headers = {AGENT_TYPE_HEADER: "text", LANE_HEADER: lane.name}
                await publisher.publish(
                    WORK_EXCHANGE, lane.name.encode(), message_id=lane.name, headers=dict(headers)
                )
                message = await lanes.claim()
                assert message.body == lane.name.encode()
                await message.ack()
        for exchange, queue in (
            (REPLIES_EXCHANGE, REPLIES_QUEUE),
            (HEARTBEATS_EXCHANGE, HEARTBEATS_QUEUE),
            (DEAD_LETTERS_EXCHANGE, DEAD_LETTERS_QUEUE),
        ):
            await agent.publisher.publish(exchange, b"report", message_id="4")
            found = await (await operator.get_queue(queue, ensure=False)).get(timeout=5)
            assert found is not None
            assert found.body == b"report"
            await found.ack()


@pytest.fixture(scope="module")
def archiver_url(vhost: Vhost) -> str:
    return vhost.user_url("archiver", archiver_permissions())


REFUSED_TO_THE_ARCHIVER: dict[str, Act] = {
    "consume work": consume(MINE),
    "get a reply": get(REPLIES_QUEUE),
    "get a dead letter": get(DEAD_LETTERS_QUEUE),
    "consume the intake": consume(HISTORY_INTAKE),
    "purge the intake": purge(HISTORY_INTAKE),
    "get its own report": get(REPORTS_QUEUE),
    "publish work": publish(WORK_EXCHANGE),
    "publish a reply": publish(REPLIES_EXCHANGE),
    "publish a command": publish(COMMANDS_EXCHANGE, command_key("text", "mine")),
    "publish into the history": publish(HISTORY_EXCHANGE),
    "publish past an exchange": publish("", HISTORY_STREAM),
    "declare a queue": declare_queue("anything"),
    "delete the stream": lambda channel: channel.queue_delete(HISTORY_STREAM),
    "delete the intake": lambda channel: channel.queue_delete(HISTORY_INTAKE),
    "bind the stream": bind(HISTORY_STREAM, REPORTS_EXCHANGE),
    "bind the reports to the history": bind(REPORTS_QUEUE, HISTORY_EXCHANGE),
    "delete an exchange": lambda channel: channel.exchange_delete(REPORTS_EXCHANGE),
}


@pytest.mark.parametrize("name", REFUSED_TO_THE_ARCHIVER)
async def test_the_archiver_is_refused(name: str, archiver_url: str, operator: AbstractChannel) -> None:
    async with await aio_pika.connect(archiver_url) as connection:
        with pytest.raises(ChannelAccessRefused) as refused:
            await REFUSED_TO_THE_ARCHIVER[name](await connection.channel(publisher_confirms=True))
        print(f"{name}: {refused.value}")


@pytest.mark.parametrize("name", [HISTORY_STREAM, HISTORY_INTAKE, REPORTS_QUEUE])
async def test_an_agent_reads_no_history(name: str, agent: AbstractConnection) -> None:
    for act in (consume(name), get(name)):
        with pytest.raises(ChannelAccessRefused):
            await act(await agent.channel())


@pytest.mark.parametrize(
    "act",
    [
        declare_queue("anything"),
        declare_queue(agent_queue_name("text", "forged")),
        bind(OWN_QUEUE, COMMANDS_EXCHANGE, "#"),
        publish("", OWN_QUEUE),
        consume(OWN_QUEUE),
    ],
)
async def test_the_operator_is_refused_what_is_not_its_own(
    vhost: Vhost, operator: AbstractChannel, act: Act
) -> None:
    async with await aio_pika.connect(vhost.operator_url) as connection:
        with pytest.raises(ChannelAccessRefused) as refused:
            await act(await connection.channel(publisher_confirms=True))
        print(refused.value)
