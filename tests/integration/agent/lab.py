"""An agent of a user, as the broker tests run it."""

import asyncio
import multiprocessing
import time
from typing import Any

from harebell_agent import Agent, Context

agent = Agent()


@agent.action("quick")
async def quick(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    return payload


@agent.action("slow")
async def slow(ctx: Context, payload: dict[str, float]) -> str:
    for step in range(100):
        await ctx.progress(percent=step, message="going on")
        await asyncio.sleep(payload["seconds"] / 100)
    return "done"


@agent.action("saving", resumable=True)
async def saving(ctx: Context, payload: dict[str, float]) -> str:
    ends = time.monotonic() + payload["seconds"]
    while time.monotonic() < ends:
        await ctx.checkpoint({"until": ends})
        await asyncio.sleep(0.2)
    return "done"


@agent.action("blocking")
def blocking(ctx: Context, payload: dict[str, float]) -> str:
    ends = time.monotonic() + payload["seconds"]
    while time.monotonic() < ends and not ctx.cancelled:
        time.sleep(0.02)
    return "done"


@agent.action("stubborn")
def stubborn(ctx: Context, payload: dict[str, float]) -> str:
    time.sleep(payload["seconds"])
    return "done"


@agent.action("clinging", grace_seconds=120)
def clinging(ctx: Context, payload: dict[str, float]) -> str:
    ctx.cancelled.block()
    ctx.logger.info("told to stop, and not stopping")
    time.sleep(payload["seconds"])
    return "done"


@agent.action("handing.over")
async def handing_over(ctx: Context, payload: dict[str, float]) -> None:
    await asyncio.to_thread(time.sleep, payload["seconds"])


@agent.action("forking")
def forking(ctx: Context, payload: dict[str, float]) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=[payload["seconds"]])
    process.start()
    process.terminate()
    process.join()
    return process.exitcode
