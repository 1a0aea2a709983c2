"""Registration, Welcome, heartbeats, and commands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harebell_agent import presence as module
from harebell_agent.announcements import Announcements
from harebell_agent.backoff import backoff
from harebell_agent.invoke import Stop
from harebell_agent.listening import Listening
from harebell_agent.outcome import StopCause
from harebell_agent.presence import Identity, Presence
from harebell_agent.session import Session
from harebell_bus.envelopes import (
    CancelMode,
    CancelTask,
    Heartbeat,
    HeartbeatReason,
    Memory,
    Query,
    Resources,
    SuspendTask,
    Welcome,
)
from harebell_bus.errors import UnroutableError
from harebell_bus.topology import HEARTBEATS_EXCHANGE

from .support import ME, NOW, TASK, Desk, until, work

IDENTITY = Identity(ME, "text", "1.0", NOW, 2, ("text.stats",), None, (), ("text.stats",))


def welcome(seconds: float = 3600, queue: str = "harebell.work.text", instance: str = ME.instance) -> Welcome:
    return Welcome(instance=instance, work_queues=(queue,), heartbeat_seconds=seconds)


def made(
    desk: Desk, announcements: Announcements | None = None, listening: Listening | None = None
) -> Presence:
    async def resources() -> Resources:
        return Resources(gpus=())

    told = announcements or Announcements()
    loops = listening or Listening()
    return Presence(IDENTITY, desk.broker, desk.inflight.current, resources, told, loops, lambda: NOW)


@asynccontextmanager
async def running(presence: Presence) -> AsyncIterator[None]:
    task = asyncio.create_task(presence.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def reasons(desk: Desk) -> list[HeartbeatReason]:
    return [h.reason for h in desk.broker.all(Heartbeat)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "backoff", lambda failures: 0.01)


@pytest.mark.usefixtures("quick")
async def test_registers_until_welcomed_then_heartbeats() -> None:
    desk = Desk()
    presence = made(desk)
    async with running(presence):
        await until(lambda: len(reasons(desk)) >= 3)
        presence.greet(welcome(instance="another"))
        assert not presence.welcomed.is_set()
        presence.greet(welcome(0.01))
        assert presence.welcomed.is_set()
        seen = len(reasons(desk))
        await until(lambda: len(reasons(desk)) >= seen + 3)
    assert set(reasons(desk)[: seen - 1]) == {HeartbeatReason.REGISTERED}
    assert reasons(desk)[-1] is HeartbeatReason.INTERVAL
    assert not presence.welcomed.is_set()
    first = desk.broker.published[0]
    assert (first.exchange, first.persistent) == (HEARTBEATS_EXCHANGE, False)
    heartbeat = desk.broker.all(Heartbeat)[0]
    assert (heartbeat.resumable, heartbeat.idempotent) == ((), ("text.stats",))
    assert (heartbeat.capacity, heartbeat.actions, heartbeat.resources.gpus) == (2, ("text.stats",), ())


@pytest.mark.usefixtures("quick")
async def test_a_heartbeat_that_no_queue_takes_is_followed_by_the_next() -> None:
    desk = Desk()
    desk.broker.failing = [UnroutableError("none")]
    async with running(made(desk)):
        await until(lambda: reasons(desk))


async def test_work_comes_from_other_queues_when_the_operator_says_so() -> None:
    desk = Desk()
    presence = made(desk)
    seen = []
    presence.requeue(("before", "the Welcome"))
    seen.append((presence.work_queues, presence.requeued.is_set()))
    async with running(presence):
        presence.greet(welcome(queue="one"))
        for queues in (("one",), ("none", "one")):
            presence.requeue(queues)
            seen.append((presence.work_queues, presence.requeued.is_set()))
    assert seen == [((), False), (("one",), False), (("none", "one"), True)]


async def test_a_query_is_answered_at_once_with_what_is_worked_on() -> None:
    desk = Desk()
    presence = made(desk)
    async with running(presence):
        await until(lambda: reasons(desk))
        presence.greet(welcome())
        desk.inflight.add(work())
        presence.query()
        await until(lambda: len(reasons(desk)) == 2)
        presence.query()
        await until(lambda: len(reasons(desk)) == 3)
    assert reasons(desk)[1:] == [HeartbeatReason.QUERIED] * 2
    assert desk.broker.all(Heartbeat)[-1].current_tasks[0].task == TASK


async def test_a_later_welcome_updates_the_settings() -> None:
    desk = Desk()
    presence = made(desk)
    async with running(presence):
        await until(lambda: reasons(desk))
        presence.greet(welcome())
        presence.greet(welcome(0.01))
        assert not presence.requeued.is_set()
        await until(lambda: len(reasons(desk)) >= 3)
        presence.greet(welcome(queue="harebell.work.other"))
        assert presence.requeued.is_set()


async def test_nothing_follows_the_good_bye() -> None:
    desk = Desk()
    presence = made(desk)
    async with running(presence):
        await until(lambda: reasons(desk))
        presence.greet(welcome())
        await presence.leave()
        presence.query()
        await asyncio.sleep(0)
    assert reasons(desk)[1:] == [HeartbeatReason.LEAVING]


@pytest.mark.parametrize("known", [True, False])
async def test_the_good_bye_does_not_wait_for_figures(known: bool) -> None:
    desk, reads = Desk(), list[int]()
    used = Resources(memory=Memory(total_bytes=8, used_bytes=4), gpus=())

    async def resources() -> Resources:
        reads.append(1)
        if len(reads) > known:
            await asyncio.Event().wait()
        return used

    told, loops = Announcements(), Listening()
    presence = Presence(IDENTITY, desk.broker, desk.inflight.current, resources, told, loops, lambda: NOW)
    async with running(presence):
        await until(lambda: reads)
        presence.query()
        await until(lambda: len(reads) > known)
        async with asyncio.timeout(10):
            await presence.leave()
    goodbye = desk.broker.all(Heartbeat)[-1]
    assert (goodbye.reason, goodbye.resources) == (HeartbeatReason.LEAVING, used if known else Resources())


async def test_a_heartbeat_that_waited_for_figures_does_not_follow_the_good_bye() -> None:
    desk, answering, reading = Desk(), asyncio.Event(), asyncio.Event()

    async def resources() -> Resources:
        reading.set()
        await answering.wait()
        return Resources(gpus=())

    told, loops = Announcements(), Listening()
    presence = Presence(IDENTITY, desk.broker, desk.inflight.current, resources, told, loops, lambda: NOW)
    async with running(presence):
        await reading.wait()
        await presence.leave()
        answering.set()
        for _ in range(100):
            await asyncio.sleep(0)
    assert reasons(desk) == [HeartbeatReason.LEAVING]


@pytest.mark.parametrize("mode", list(CancelMode))
async def test_commands_are_obeyed(mode: CancelMode) -> None:
    desk = Desk()
    presence = made(desk)
    publisher: Any = desk.broker
    told, loops = Announcements(), Listening()
    session = Session(
        "text", ME.id, publisher, presence, desk.worker, desk.inflight, desk.vouching, told, loops, 1
    )
    attempt = desk.inflight.add(work())
    assert attempt
    session.obey(CancelTask(task=TASK, attempt=2, mode=mode, reason="another attempt"))
    assert attempt.stop.stopped is None
    session.obey(CancelTask(task=TASK, attempt=1, mode=mode, reason="not needed"))
    assert attempt.stop.stopped is not None
    assert attempt.stop.stopped.reason == "not needed"
    assert attempt.stop.immediate.is_set() is (mode is CancelMode.IMMEDIATE)
    session.obey(welcome())
    assert presence.welcomed.is_set()
    session.obey(Query())


async def test_a_suspended_attempt_is_to_be_handed_back() -> None:
    desk = Desk()
    publisher: Any = desk.broker
    told, loops = Announcements(), Listening()
    session = Session(
        "text", ME.id, publisher, made(desk), desk.worker, desk.inflight, desk.vouching, told, loops, 1
    )
    attempt = desk.inflight.add(work())
    assert attempt
    session.obey(SuspendTask(task=TASK, attempt=1, reason="the Task was suspended"))
    assert attempt.stop.stopped is not None
    assert attempt.stop.stopped.cause is StopCause.SUSPENDED
    assert not attempt.stop.immediate.is_set()


async def test_the_first_cause_stands() -> None:
    stop = Stop()
    stop.request(StopCause.DEADLINE, "too long")
    stop.request(StopCause.CANCELLED, "not needed", immediate=True)
    assert stop.stopped is not None
    assert stop.stopped.cause is StopCause.DEADLINE
    assert stop.signal.reason == "too long"
    assert stop.immediate.is_set()


@pytest.mark.parametrize(
    ("failures", "least", "most"), [(1, 0.5, 1), (2, 1, 2), (4, 4, 8), (5, 7.5, 15), (1000, 7.5, 15)]
)
def test_backoff(failures: int, least: float, most: float) -> None:
    assert (backoff(failures, 0.0), backoff(failures, 1.0)) == (least, most)
