"""Checkpoints: few messages from many, none lost before the outcome, at once for who waits."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from harebell_agent import Context, PermanentError, UnfinishedError
from harebell_agent.checkpoints import CHECKPOINT_BYTES, Checkpoint, Checkpoints
from harebell_agent.outcome import StopCause
from harebell_bus.codec import encode
from harebell_bus.envelopes import Checkpointed, Failed, Interrupted, InterruptionCause, Started, Succeeded
from harebell_bus.errors import BrokerUnavailableError
from harebell_crds.task import MAX_CHECKPOINT_BYTES

from .support import NOW, Desk, Message, until, work
from .test_agent_outcome import nested
from .test_agent_worker import HEADERS

NEVER = 3600.0


class Box:
    """Receives checkpoints, one after the other as it is told to."""

    def __init__(self, interval_seconds: float, *, closed: bool = False) -> None:
        self.received: list[Any] = []
        self._open = asyncio.Event()
        if not closed:
            self._open.set()
        self.checkpoints = Checkpoints(self._send, interval_seconds=interval_seconds)
        self.running = asyncio.create_task(self.checkpoints.run())

    def open(self) -> None:
        self._open.set()

    async def _send(self, checkpoint: Checkpoint) -> None:
        await self._open.wait()
        self.received.append(checkpoint.data)


async def test_the_first_goes_out_at_once_and_of_the_others_the_newest_when_it_is_time() -> None:
    box = Box(0.2)
    box.checkpoints.save(0)
    await until(lambda: box.received == [0])
    for n in range(1, 100):
        box.checkpoints.save(n)
    await until(lambda: len(box.received) > 1)
    assert box.received == [0, 99]


async def test_nothing_goes_out_before_it_is_time() -> None:
    box = Box(NEVER)
    await box.checkpoints.save("first")
    box.checkpoints.save("second")
    for _ in range(100):
        await asyncio.sleep(0)
    assert box.received == ["first"]


async def test_who_awaits_one_has_it_sent_at_once_and_goes_on_when_it_is_confirmed() -> None:
    box = Box(NEVER, closed=True)
    waiting = [asyncio.ensure_future(_wait(box, n)) for n in range(3)]
    await asyncio.sleep(0)
    assert not any(w.done() for w in waiting)
    box.open()
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
        await box.checkpoints.save("next")
    assert box.received[-2:] == [2, "next"]


async def _wait(box: Box, data: Any) -> None:
    await box.checkpoints.save(data)


async def test_a_thread_may_wait_as_well() -> None:
    box, done = Box(NEVER), threading.Event()

    def work_on() -> None:
        box.checkpoints.save(1).block(10)
        box.checkpoints.save(2).block(10)
        done.set()

    threading.Thread(target=work_on).start()
    await until(done.is_set)
    assert box.received == [1, 2]


async def test_to_block_on_the_loop_that_is_waited_for_is_refused() -> None:
    box = Box(NEVER)
    with pytest.raises(RuntimeError, match="await it"):
        box.checkpoints.save(1).block(0.1)
    await until(lambda: box.received == [1])


async def test_a_thread_with_a_loop_of_its_own_may_wait_in_it() -> None:
    box = Box(NEVER)

    async def inner() -> None:
        box.checkpoints.save(1).block(10)

    await asyncio.to_thread(asyncio.run, inner())
    assert box.received == [1]


async def test_it_is_saved_as_it_was() -> None:
    box, pages = Box(NEVER), [1]
    saved = box.checkpoints.save({"pages": pages})
    pages.append(2)
    await saved
    assert box.received == [{"pages": [1]}]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("x" * (CHECKPOINT_BYTES - 1), "CheckpointTooLarge"),
        (object(), "InvalidCheckpoint"),
        (nested(190), "InvalidCheckpoint"),
    ],
)
async def test_what_cannot_be_kept_is_refused_at_once(data: object, code: str) -> None:
    box = Box(NEVER)
    await box.checkpoints.save("x" * (CHECKPOINT_BYTES - 2))
    with pytest.raises(PermanentError) as raised:
        box.checkpoints.save(data)
    assert (raised.value.code, len(box.received)) == (code, 1)
    assert CHECKPOINT_BYTES == MAX_CHECKPOINT_BYTES


async def test_after_the_end_nothing_can_be_saved_and_nobody_waits_for_ever() -> None:
    box = Box(NEVER, closed=True)
    waiting = asyncio.ensure_future(_wait(box, 1))
    await asyncio.sleep(0)
    box.running.cancel()
    with pytest.raises(PermanentError, match="over"):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(PermanentError) as raised:
        box.checkpoints.save(2)
    assert raised.value.code == "AttemptOver"


async def test_a_clock_that_is_put_back_makes_none_older() -> None:
    seen, hours = list[Checkpoint](), iter([2, 1])

    async def send(checkpoint: Checkpoint) -> None:
        seen.append(checkpoint)

    checkpoints = Checkpoints(send, now=lambda: NOW + timedelta(hours=next(hours)))
    running = asyncio.create_task(checkpoints.run())
    await checkpoints.save(1)
    await checkpoints.save(2)
    assert [(c.number, c.at) for c in seen] == [(1, NOW + timedelta(hours=2)), (2, NOW + timedelta(hours=2))]
    running.cancel()


# ---- in an attempt -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resumable", "idempotent"), [(False, True), (True, False), (True, lambda payload: payload["again"])]
)
async def test_the_start_says_what_the_action_declares(resumable: bool, idempotent: Any) -> None:
    desk = Desk()

    @desk.agent.action("act", resumable=resumable, idempotent=idempotent)
    async def act(ctx: Context) -> None:
        return None

    await desk.take(work(payload={"again": True}))
    await desk.finished()
    (started,) = desk.broker.all(Started)
    assert (started.begun, started.resumable, started.idempotent) == (True, resumable, bool(idempotent))


@pytest.mark.parametrize(
    "idempotent",
    [lambda payload: payload["missing"], lambda payload: payload.get("missing"), lambda payload: "yes"],
)
@pytest.mark.parametrize("redelivered", [False, True])
async def test_an_action_that_does_not_say_is_not_idempotent(idempotent: Any, redelivered: bool) -> None:
    desk = Desk()

    @desk.agent.action("act", idempotent=idempotent, resumable=True)
    async def act(ctx: Context) -> None:
        return None

    await desk.take(Message(encode(work(attempt=2)), dict(HEADERS), redelivered=redelivered))
    assert isinstance(await desk.finished(), Succeeded)
    assert [s.idempotent for s in desk.broker.all(Started) if s.begun] == [False]
    assert desk.inflight.current() == ()


async def test_of_what_came_back_the_declaration_is_confirmed_before_the_action_begins() -> None:
    desk = Desk()
    seen: list[list[bool]] = []

    @desk.agent.action("act", resumable=True, idempotent=False)
    async def act(ctx: Context) -> None:
        seen.append([s.begun for s in desk.broker.all(Started)])

    published = desk.broker.publish

    async def publish(exchange: str, message: Any, **more: Any) -> None:
        if isinstance(message, Started) and message.begun and not desk.pauses:
            desk.broker.failing = [BrokerUnavailableError("gone")]
        await published(exchange, message, **more)

    desk.broker.publish = publish  # type: ignore[method-assign]
    await desk.take(Message(encode(work(attempt=2)), dict(HEADERS), redelivered=True))
    await desk.finished()
    assert seen == [[False, True]]
    assert [s.idempotent for s in desk.broker.all(Started)] == [True, False]
    assert len({p.message_id for p in desk.broker.published}) == 3


async def test_what_came_back_and_must_not_be_done_twice_is_handed_back_at_once() -> None:
    desk = Desk()

    @desk.agent.action("act", idempotent=False)
    async def act(ctx: Context) -> None:
        raise AssertionError("must not run")

    await desk.take(Message(encode(work(attempt=2)), dict(HEADERS), redelivered=True))
    interrupted = await desk.finished()
    assert isinstance(interrupted, Interrupted)
    assert (interrupted.cause, interrupted.begun) == (InterruptionCause.REDELIVERED, False)
    assert [s.begun for s in desk.broker.all(Started)] == [False]


async def test_an_action_goes_on_from_what_an_earlier_attempt_saved() -> None:
    desk = Desk()

    @desk.agent.action("act", resumable=True)
    async def act(ctx: Context) -> Any:
        return ctx.resume_from

    await desk.take(work(checkpoint={"page": 3}))
    await desk.take(work(attempt=2))
    await until(lambda: desk.released == 2)
    assert [s.result for s in desk.broker.all(Succeeded)] == [{"page": 3}, None]


@pytest.mark.parametrize("cause", [StopCause.SHUTDOWN, StopCause.SUSPENDED])
async def test_the_last_checkpoint_goes_out_before_the_work_is_handed_back(cause: StopCause) -> None:
    desk = Desk()
    begun = asyncio.Event()

    @desk.agent.action("act", resumable=True)
    async def act(ctx: Context) -> None:
        await ctx.checkpoint(1)
        ctx.checkpoint(2)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            desk.broker.failing = [BrokerUnavailableError("gone")]
            ctx.checkpoint(3)

    await desk.take(work())
    await begun.wait()
    desk.inflight.all()[0].stop.request(cause, "why")
    interrupted = await desk.finished()
    assert isinstance(interrupted, Interrupted)
    assert (interrupted.cause, interrupted.begun, interrupted.message) == (
        InterruptionCause(cause.value),
        True,
        "why",
    )
    assert [c.data for c in desk.broker.all(Checkpointed)] == [1, 3]
    assert desk.broker.kinds() == ["Started", "Checkpointed", "Checkpointed", "Interrupted"]
    assert len({p.message_id for p in desk.broker.published}) == 4


async def test_before_a_failure_that_is_retried_it_goes_out() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        await ctx.checkpoint(1)
        ctx.checkpoint(2)
        raise RuntimeError("no")

    await desk.take(work())
    assert isinstance(await desk.finished(), Failed)
    assert [c.data for c in desk.broker.all(Checkpointed)] == [1, 2]
    assert desk.broker.kinds() == ["Started", "Checkpointed", "Checkpointed", "Failed"]


@pytest.mark.parametrize("error", [PermanentError("no"), None])
async def test_the_outcome_of_what_is_over_waits_for_no_checkpoint(error: Exception | None) -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        await ctx.checkpoint(1)
        ctx.checkpoint(2)  # Due only in a while.
        if error is not None:
            raise error

    await desk.take(work())
    await desk.finished()
    assert desk.broker.kinds() == ["Started", "Checkpointed", "Failed" if error else "Succeeded"]


@pytest.mark.parametrize("cause", [StopCause.SHUTDOWN, StopCause.SUSPENDED])
@pytest.mark.parametrize(
    ("resumable", "finishes", "counts"), [(True, True, True), (True, False, False), (False, True, False)]
)
async def test_what_a_resumable_action_returns_when_it_is_to_hand_back_counts(
    cause: StopCause, resumable: bool, finishes: bool, counts: bool
) -> None:
    desk = Desk()
    begun = threading.Event()

    @desk.agent.action("act", resumable=resumable)
    def act(ctx: Context) -> str:
        begun.set()
        ctx.cancelled.block(10)
        if not finishes:
            raise UnfinishedError
        return "done all the same"

    await desk.take(work())
    await until(begun.is_set)
    desk.inflight.all()[0].stop.request(cause, "why")
    assert isinstance(await desk.finished(), Succeeded if counts else Interrupted)


async def test_a_cancelled_action_has_not_succeeded_whatever_it_returns() -> None:
    desk = Desk()
    begun = threading.Event()

    @desk.agent.action("act", resumable=True)
    def act(ctx: Context) -> str:
        begun.set()
        ctx.cancelled.block(10)
        return "too late"

    await desk.take(work())
    await until(begun.is_set)
    desk.inflight.all()[0].stop.request(StopCause.CANCELLED, "not needed")
    await desk.finished()
    # The checkpoint may have been sent or not: nobody will go on from it.
    assert [kind for kind in desk.broker.kinds() if kind != "Checkpointed"] == ["Started", "Cancelled"]


async def test_what_is_handed_back_before_it_begins_says_so() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        raise AssertionError("must not run")

    await desk.take(work())
    desk.inflight.all()[0].stop.request(StopCause.SHUTDOWN, "the agent is shut down")
    interrupted = await desk.finished()
    assert isinstance(interrupted, Interrupted)
    assert not interrupted.begun


async def test_a_thread_with_a_loop_of_its_own_awaits_them_there() -> None:
    box = Box(NEVER, closed=True)

    async def action() -> str:
        saved = asyncio.ensure_future(box.checkpoints.save("newest"))
        await asyncio.sleep(0)  # it waits by now
        box.checkpoints.loop.call_soon_threadsafe(box.open)
        await saved
        return "safe"

    async with asyncio.timeout(10):
        assert await asyncio.to_thread(asyncio.run, action()) == "safe"
    assert box.received == ["newest"]
