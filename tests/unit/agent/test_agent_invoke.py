"""Running an action to its end, and stopping it before."""

import asyncio
import contextlib
import functools
import gc
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harebell_agent import CancelSignal, Context, PermanentError, RetryableError
from harebell_agent.action import define
from harebell_agent.invoke import Run, Stop, invoke
from harebell_agent.logs import JsonFormatter, _current, about
from harebell_agent.outcome import Raised, Returned, StopCause, Stopped

from .support import TASK, Silent, context, until

CANCELLED = Stopped(StopCause.CANCELLED, "not needed")


class Case:
    """An action on its way."""

    def __init__(self, handler: Callable[..., Any], deadline: float | None = None, **options: Any) -> None:
        self.stop = Stop()
        made = context(Silent())
        self.context = replace(made, cancelled=self.stop.signal)
        self.task = asyncio.create_task(
            invoke(define("x", handler, **options), self.context, (), self.stop, deadline)
        )

    def cancel(self, *, immediate: bool = False) -> None:
        self.stop.request(StopCause.CANCELLED, "not needed", immediate=immediate)

    async def run(self) -> Run:
        async with asyncio.timeout(10):
            return await self.task


async def test_a_coroutine_returns() -> None:
    async def handler(ctx: Context) -> int:
        return 1

    assert await Case(handler).run() == Run(Returned(1))


async def test_a_function_runs_in_a_thread_that_knows_its_task() -> None:
    def handler(ctx: Context) -> tuple[bool, Any]:
        return threading.current_thread() is threading.main_thread(), _current.get()

    with about(TASK, 2):
        case = Case(handler)
    in_main, known = (await case.run()).ending.value  # type: ignore[union-attr]
    assert not in_main
    assert (known["task"], known["attempt"]) == ("team-a/count-words", 2)


