"""``sleep``: takes its time, says how far it is, and goes on from there. For demonstrations and tests."""

import asyncio
from typing import Annotated

from pydantic import Field

from harebell_agent.context import Context

from .model import Model


class SleepPayload(Model):
    """How long to sleep."""

    seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


class SleepResult(Model):
    """How long it slept."""

    slept_seconds: float


class SleepCheckpoint(Model):
    """How long it has slept."""

    slept_seconds: float


async def sleep(ctx: Context, payload: SleepPayload) -> SleepResult:
    """Sleep, over all attempts together, reporting and saving progress every second."""
    clock = asyncio.get_running_loop().time
    saved = SleepCheckpoint.model_validate(ctx.resume_from or {"sleptSeconds": 0})
    begun = clock() - saved.slept_seconds
    try:
        while (slept := clock() - begun) < payload.seconds:
            await ctx.progress(
                percent=100 * slept / payload.seconds, message=f"{slept:.0f} of {payload.seconds:g} s"
            )
            ctx.checkpoint(SleepCheckpoint(slept_seconds=round(slept, 3)))
            await asyncio.sleep(min(1.0, payload.seconds - slept))
    except asyncio.CancelledError:
        ctx.checkpoint(SleepCheckpoint(slept_seconds=round(clock() - begun, 3)))
        raise
    return SleepResult(slept_seconds=round(slept, 3))
