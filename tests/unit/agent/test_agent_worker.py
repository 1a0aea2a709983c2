"""From a claimed message to a confirmed outcome, without a broker."""

import asyncio
import threading
from typing import Any

import pytest
from aio_pika.exceptions import ChannelInvalidStateError
from pydantic import BaseModel, field_validator

from harebell_agent import Context, PermanentError, RetryableError, worker
from harebell_agent.outcome import StopCause
from harebell_bus.codec import encode
from harebell_bus.envelopes import Cancelled, Failed, Interrupted, Progressed, Started, Succeeded, Work
from harebell_bus.errors import BrokerUnavailableError, RefusedError, UnroutableError
from harebell_bus.topology import (
    ATTEMPT_HEADER,
    DEAD_LETTERS_EXCHANGE,
    REASON_HEADER,
    REPLIES_EXCHANGE,
    TASK_NAME_HEADER,
    TASK_NAMESPACE_HEADER,
)

from .support import ME, TASK, Desk, Message, until, work

HEADERS = {TASK_NAMESPACE_HEADER: TASK.namespace, TASK_NAME_HEADER: TASK.name, ATTEMPT_HEADER: 2}


async def test_started_is_confirmed_before_the_message_is_acknowledged_and_the_action_runs() -> None:
    desk = Desk()
    seen: list[tuple[list[str], str]] = []
    message = Message(encode(work()))

    @desk.agent.action("act")
    async def act(ctx: Context, payload: dict[str, int]) -> dict[str, int]:
        seen.append((desk.broker.kinds(), message.settled))
        return {"n": 1}

    await desk.take(message)
    assert await desk.finished() == Succeeded(
        task=TASK, attempt=1, agent=ME, at=desk.broker.all(Succeeded)[0].at, result={"n": 1}
    )
    assert seen == [(["Started"], "ack")]
    assert [(p.exchange, p.message_id, p.correlation_id, p.persistent) for p in desk.broker.published] == [
        (REPLIES_EXCHANGE, f"{TASK.uid}.1.{ME.instance}.started", TASK.uid, True),
        (REPLIES_EXCHANGE, f"{TASK.uid}.1.{ME.instance}.succeeded", TASK.uid, True),
    ]
    assert desk.metrics.registry.get_sample_value(
        "harebell_agent_tasks_total", {"action": "act", "outcome": "Succeeded"}
    ) == 1  # fmt: skip


async def test_an_action_is_given_the_results_it_depends_on_and_cannot_change_them() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> dict[str, Any]:
        with pytest.raises(TypeError):
            ctx.inputs["b"] = 2  # type: ignore[index]
        return dict(ctx.inputs)

    await desk.take(Message(encode(work(inputs={"a": {"n": 1}, "failed": None}))))
    outcome = await desk.finished()
    assert isinstance(outcome, Succeeded)
    assert outcome.result == {"a": {"n": 1}, "failed": None}


async def test_what_is_not_confirmed_as_started_is_not_run_and_goes_back() -> None:
    desk = Desk()
    ran: list[int] = []

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        ran.append(ctx.attempt)

    desk.broker.failing = [BrokerUnavailableError("no confirm")]
    message = Message(encode(work()))
    with pytest.raises(BrokerUnavailableError):
        await desk.take(message)
    assert (message.settled, len(desk.inflight), ran) == ("requeue", 0, [])

    await desk.take(work())
    await desk.finished()
    assert ran == [1]


async def test_a_lost_acknowledgement_does_not_stop_what_is_confirmed_as_started() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        return None

    await desk.take(Message(encode(work()), lost=ChannelInvalidStateError("closed")))
    assert isinstance(await desk.finished(), Succeeded)


async def test_an_attempt_delivered_again_is_dropped_while_it_runs_and_after() -> None:
    desk = Desk()
    going = asyncio.Event()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        await going.wait()

    await desk.take(work())
    again, permit = await desk.take(work())
    assert (again.settled, permit.taken) == ("ack", False)
    going.set()
    await desk.finished()
    again, _ = await desk.take(work())
    assert again.settled == "ack"
    assert desk.broker.kinds() == ["Started", "Succeeded"]


