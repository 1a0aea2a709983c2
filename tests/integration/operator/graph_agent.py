"""An agent for graphs of Tasks: what it returns tells what it was given."""

import os
import time
from pathlib import Path
from typing import Any

from harebell_agent import Agent, Context, PermanentError, RetryableError

agent = Agent()


@agent.action("tell")
def tell(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload's value and the inputs, and leave a mark in the file that ``DIARY`` names."""
    _note(ctx)
    return {"value": payload.get("value"), "inputs": dict(ctx.inputs), "attempt": ctx.attempt}


@agent.action("count")
def count(ctx: Context) -> int:
    """Return the length of the longest chain that ends here, and leave a mark as ``tell`` does."""
    _note(ctx)
    return 1 + max(ctx.inputs.values(), default=0)


@agent.action("tell-at-last")
def tell_at_last(ctx: Context) -> dict[str, Any]:
    """Fail the first time."""
    if ctx.attempt == 1:
        raise RetryableError("not yet")
    return {"inputs": dict(ctx.inputs), "attempt": ctx.attempt}


@agent.action("fail")
def fail(ctx: Context) -> None:
    """Fail for good."""
    raise PermanentError("as asked", code="Asked")


@agent.action("gate")
def gate(ctx: Context, payload: dict[str, Any]) -> None:
    """Run until the file at ``payload.path`` exists."""
    while not Path(payload["path"]).exists() and not ctx.cancelled:
        time.sleep(0.05)


def _note(ctx: Context) -> None:
    with Path(os.environ["DIARY"]).open("a") as diary:
        diary.write(f"{ctx.task.name}\n")
