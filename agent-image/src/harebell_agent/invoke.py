"""Runs one action to its end, its deadline or until it is told to stop, whichever comes first.

The rule: what the handler returns or raises counts if it ended before it was told to stop; afterwards the
ending is the stop, whatever the handler still does. With one exception: where the work is to be handed back,
what a resumable action returns within its grace period counts. It raises if it has not finished.

======================  ==================================================  ==============================
told to stop            coroutine                                           thread
======================  ==================================================  ==============================
gracefully, a deadline, ``ctx.cancelled`` set and cancelled; may clean up   ``ctx.cancelled`` set; given
shutdown or suspension  for the grace period                                up after the grace period
immediately             cancelled and not waited for                        given up at once
======================  ==================================================  ==============================
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any

from .action import Action, Handler
from .context import CancelSignal, Context
from .errors import TaskError
from .outcome import Ending, Raised, Returned, StopCause, Stopped, decisive
from .threads import in_thread

logger = logging.getLogger(__name__)


class Stop:
    """The wish to stop an action. The first cause stands; a later wish may only be more urgent."""

    def __init__(self) -> None:
        self.signal = CancelSignal()
        self.immediate = asyncio.Event()
        self._stopped: Stopped | None = None

    @property
    def stopped(self) -> Stopped | None:
        """Why, once there is a wish."""
        return self._stopped

    def request(
        self,
        cause: StopCause,
        reason: str,
        *,
        immediate: bool = False,
        within_seconds: float | None = None,
    ) -> None:
        """Wish it. On the event loop only.

        :param immediate: do not wait for the action any more.
        :param within_seconds: wait for it as long at most, whatever its own grace period, also one that is
            running already.
        """
        if self._stopped is None:
            self._stopped = Stopped(cause, reason)
        if immediate:
            self.immediate.set()
        elif within_seconds is not None:
            asyncio.get_running_loop().call_later(within_seconds, self.immediate.set)
        self.signal.set(reason)


@dataclass(frozen=True)
class Run:
    """An action that ended, or was given up."""

    ending: Ending
    leftover: "asyncio.Future[Ending] | None" = None
    """What still runs of an action that was given up."""


async def invoke(
    action: Action,
    context: Context,
    arguments: tuple[Any, ...],
    stop: Stop,
    deadline_seconds: float | None = None,
) -> Run:
    """Run the action until it has ended, or is not waited for any more."""
    if stop.stopped:
        return Run(replace(stop.stopped, begun=False))
    clock = asyncio.get_running_loop().time
    begun = clock()
    running = _start(action, context, arguments, stop)
    on_loop = action.is_async
    stopping = asyncio.ensure_future(stop.signal.wait())
    urgent = asyncio.ensure_future(stop.immediate.wait())
    try:
        waited: set[asyncio.Future[Any]] = {running, stopping}
        await asyncio.wait(waited, timeout=deadline_seconds, return_when=asyncio.FIRST_COMPLETED)
        rest = None if on_loop else _unawaited(running)
        if rest is not None and stop.stopped is None:
            running, rest, on_loop = asyncio.ensure_future(_coroutine(action, stop, _same, rest)), None, True
            waited = {running, stopping}
            left = None if deadline_seconds is None else max(0.0, begun + deadline_seconds - clock())
            await asyncio.wait(waited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if running.done() and rest is None:
            return Run(running.result())
        if stop.stopped is None:
            stop.request(StopCause.DEADLINE, f"the action ran longer than {deadline_seconds:g} s")
        assert stop.stopped is not None
        if on_loop and not action.cooperative:
            running.cancel()
        waited = {running, urgent}
        await asyncio.wait(waited, timeout=action.grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        if running.cancelled():  # Before its first step.
            return Run(replace(stop.stopped, begun=False))
        rest = None if on_loop else _unawaited(running)
        if rest is not None:  # It is not begun any more.
            if inspect.iscoroutine(rest):
                rest.close()
            return Run(stop.stopped)
        if running.done():
            return Run(running.result())
        if on_loop:
            running.cancel()
        return Run(stop.stopped, leftover=running)
    except asyncio.CancelledError:
        running.cancel()
        raise
    finally:
        stopping.cancel()
        urgent.cancel()


def _start(
    action: Action, context: Context, arguments: tuple[Any, ...], stop: Stop
) -> "asyncio.Future[Ending]":
    """Start the handler; its exceptions become endings, so the future never fails.

    Whether it was told to stop is looked at when it ends, not when somebody sees that it has.
    """

    def function() -> Ending:
        try:
            ending: Ending = Returned(action.handler(context, *arguments))
        except BaseException as error:  # noqa: BLE001
            ending = _raised(error, action, stop)
        # What is still to be awaited has not ended yet.
        unawaited = isinstance(ending, Returned) and inspect.isawaitable(ending.value)
        return ending if unawaited else _counting(ending, action, stop.stopped)

    if action.is_async:
        return asyncio.ensure_future(_coroutine(action, stop, action.handler, context, *arguments))
    return in_thread(function, name=f"action {action.name}")


async def _coroutine(action: Action, stop: Stop, call: Handler, *arguments: Any) -> Ending:
    try:
        ending: Ending = Returned(await call(*arguments))
    # Whatever it is: an action must not be able to end the agent. A cancellation is ours, and then it was
    # told to stop or nobody waits for it, or the handler did it to itself, and then it failed.
    except BaseException as error:  # noqa: BLE001
        ending = _raised(error, action, stop)
    return _counting(ending, action, stop.stopped)


def _same(rest: Awaitable[Any]) -> Awaitable[Any]:
    return rest


def _unawaited(running: "asyncio.Future[Ending]") -> Awaitable[Any] | None:
    """Return what a plain function returned and is still to be awaited: that of a decorator, say, which knows
    nothing of the coroutine function that it wraps."""
    if not running.done():
        return None
    ending = running.result()
    return ending.value if isinstance(ending, Returned) and inspect.isawaitable(ending.value) else None


def _raised(error: BaseException, action: Action, stop: Stop) -> Raised:
    """Log what a handler raised, with the traceback, unless it did so on purpose: a reply has only the text,
    and not even that where a stop counts."""
    told = stop.stopped is not None and isinstance(error, asyncio.CancelledError)
    if not (told or isinstance(error, TaskError)):
        logger.error("action %s raised %s", action.name, type(error).__name__, exc_info=error)
    return Raised(decisive(error))


def _counting(ending: Ending, action: Action, stopped: Stopped | None) -> Ending:
    """Return what counts of how the handler ended, and of the wish that it stop."""
    if stopped is None:
        return ending
    completed = isinstance(ending, Returned) and action.resumable and stopped.cause.hands_back
    return ending if completed else stopped
