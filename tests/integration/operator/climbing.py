"""An agent whose actions take steps, save each, and wait at one of them for a gate to open.

``GATE`` names a file: while it does not exist, they wait. The result says at which step the attempt began.
"""

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel

from harebell_agent import Agent, Context

agent = Agent()


class Stairs(BaseModel):
    """What there is to climb."""

    steps: int = 5
    waits_at: int = 3
    completes: bool = False
    """Whether it finishes all the same when it is told to stop."""


def _is_open() -> bool:
    return Path(os.environ["GATE"]).exists()


@agent.action("walk")
@agent.action("jump", idempotent=False)
@agent.action("climb", resumable=True, idempotent=False)
async def climb(ctx: Context, payload: Stairs) -> dict[str, int]:
    """Take all steps, or go on from the last one that was saved."""
    begins_at: int = (ctx.resume_from or {"step": 0})["step"]
    for step in range(begins_at + 1, payload.steps + 1):
        await ctx.checkpoint({"step": step})
        if step == payload.waits_at:
            try:
                while not _is_open():  # noqa: ASYNC110  (a file has no event)
                    await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                # A half step more while it stops: the last checkpoint before the outcome.
                ctx.checkpoint({"step": step, "stopping": ctx.cancel_reason})
                if not payload.completes:
                    raise
    return {"began_at": begins_at, "attempt": ctx.attempt}