class HaltedError(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        SystemExit(1),
        KeyboardInterrupt(),
        GeneratorExit(),
        HaltedError(),
        StopIteration(),
        asyncio.CancelledError(),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_what_a_handler_raises_is_its_ending(error: BaseException, is_async: bool) -> None:
    async def coroutine(ctx: Context) -> None:
        raise error

    def function(ctx: Context) -> None:
        raise error

    ending = (await Case(coroutine if is_async else function).run()).ending
    assert isinstance(ending, Raised)
    # Python itself turns a StopIteration that leaves a coroutine into a RuntimeError.
    assert ending.error is error or (is_async and isinstance(ending.error, RuntimeError))


def logged(caplog: pytest.LogCaptureFixture) -> list[type[BaseException] | None]:
    """Return the classes of the exceptions in the log."""
    return [r.exc_info[0] for r in caplog.records if r.exc_info]


@pytest.mark.parametrize("is_async", [True, False])
async def test_the_traceback_of_what_was_not_raised_on_purpose_is_logged(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def coroutine(ctx: Context) -> None:
        raise ValueError("x")

    def function(ctx: Context) -> None:
        raise ValueError("x")

    handler = coroutine if is_async else function
    await Case(handler).run()
    assert logged(caplog) == [ValueError]
    line = JsonFormatter().format(caplog.records[0])
    assert f"in {handler.__name__}" in json.loads(line)["error"]


@pytest.mark.parametrize("error", [PermanentError("gone"), RetryableError("busy")])
@pytest.mark.parametrize("is_async", [True, False])
async def test_what_was_raised_on_purpose_has_no_traceback(
    error: Exception, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def coroutine(ctx: Context) -> None:
        raise error

    def function(ctx: Context) -> None:
        raise error

    await Case(coroutine if is_async else function).run()
    assert logged(caplog) == []


@pytest.mark.parametrize("fails", [True, False])
async def test_a_failure_to_clean_up_is_logged_though_the_stop_counts(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    begun = asyncio.Event()

    async def handler(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            if fails:
                raise OSError("no disk")

    case = Case(handler)
    await begun.wait()
    case.cancel()
    assert await case.run() == Run(CANCELLED)
    assert logged(caplog) == [OSError] * fails


async def test_a_cancellation_that_nobody_asked_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(ctx: Context) -> None:
        raise asyncio.CancelledError

    await Case(handler).run()
    assert logged(caplog) == [asyncio.CancelledError]


async def test_a_coroutine_told_to_stop_is_cancelled_and_may_clean_up() -> None:
    begun, cleaned = asyncio.Event(), []

    async def handler(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(ctx.cancel_reason)

    case = Case(handler)
    await begun.wait()
    case.cancel()
    assert await case.run() == Run(CANCELLED)
    assert cleaned == ["not needed"]


async def test_a_coroutine_that_will_not_stop_is_given_up_after_its_grace_period() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def handler(ctx: Context) -> str:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    case = Case(handler, grace_seconds=0.01)
    await begun.wait()
    case.cancel()
    run = await case.run()
    assert run.ending == CANCELLED
    assert run.leftover is not None
    release.set()
    assert await run.leftover == CANCELLED


async def test_a_cooperative_coroutine_sees_the_wish_and_is_not_cancelled() -> None:
    begun, noticed = asyncio.Event(), []

    async def handler(ctx: Context) -> None:
        begun.set()
        await ctx.cancelled.wait()
        await asyncio.sleep(0)
        noticed.append(bool(ctx.cancelled))

    case = Case(handler, cooperative=True)
    await begun.wait()
    case.cancel()
    assert await case.run() == Run(CANCELLED)
    assert noticed == [True]


async def test_a_thread_told_to_stop_may_notice() -> None:
    begun = threading.Event()

    def handler(ctx: Context) -> bool:
        begun.set()
        return ctx.cancelled.block(10)

    case = Case(handler)
    await asyncio.to_thread(begun.wait)
    case.cancel()
    assert await case.run() == Run(CANCELLED)


async def test_a_coroutine_cannot_block_until_it_is_told_to_stop() -> None:
    async def handler(ctx: Context) -> None:
        ctx.cancelled.block(0.1)

    ending = (await Case(handler).run()).ending
    assert isinstance(ending, Raised)
    assert isinstance(ending.error, RuntimeError)
    assert "await" in str(ending.error)


async def test_a_thread_with_a_loop_of_its_own_may_block_in_it() -> None:
    def handler(ctx: Context) -> bool:
        async def inner() -> bool:
            return ctx.cancelled.block(0)

        return asyncio.run(inner())

    assert await Case(handler).run() == Run(Returned(False))


def test_a_signal_may_be_made_without_a_loop() -> None:
    assert not CancelSignal().block(0)


def plainly_wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """As a decorator does that knows nothing of coroutines."""

    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


async def test_a_coroutine_function_in_a_plain_wrapper_runs_on_the_loop() -> None:
    @plainly_wrapped
    async def handler(ctx: Context) -> bool:
        await asyncio.sleep(0)
        return threading.current_thread() is threading.main_thread()

    assert await Case(handler).run() == Run(Returned(True))


async def test_what_a_wrapped_coroutine_raises_is_its_ending() -> None:
    @plainly_wrapped
    async def handler(ctx: Context) -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    ending = (await Case(handler).run()).ending
    assert isinstance(ending, Raised)
    assert isinstance(ending.error, SystemExit)


async def test_a_wrapped_coroutine_is_stopped_as_any_other() -> None:
    begun, cleaned = asyncio.Event(), []

    @plainly_wrapped
    async def handler(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(ctx.cancel_reason)

    case = Case(handler)
    await begun.wait()
    case.cancel()
    assert await case.run() == Run(CANCELLED)
    assert cleaned == ["not needed"]


@pytest.mark.parametrize("wrapped", [True, False])
async def test_what_a_coroutine_returns_is_not_awaited(wrapped: bool) -> None:
    inner = asyncio.get_running_loop().create_future()

    async def handler(ctx: Context) -> Any:
        return inner

    ending = (await Case(plainly_wrapped(handler) if wrapped else handler).run()).ending
    assert ending == Returned(inner)


async def test_a_wrapped_coroutine_has_what_is_left_of_its_deadline() -> None:
    @plainly_wrapped
    async def handler(ctx: Context) -> None:
        await asyncio.Event().wait()

    ending = (await Case(handler, deadline=0.05).run()).ending
    assert isinstance(ending, Stopped)
    assert ending.cause is StopCause.DEADLINE


@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.filterwarnings("error")
async def test_a_wrapped_coroutine_is_not_begun_after_it_was_told_to_stop(resumable: bool) -> None:
    entered, ran = threading.Event(), []

    async def coroutine(ctx: Context) -> None:
        ran.append(1)

    def handler(ctx: Context) -> Any:
        entered.set()
        ctx.cancelled.block(10)
        return coroutine(ctx)

    case = Case(handler, resumable=resumable)
    await asyncio.to_thread(entered.wait)
    case.stop.request(StopCause.SHUTDOWN, "shut down")
    assert await case.run() == Run(Stopped(StopCause.SHUTDOWN, "shut down"))
    assert not ran
    gc.collect()


async def test_a_graceful_wish_can_become_an_immediate_one() -> None:
    begun, release = threading.Event(), threading.Event()

    def handler(ctx: Context) -> None:
        begun.set()
        release.wait(10)

    case = Case(handler, grace_seconds=3600)
    await asyncio.to_thread(begun.wait)
    case.cancel()
    await asyncio.sleep(0)
    assert not case.task.done()
    case.cancel(immediate=True)
    run = await case.run()
    release.set()
    assert run.ending == CANCELLED
    assert run.leftover is not None
    await run.leftover


async def test_an_outcome_that_was_there_first_wins() -> None:
    done = asyncio.Event()

    async def handler(ctx: Context) -> str:
        done.set()
        return "in time"

    case = Case(handler)
    await done.wait()
    case.cancel()
    assert await case.run() == Run(Returned("in time"))


async def test_a_deadline_stops_it_and_a_later_cancellation_changes_nothing() -> None:
    async def handler(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            case.cancel()

    case = Case(handler, deadline=0.01)
    ending = (await case.run()).ending
    assert isinstance(ending, Stopped)
    assert (ending.cause, ending.reason) == (StopCause.DEADLINE, "the action ran longer than 0.01 s")


@pytest.mark.parametrize("told_before", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_shutdown_leaves_less_time_also_to_what_is_stopping_already(
    told_before: bool, is_async: bool
) -> None:
    begun, release = threading.Event(), threading.Event()

    async def coroutine(ctx: Context) -> None:
        begun.set()
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    def function(ctx: Context) -> None:
        begun.set()
        release.wait(10)

    case = Case(coroutine if is_async else function, grace_seconds=3600)
    try:
        await until(begun.is_set)
        if told_before:
            case.cancel()
            await asyncio.sleep(0)
        case.stop.request(StopCause.SHUTDOWN, "shut down", within_seconds=0.01)
        run = await case.run()
    finally:
        release.set()
    assert run.ending == (CANCELLED if told_before else Stopped(StopCause.SHUTDOWN, "shut down"))
    assert run.leftover is not None
    run.leftover.cancel()


async def test_a_short_grace_period_is_not_made_longer_by_a_shutdown() -> None:
    begun, release = threading.Event(), threading.Event()

    def function(ctx: Context) -> None:
        begun.set()
        release.wait(10)

    case = Case(function, grace_seconds=0.01)
    try:
        await until(begun.is_set)
        case.stop.request(StopCause.SHUTDOWN, "shut down", within_seconds=3600)
        assert (await case.run()).leftover is not None
    finally:
        release.set()


async def test_a_thread_with_a_loop_of_its_own_waits_there_to_be_told() -> None:
    waiting = threading.Event()

    def handler(ctx: Context) -> None:
        async def action() -> None:
            asyncio.get_running_loop().call_soon(waiting.set)
            await ctx.cancelled.wait()

        asyncio.run(action())

    case = Case(handler)
    await until(waiting.is_set)
    case.cancel()
    assert await case.run() == Run(CANCELLED)


async def test_of_a_group_counts_what_is_permanent_or_all_there_is() -> None:
    async def fail(error: Exception) -> None:
        raise error

    async def ended(*errors: Exception) -> BaseException:
        async def handler(ctx: Context) -> None:
            async with asyncio.TaskGroup() as group:
                for error in errors:
                    group.create_task(fail(error))

        ending = (await Case(handler).run()).ending
        assert isinstance(ending, Raised)
        return ending.error

    permanent, retryable, other = PermanentError("wrong"), RetryableError("busy"), KeyError("x")
    assert await ended(permanent) is permanent
    assert await ended(other, permanent) is permanent
    assert await ended(retryable) is retryable
    assert isinstance(await ended(retryable, other), ExceptionGroup)
