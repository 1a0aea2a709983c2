"""``sleep``: takes its time, and says how far it is. For demonstrations and tests."""

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


async def sleep(ctx: Context, payload: SleepPayload) -> SleepResult:
    """Sleep, reporting progress every second."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    while (slept := clock() - begun) < payload.seconds:
        await ctx.progress(
            percent=100 * slept / payload.seconds, message=f"{slept:.0f} of {payload.seconds:g} s"
        )
        await asyncio.sleep(min(1.0, payload.seconds - slept))
    return SleepResult(slept_seconds=round(slept, 3))
