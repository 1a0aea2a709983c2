"""What an action is given: which Task it works on, and how to speak about it while it does."""

import asyncio
import threading
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass, field
from logging import Logger, LoggerAdapter
from types import MappingProxyType
from typing import Any, Protocol

from harebell_bus.envelopes import TaskRef

from .checkpoints import Saved
from .threads import on_loop, refuse_to_block, running_loop


class CancelSignal:
    """Tells an action that it should stop. Readable from coroutines and from threads."""

    def __init__(self) -> None:
        self._in_threads = threading.Event()
        self._in_loop = asyncio.Event()
        self._loop = running_loop()
        self._reason: str | None = None

    def set(self, reason: str) -> None:
        """Ask the action to stop. Called by the agent, on its event loop."""
        if not self._in_threads.is_set():
            self._reason = reason
            self._in_threads.set()
            self._in_loop.set()

    @property
    def reason(self) -> str | None:
        """Why the action should stop; None while it need not."""
        return self._reason

    def is_set(self) -> bool:
        """Whether the action should stop."""
        return self._in_threads.is_set()

    def __bool__(self) -> bool:
        return self.is_set()

    async def wait(self) -> None:
        """Wait, in a coroutine, until the action should stop."""
        await on_loop(self._loop, self._in_loop.wait())

    def block(self, timeout: float | None = None) -> bool:
        """Wait, in a thread, up to ``timeout`` seconds; return whether the action should stop.

        :raises RuntimeError: this is a coroutine of the agent's event loop, which would hang meanwhile.
        """
        refuse_to_block(self._loop)
        return self._in_threads.wait(timeout)


class ProgressSink(Protocol):
    """Where progress goes."""

    def report(self, percent: float | None, message: str | None) -> None:
        """Take a report; from any thread."""


class CheckpointSink(Protocol):
    """Where checkpoints go."""

    def save(self, data: Any) -> Saved:
        """Take a checkpoint; from any thread."""


class Reported:
    """What :meth:`Context.progress` returns. Awaiting it lets other coroutines run; a thread ignores it."""

    def __await__(self) -> Generator[None, None, None]:
        return asyncio.sleep(0).__await__()


@dataclass(frozen=True)
class Context:
    """One attempt at a Task, as its action sees it."""

    task: TaskRef
    attempt: int
    """1 for the first."""
    logger: "Logger | LoggerAdapter[Logger]"
    """Log lines carry the Task and the attempt; so do those of any other logger used in the action."""
    cancelled: CancelSignal
    _progress: ProgressSink = field(repr=False)
    _checkpoints: CheckpointSink = field(repr=False)
    resume_from: Any = None
    """The newest checkpoint of earlier attempts, as JSON types; None: begin at the beginning."""
    inputs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Results of the Tasks in ``spec.dependsOn``, by name; None for one that did not succeed."""

    @property
    def cancel_reason(self) -> str | None:
        """Why the action should stop; None while it need not."""
        return self.cancelled.reason

    def progress(self, percent: float | None = None, message: str | None = None) -> Awaitable[None]:
        """Say how far the action has come: ``percent`` 0 to 100, ``message`` up to 1024 characters.

        Cheap, and callable as often as one likes: at most about two reports a second are sent, the newest
        wins, and what is not given keeps its last value. ``await`` it in a coroutine; call it plainly in a
        synchronous action.
        """
        self._progress.report(percent, message)
        return Reported()

    def checkpoint(self, data: Any) -> Saved:
        """Save ``data``: anything with a form in JSON, at most 32 KiB, from which a later attempt can go on.

        Called plainly, in a coroutine or a thread, it notes the data as it is now; the newest is sent every
        two seconds at most, and before the outcome. ``await`` it, or ``.block()`` in a thread, to have it
        sent at once and to go on when the broker has it: then it outlives this process. None stands for the
        beginning.

        :raises PermanentError: code ``CheckpointTooLarge`` or ``InvalidCheckpoint``; or ``AttemptOver`` in an
            action that was given up.
        """
        return self._checkpoints.save(data)
