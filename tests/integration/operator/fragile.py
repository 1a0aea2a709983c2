"""An agent whose process dies of some of its work. To be run, not to be imported."""

import asyncio
import os
import signal
from pathlib import Path
from unittest.mock import patch

from harebell_agent import Agent, Context, PermanentError, RetryableError, worker
from harebell_bus.codec import decode_work
from harebell_bus.envelopes import Work

agent = Agent()


def die() -> None:
    """End the process as the kernel does when memory runs out: with no chance to say anything."""
    os.kill(os.getpid(), signal.SIGKILL)


@agent.action("fine")
async def fine(ctx: Context) -> str:
    return "done"


@agent.action("deadly")
async def deadly(ctx: Context, payload: dict[str, str]) -> str:
    """Kill the process, until the file ``cure`` exists."""
    if not await asyncio.to_thread(Path(payload["cure"]).exists):
        die()
    return "cured"


@agent.action("curable")
async def curable(ctx: Context, payload: dict[str, str]) -> str:
    """Fail until the file ``cure`` exists."""
    if not await asyncio.to_thread(Path(payload["cure"]).exists):
        raise RetryableError("not yet", code="Ill")
    return "cured"


@agent.action("hopeless")
async def hopeless(ctx: Context) -> None:
    raise PermanentError("there is no such account", code="NoSuchAccount")


@agent.action("stuck-at-first")
async def stuck_at_first(ctx: Context) -> int:
    if ctx.attempt == 1:
        await asyncio.sleep(3600)
    return ctx.attempt


# ---- before anybody knows what it is -----------------------------------------------------------------


def _read(body: bytes) -> Work:
    """Die of work that says so before anybody knows what it is, as of a fault in a parser."""
    work = decode_work(body)
    if work.payload.get("fatal"):
        die()
    return work


patch.object(worker, "decode_work", _read).start()
