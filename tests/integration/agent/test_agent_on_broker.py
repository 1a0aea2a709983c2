"""An agent process and a real broker; the test is the operator."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.servers import Vhost

from harebell_agent.session import LOOPS
from harebell_bus import topology
from harebell_bus.envelopes import (
    Cancelled,
    CancelMode,
    Failed,
    HeartbeatReason,
    Interrupted,
    Progressed,
    Started,
    Succeeded,
    TaskRef,
)

from .harness import AGENT_TYPE, Operator, Wire, agent, operating


@pytest.fixture
async def operator(amqp_url: str) -> AsyncIterator[Operator]:
    async with operating(amqp_url) as operator:
        await operator.open()
        yield operator


@pytest.fixture
def agent_url(vhost: Vhost) -> str:
    return vhost.agent_url(AGENT_TYPE)


@pytest.fixture
async def wire(agent_url: str) -> AsyncIterator[Wire]:
    wire = Wire(agent_url)
    await wire.join()
    yield wire
    await wire.cut()


async def test_work_is_begun_told_of_and_done(operator: Operator, agent_url: str, tmp_path: Path) -> None:
    async with agent(agent_url, tmp_path) as process:
        await operator.registered(process.id)
        heartbeat = next(h for h in operator.heartbeats if h.agent.id == process.id)
        assert heartbeat.agent_type == AGENT_TYPE
        assert "slow" in heartbeat.actions
        assert heartbeat.resources.memory.total_bytes

        task = await operator.dispatch("quick", {"a": [1, None]})
        assert (await operator.outcome(task, Succeeded)).result == {"a": [1, None]}

        await operator.query_all()
        await operator.hears("that it listens", lambda: operator.heartbeats[-1].consuming)
        assert operator.heartbeats[-1].last_delivery_at

        task = await operator.dispatch("slow", {"seconds": 1.2})
        await operator.outcome(task, Succeeded)
        percents = [r.percent for r in operator.replies if isinstance(r, Progressed) and r.task == task]
        assert 2 <= len(percents) <= 4
        assert percents == sorted(percents, key=lambda p: p or 0)

        failed = await operator.outcome(await operator.dispatch("missing"), Failed)
        assert (failed.code, failed.retryable) == ("UnknownAction", False)

        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        await operator.hears(
            "the good-bye", lambda: operator.heartbeats[-1].reason is HeartbeatReason.LEAVING
        )


def _few_channels(chunk: bytes) -> bytes:
    """Have the broker allow 200 channels, in its Tune: a method frame of channel 0, class 10, method 30."""
    tune = b"\x01\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x1e"
    before, found, after = chunk.partition(tune)
    return before + found + (200).to_bytes(2, "big") + after[2:] if found else chunk


async def test_an_agent_of_many_slots_needs_few_channels(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    wire = Wire(agent_url, _few_channels)
    await wire.join()
    async with agent(wire.url, tmp_path, HAREBELL_AGENT_CONCURRENCY="256") as process:
        await operator.listened_to(LOOPS)
        for _ in range(LOOPS + 4):
            await operator.dispatch("blocking", {"seconds": 600})
        await process.begun(LOOPS + 4)
        await operator.listened_to(LOOPS)
        assert "connection lost" not in process.log.read_text()
    await wire.cut()


async def test_an_agent_that_comes_first_waits_for_the_exchanges_and_its_welcome(
    amqp_url: str, agent_url: str, tmp_path: Path
) -> None:
    async with operating(amqp_url) as operator:
        for name in (topology.HEARTBEATS_EXCHANGE, topology.COMMANDS_EXCHANGE):
            await operator.channel.exchange_delete(name)
        operator.welcoming = False
        async with agent(agent_url, tmp_path) as process:
            log = process.log
            await operator.hears("the first failure", lambda: "NOT_FOUND - no exchange" in log.read_text())
            await operator.open()
            await operator.registered(process.id, times=3)
            task = await operator.dispatch("quick")
            assert await operator.ready() == 1
            operator.welcoming = True
            await operator.outcome(task, Succeeded)


async def test_work_goes_on_while_the_broker_is_away(operator: Operator, wire: Wire, tmp_path: Path) -> None:
    async with agent(wire.url, tmp_path) as process:
        task = await operator.dispatch("blocking", {"seconds": 3})
        await process.begun()
        await wire.cut()
        log = process.log
        await operator.hears("the loss", lambda: "Connection refused" in log.read_text())
        next_task = await operator.dispatch("quick")
        await wire.join()
        await operator.registered(process.id, times=2)
        again = operator.heartbeats[-1]
        assert [c.task for c in again.current_tasks] == [task]
        assert operator.said(next_task) == []
        await operator.outcome(task, Succeeded)
        await operator.outcome(next_task, Succeeded)


async def test_an_outcome_waits_for_the_broker(operator: Operator, wire: Wire, tmp_path: Path) -> None:
    async with agent(wire.url, tmp_path) as process:
        task = await operator.dispatch("blocking", {"seconds": 0.5})
        await process.begun()
        await wire.cut()
        log = process.log
        await operator.hears("the end of the action", lambda: "Succeeded after" in log.read_text())
        await wire.join()
        await operator.outcome(task, Succeeded)


async def test_an_outcome_and_checkpoints_outlive_a_broker_that_fell_silent(
    operator: Operator, wire: Wire, tmp_path: Path
) -> None:
    async with agent(f"{wire.url}?heartbeat=1", tmp_path, HAREBELL_AGENT_CONCURRENCY="2") as process:
        short = await operator.dispatch("blocking", {"seconds": 3})
        long = await operator.dispatch("saving", {"seconds": 14})
        await process.begun(2)
        wire.freeze()
        log = process.log
        await operator.hears("the loss", lambda: "broker connection lost" in log.read_text())
        wire.thaw()
        await operator.registered(process.id, times=2)
        await operator.outcome(short, Succeeded)
        # It awaits each of its checkpoints, so all of them must have been confirmed.
        await operator.hears("the other's outcome", lambda: "Succeeded" in operator.said(long))
        await operator.outcome(await operator.dispatch("quick"), Succeeded)


@pytest.mark.parametrize(
    ("action", "mode"),
    [
        ("slow", CancelMode.GRACEFUL),
        ("blocking", CancelMode.GRACEFUL),
        ("slow", CancelMode.IMMEDIATE),
        ("stubborn", CancelMode.IMMEDIATE),
    ],
)
async def test_cancelled_work_is_cancelled_and_the_next_is_taken(
    operator: Operator, agent_url: str, tmp_path: Path, action: str, mode: CancelMode
) -> None:
    async with agent(agent_url, tmp_path) as process:
        seconds = 3 if action == "stubborn" else 600
        task = await operator.dispatch(action, {"seconds": seconds})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        await operator.cancel(process.id, task, mode)
        await operator.outcome(task, Cancelled)
        await operator.outcome(await operator.dispatch("quick"), Succeeded)


async def test_a_query_is_answered_with_what_is_worked_on(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path):
        task = await operator.dispatch("stubborn", {"seconds": 600})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        await operator.query_all()
        await operator.hears("the answer", lambda: operator.heartbeats[-1].reason is HeartbeatReason.QUERIED)
        assert [c.task for c in operator.heartbeats[-1].current_tasks] == [task]


async def test_heartbeats_go_on_while_a_thread_works(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    operator.heartbeat_seconds = 0.1
    async with agent(agent_url, tmp_path) as process:
        task = await operator.dispatch("stubborn", {"seconds": 1})
        await operator.outcome(task, Succeeded)
        assert sum(h.agent.id == process.id and bool(h.current_tasks) for h in operator.heartbeats) >= 5


async def test_what_cannot_be_read_is_put_aside(operator: Operator, agent_url: str, tmp_path: Path) -> None:
    async with agent(agent_url, tmp_path):
        task = TaskRef(namespace="lab", name="odd", uid="odd-uid")
        await operator.send(b'{"kind":"Work","version":7}', task)
        await operator.hears("the failure", lambda: operator.said(task) == ["Failed"])
        (letter,) = operator.letters
        assert letter.body == b'{"kind":"Work","version":7}'
        assert letter.headers[topology.TASK_NAME_HEADER] == "odd"
        assert "version" in str(letter.headers[topology.REASON_HEADER])
        await operator.outcome(await operator.dispatch("quick"), Succeeded)


async def test_a_busy_agent_holds_nothing_and_an_idle_one_takes_the_most_urgent(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path):
        task = await operator.dispatch("blocking", {"seconds": 2})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        last = [await operator.dispatch("quick", priority=p) for p in ("background", "normal", "critical")]
        assert await operator.ready() == 3
        for waiting in last:
            await operator.outcome(waiting, Succeeded)
        started = [r.task for r in operator.replies if isinstance(r, Started)]
        assert started == [task, *reversed(last)]


async def test_as_many_at_a_time_as_there_are_slots(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path, HAREBELL_AGENT_CONCURRENCY="2"):
        tasks = [await operator.dispatch("blocking", {"seconds": 1.5}) for _ in range(3)]
        await operator.hears("two starts", lambda: sum(bool(operator.said(t)) for t in tasks) == 2)
        assert await operator.ready() == 1
        for task in tasks:
            await operator.outcome(task, Succeeded)


async def test_a_drain_lets_work_end(operator: Operator, agent_url: str, tmp_path: Path) -> None:
    async with agent(agent_url, tmp_path) as process:
        task = await operator.dispatch("slow", {"seconds": 2})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        process.signal(signal.SIGTERM)
        waiting = await operator.dispatch("quick")
        assert await process.ended() == 0
        await operator.outcome(task, Succeeded)
        assert operator.said(waiting) == []
        assert await operator.ready() == 1


@pytest.mark.parametrize("action", ["slow", "blocking", "stubborn"])
async def test_what_does_not_end_in_time_is_handed_back(
    operator: Operator, agent_url: str, tmp_path: Path, action: str
) -> None:
    async with agent(agent_url, tmp_path, HAREBELL_DRAIN_SECONDS="0.5") as process:
        task = await operator.dispatch(action, {"seconds": 600})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        process.signal(signal.SIGTERM)
        assert await process.ended(10) == 0
        await operator.outcome(task, Interrupted)
        assert operator.heartbeats[-1].reason is HeartbeatReason.LEAVING


async def test_what_is_handed_back_waits_for_the_broker(
    operator: Operator, wire: Wire, tmp_path: Path
) -> None:
    async with agent(wire.url, tmp_path, HAREBELL_DRAIN_SECONDS="0.5") as process:
        task = await operator.dispatch("slow", {"seconds": 600})
        await process.begun()
        await wire.cut()
        process.signal(signal.SIGTERM)
        # About as long as a broker of several nodes takes to go on after one of them went.
        await asyncio.sleep(10)
        await wire.join()
        await operator.outcome(task, Interrupted)
        assert await process.ended() == 0


async def test_told_twice_it_ends_at_once(operator: Operator, agent_url: str, tmp_path: Path) -> None:
    async with agent(agent_url, tmp_path, HAREBELL_DRAIN_SECONDS="600") as process:
        task = await operator.dispatch("stubborn", {"seconds": 600})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        process.signal(signal.SIGTERM)
        log = process.log
        await operator.hears("the first word", lambda: "shutting down: " in log.read_text())
        process.signal(signal.SIGINT)
        assert await process.ended(5) == 0
        await operator.outcome(task, Interrupted)


async def test_a_shutdown_cuts_the_grace_period_of_what_is_stopping_already(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path, HAREBELL_DRAIN_SECONDS="0.5") as process:
        task = await operator.dispatch("clinging", {"seconds": 600})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        await operator.cancel(process.id, task)
        log = process.log
        await operator.hears("that it is told", lambda: "told to stop, and not stopping" in log.read_text())
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        await operator.outcome(task, Cancelled)


async def test_told_again_after_the_drain_it_waits_less_for_the_broker(
    operator: Operator, wire: Wire, tmp_path: Path
) -> None:
    async with agent(wire.url, tmp_path, HAREBELL_DRAIN_SECONDS="0.5") as process:
        await operator.dispatch("slow", {"seconds": 600})
        await process.begun()
        await wire.cut()
        process.signal(signal.SIGTERM)
        log = process.log
        await operator.hears("that it is handed back", lambda: "Interrupted after" in log.read_text())
        process.signal(signal.SIGTERM)
        assert await process.ended(12) == 0


async def test_told_again_after_the_drain_it_does_not_wait_for_the_action(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path, HAREBELL_DRAIN_SECONDS="0") as process:
        task = await operator.dispatch("clinging", {"seconds": 600})
        await operator.hears("its start", lambda: operator.said(task) == ["Started"])
        process.signal(signal.SIGTERM)
        log = process.log
        await operator.hears("that it is told", lambda: "told to stop, and not stopping" in log.read_text())
        process.signal(signal.SIGTERM)
        assert await process.ended(2.5) == 0
        await operator.outcome(task, Interrupted)


async def test_what_a_coroutine_left_in_a_thread_is_not_waited_for(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path, HAREBELL_DRAIN_SECONDS="0") as process:
        task = await operator.dispatch("handing.over", {"seconds": 600})
        await process.begun()
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        await operator.outcome(task, Interrupted)


async def test_a_forked_process_is_ended_and_not_the_agent(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path) as process:
        task = await operator.dispatch("forking", {"seconds": 20})
        assert (await operator.outcome(task, Succeeded)).result == -signal.SIGTERM
        assert "shutting down" not in process.log.read_text()
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


async def test_a_work_queue_that_vanishes_is_found_again(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path) as process:
        await operator.registered(process.id)
        await operator.delete_lanes()
        process_log = process.log
        await operator.hears(
            "the loss", lambda: "broker connection lost" in process_log.read_text(), seconds=45
        )
        await operator.open()
        await operator.registered(process.id, times=2)
        await operator.outcome(await operator.dispatch("quick"), Succeeded)


async def test_a_killed_agent_comes_back_under_the_same_name(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path, agent_id="lab-same") as first:
        await operator.registered("lab-same")
        first.signal(signal.SIGKILL)
        await first.ended()
        async with agent(agent_url, tmp_path, agent_id="lab-same"):
            await operator.registered("lab-same", times=2)
            instances = {h.agent.instance for h in operator.heartbeats if h.agent.id == "lab-same"}
            assert len(instances) == 2
            await operator.outcome(await operator.dispatch("quick"), Succeeded)


async def test_a_second_agent_of_the_same_id_says_so_and_waits(
    operator: Operator, agent_url: str, tmp_path: Path
) -> None:
    async with agent(agent_url, tmp_path, agent_id="lab-twice") as first:
        await operator.registered("lab-twice")
        async with agent(agent_url, tmp_path, agent_id="lab-twice") as second:
            log = tmp_path / "lab-twice.log"
            said = "each agent needs an id of its own"
            await operator.hears("two refusals", lambda: log.read_text().count(said) >= 2)
            await operator.outcome(await operator.dispatch("quick"), Succeeded)
            assert len({h.agent.instance for h in operator.heartbeats if h.agent.id == "lab-twice"}) == 1
            first.signal(signal.SIGKILL)
            await first.ended()
            await operator.registered("lab-twice", times=2)
            await operator.outcome(await operator.dispatch("quick"), Succeeded)
            second.signal(signal.SIGTERM)
            assert await second.ended() == 0