@pytest.mark.parametrize("again", [False, True])
async def test_of_what_came_back_it_is_told_first_that_it_has_started(
    again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a message which kills whoever looks into it costs attempts, and not agents without end."""
    desk = Desk()

    def deadly(body: bytes) -> Work:
        raise SystemExit

    monkeypatch.setattr(worker, "decode_work", deadly)
    message = Message(encode(work(attempt=2)), dict(HEADERS), redelivered=again)
    with pytest.raises(SystemExit):
        await desk.take(message)
    assert [(s.task, s.attempt, s.agent) for s in desk.broker.all(Started)] == [(TASK, 2, ME)] * again
    assert message.settled == ("ack" if again else "")


async def test_what_came_back_is_told_of_once_and_worked_on() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        return None

    message, _ = await desk.take(Message(encode(work(attempt=2)), dict(HEADERS), redelivered=True))
    await desk.finished()
    assert (desk.broker.kinds(), message.settled) == (["Started", "Started", "Succeeded"], "ack")


async def test_what_came_back_is_not_begun_unless_it_can_be_told() -> None:
    desk = Desk()
    desk.broker.failing = [BrokerUnavailableError("no confirm")]
    message = Message(encode(work(attempt=2)), dict(HEADERS), redelivered=True)
    with pytest.raises(BrokerUnavailableError):
        await desk.take(message)
    assert (message.settled, len(desk.inflight)) == ("requeue", 0)


async def test_what_came_back_and_cannot_be_buried_is_not_settled_twice() -> None:
    desk = Desk()
    started = iter([None, UnroutableError("no queue")])

    async def publish(*args: Any, **more: Any) -> None:
        if (error := next(started)) is not None:
            raise error

    desk.broker.publish = publish  # type: ignore[method-assign]
    message = Message(b"[]", dict(HEADERS), redelivered=True)
    with pytest.raises(UnroutableError):
        await desk.take(message)
    assert message.settled == "ack"


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("step", ["decode_work", "_started"])
async def test_what_the_agent_cannot_take_fails_and_the_next_is_taken(
    again: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> int:
        return ctx.attempt

    def broken(*_: object) -> Work:
        raise RuntimeError("unforeseen")

    with monkeypatch.context() as patched:
        patched.setattr(worker if step == "decode_work" else worker.Worker, step, broken)
        message, _ = await desk.take(Message(encode(work(attempt=2)), dict(HEADERS), redelivered=again))
        await until(lambda: desk.broker.all(Failed))
    (failed,) = desk.broker.all(Failed)
    assert (failed.task, failed.attempt, failed.code) == (TASK, 2, "InternalError")
    assert "unforeseen" in failed.message
    assert (message.settled, desk.inflight.current()) == ("ack", ())
    await desk.take(work(attempt=3))
    await until(lambda: [s.result for s in desk.broker.all(Succeeded)] == [3])


async def test_what_the_agent_cannot_take_goes_back_where_that_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()

    def broken(*_: object) -> Work:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(worker, "decode_work", broken)
    desk.broker.failing = [BrokerUnavailableError("no confirm")]
    message = Message(encode(work()), dict(HEADERS))
    with pytest.raises(BrokerUnavailableError):
        await desk.take(message)
    assert message.settled == "requeue"


async def test_what_is_begun_goes_on_when_settling_its_message_goes_wrong() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> int:
        return 1

    _, permit = await desk.take(Message(encode(work()), lost=RuntimeError("unforeseen")))
    assert permit.taken
    await desk.finished()
    assert desk.broker.kinds() == ["Started", "Succeeded"]


async def test_another_attempt_at_the_same_task_is_worked_on() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> int:
        return ctx.attempt

    await desk.take(work())
    await desk.take(work(attempt=2))
    await until(lambda: desk.released == 2)
    assert [s.result for s in desk.broker.all(Succeeded)] == [1, 2]


async def test_an_outcome_is_published_until_confirmed_and_current_until_then() -> None:
    desk = Desk()
    went: list[int] = []

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        went.append(len(desk.inflight.current()))
        desk.broker.failing = [
            BrokerUnavailableError("gone"),
            UnroutableError("no queue"),
            RefusedError("no room"),
        ]

    await desk.take(work())
    assert desk.inflight.current()[0].attempt == 1
    await desk.finished()
    assert went == [1]
    assert len(desk.pauses) == 3
    assert desk.pauses == sorted(desk.pauses)
    assert desk.broker.kinds() == ["Started", "Succeeded"]
    assert desk.inflight.current() == ()


async def test_an_unknown_action_names_those_there_are() -> None:
    desk = Desk()

    @desk.agent.action("text.count")
    async def act(ctx: Context) -> None:
        return None

    await desk.take(work("text.cuont"))
    failed = await desk.finished()
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retryable) == ("UnknownAction", False)
    assert "text.count" in failed.message
    assert desk.metrics.registry.get_sample_value(
        "harebell_agent_tasks_total", {"action": "unknown", "outcome": "Failed"}
    ) == 1  # fmt: skip


async def test_an_unreadable_message_goes_to_the_dead_letters_as_it_came() -> None:
    desk = Desk()
    message = Message(
        b'{"kind": "Work", "version": 9', {**HEADERS, "x-death": [{"count": 1}]}, correlation_id=TASK.uid
    )
    _, permit = await desk.take(message)
    assert (message.settled, permit.taken) == ("ack", False)
    letter, reply = desk.broker.published
    assert (letter.exchange, letter.message, letter.persistent) == (
        DEAD_LETTERS_EXCHANGE,
        message.body,
        True,
    )
    assert letter.headers[ATTEMPT_HEADER] == 2
    assert "Invalid JSON" in str(letter.headers[REASON_HEADER])
    failed = reply.message
    assert isinstance(failed, Failed)
    assert (failed.task, failed.attempt, failed.code, failed.retryable) == (
        TASK, 2, "UnreadableMessage", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "headers", [{}, {**HEADERS, ATTEMPT_HEADER: "2"}, {**HEADERS, ATTEMPT_HEADER: 0}, {ATTEMPT_HEADER: True}]
)
async def test_an_unreadable_message_about_nothing_known_is_only_buried(headers: dict[str, object]) -> None:
    desk = Desk()
    message, _ = await desk.take(Message(b"\xff", headers, message_id=None))
    assert message.settled == "ack"
    (letter,) = desk.broker.published
    assert letter.message == b"\xff"
    assert letter.message_id


async def test_a_dead_letter_that_is_not_confirmed_goes_back() -> None:
    desk = Desk()
    desk.broker.failing = [UnroutableError("no queue")]
    message = Message(b"[]")
    with pytest.raises(UnroutableError):
        await desk.take(message)
    assert message.settled == "requeue"


async def test_cancelling_before_it_began_wins() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        raise AssertionError("must not run")

    await desk.take(work())
    attempt = desk.inflight.find(TASK.uid, 1)
    assert attempt
    attempt.stop.request(StopCause.CANCELLED, "not needed")
    assert isinstance(await desk.finished(), Cancelled)


async def test_shutting_down_hands_the_work_back() -> None:
    desk = Desk()
    begun = asyncio.Event()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    await desk.take(work())
    await begun.wait()
    desk.inflight.all()[0].stop.request(StopCause.SHUTDOWN, "the agent is shut down")
    interrupted = await desk.finished()
    assert isinstance(interrupted, Interrupted)
    assert interrupted.message == "the agent is shut down"


async def test_a_thread_that_was_given_up_is_cancelled_at_once_and_keeps_its_slot() -> None:
    desk = Desk()
    begun, release = threading.Event(), threading.Event()

    @desk.agent.action("act")
    def act(ctx: Context) -> str:
        begun.set()
        release.wait(10)
        return "late"

    await desk.take(work())
    await until(begun.is_set)
    desk.inflight.all()[0].stop.request(StopCause.CANCELLED, "now", immediate=True)
    await until(lambda: desk.broker.kinds() == ["Started", "Cancelled"])
    await until(lambda: desk.worker.leftovers)
    assert desk.inflight.current() == ()
    assert desk.released == 0
    release.set()
    await until(lambda: desk.released)
    assert desk.broker.kinds() == ["Started", "Cancelled"]
    assert desk.worker.leftovers == 0


async def test_progress_goes_out_with_what_was_said_before() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> None:
        await ctx.progress(percent=12.7, message="reading")
        await until(lambda: desk.broker.all(Progressed))
        raise PermanentError("no", code="Nope")

    await desk.take(work())
    await desk.finished()
    (progress,) = desk.broker.all(Progressed)
    assert (progress.percent, progress.message) == (12, "reading")
    assert desk.broker.kinds() == ["Started", "Progressed", "Failed"]


class CodelessError(RetryableError):
    def __init__(self) -> None:
        """Without the base's."""


class UnsayableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class OddlySaidError(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


class BaseError(BaseException):
    pass


class HaltError(PermanentError):
    code = "Halt"


class Picky(BaseModel):
    n: int = 0

    @field_validator("n", mode="before")
    @classmethod
    def _check(cls, value: object) -> object:
        raise KeyError("no such tenant")


ODD = [
    (PermanentError("gone", code=404), "404", "gone", False),  # type: ignore[arg-type]
    (CodelessError(), "CodelessError", "CodelessError", True),
    (HaltError("stop"), "Halt", "stop", False),
    (UnsayableError(), "UnsayableError", "UnsayableError", True),
    (OddlySaidError(), "OddlySaidError", "OddlySaidError", True),
    (BaseError("base"), "BaseError", "base", True),
    (KeyboardInterrupt("keys"), "KeyboardInterrupt", "keys", True),
]


async def only_failure(desk: Desk) -> tuple[str, str, bool]:
    """Return what the one reply after Started says; the attempt must be over."""
    failed = await desk.finished()
    assert isinstance(failed, Failed)
    assert desk.broker.kinds() == ["Started", "Failed"]
    assert (len(desk.inflight), desk.released) == (0, 1)
    return failed.code, failed.message, failed.retryable


@pytest.mark.parametrize(("error", "code", "message", "retryable"), ODD, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("is_async", [True, False])
async def test_whatever_an_action_raises_ends_its_attempt(
    error: BaseException, code: str, message: str, retryable: bool, is_async: bool
) -> None:
    desk = Desk()

    async def coroutine(ctx: Context) -> None:
        raise error

    def function(ctx: Context) -> None:
        raise error

    desk.agent.action("act")(coroutine if is_async else function)
    await desk.take(work())
    assert await only_failure(desk) == (code, message, retryable)


async def test_a_validator_that_fails_by_itself_is_told_as_if_the_action_had() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context, payload: Picky) -> None:
        raise AssertionError("must not run")

    await desk.take(work(payload={"n": 1}))
    assert await only_failure(desk) == ("KeyError", "'no such tenant'", True)


async def test_an_action_whose_thread_cannot_be_started_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    @desk.agent.action("act")
    def act(ctx: Context) -> None:
        raise AssertionError("must not run")

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    await desk.take(work())
    code, message, retryable = await only_failure(desk)
    assert (code, retryable) == ("InternalError", True)
    assert "can't start new thread" in message


@pytest.mark.parametrize("step", ["reply_to", "encode"])
async def test_an_outcome_that_cannot_be_told_is_a_failure(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, real = Desk(), getattr(worker, step)

    @desk.agent.action("act")
    async def act(ctx: Context) -> str:
        return "unspeakable"

    def broken(what: object, **more: Any) -> object:
        if "unspeakable" in repr(what):
            raise TypeError("unforeseen")
        return real(what, **more)

    monkeypatch.setattr(worker, step, broken)
    await desk.take(work())
    code, message, retryable = await only_failure(desk)
    assert (code, retryable) == ("InternalError", True)
    assert "unforeseen" in message


async def test_what_is_wrong_while_an_outcome_is_published_does_not_lose_it() -> None:
    desk = Desk()

    @desk.agent.action("act")
    async def act(ctx: Context) -> int:
        desk.broker.failing = [RuntimeError("the transport is closed")]
        return 1

    await desk.take(work())
    assert isinstance(await desk.finished(), Succeeded)
    assert (len(desk.pauses), len(desk.inflight)) == (1, 0)


async def test_a_deadline_of_the_work_is_kept() -> None:
    desk = Desk()

    @desk.agent.action("act", grace_seconds=0)
    async def act(ctx: Context) -> None:
        await asyncio.Event().wait()

    await desk.take(work(active_deadline_seconds=0))
    failed = await desk.finished()
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retryable) == ("DeadlineExceeded", False)
