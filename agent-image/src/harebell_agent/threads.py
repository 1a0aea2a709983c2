"""Running a plain function in a thread of its own.

Not in an executor: its threads are waited for at exit, so one action that never returns would keep the
process from ending. These are daemon threads; how many there are is bounded by the agent's slots.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if there is one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def refuse_to_block(loop: asyncio.AbstractEventLoop | None) -> None:
    """Fail on ``loop``: who blocks there waits for what only the loop can bring.

    :raises RuntimeError: it runs in this thread. A thread may have a loop of its own, and may block that.
    """
    if loop is not None and running_loop() is loop:
        raise RuntimeError("in a coroutine, await it; block() is for threads")


async def on_loop(loop: asyncio.AbstractEventLoop | None, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine of ``loop`` returns, from whichever loop: a thread may have one of its own."""
    if loop is None or running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def in_thread(function: Callable[[], _T], name: str) -> "asyncio.Future[_T]":
    """Start ``function`` in a thread with the caller's context; return the future of what it returns.

    The thread cannot be stopped: cancelling the future only stops waiting for it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: _T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: _T | None = None
        error: BaseException | None = None
        try:
            result = context.run(function)
        except StopIteration as stop:
            # A future cannot hold one.
            error = RuntimeError(f"StopIteration: {stop}")
        except BaseException as raised:  # noqa: BLE001  (delivered to whoever waits)
            error = raised
        # The loop may be gone: the process is ending and nobody waits for this thread.
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
