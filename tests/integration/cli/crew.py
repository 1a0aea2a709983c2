"""An agent whose actions end as a test wants them to."""

import time
from pathlib import Path
from typing import Any

from harebell_agent import Agent, Context, PermanentError, RetryableError

agent = Agent()


@agent.action("tell")
def tell(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
    """Return what it was given."""
    return {"payload": payload, "inputs": dict(ctx.inputs)}


@agent.action("at-last")
def at_last(ctx: Context) -> int:
    """Fail the first time, with words that would make a terminal bold."""
    if ctx.attempt == 1:
        raise RetryableError("not \x1b[1m yet")
    return ctx.attempt


@agent.action("fail")
def fail(ctx: Context) -> None:
    """Fail for good."""
    raise PermanentError("as asked", code="Asked")


@agent.action("hold")
def hold(ctx: Context, payload: dict[str, Any]) -> str:
    """Run until the file at ``payload.path`` exists."""
    while not Path(payload["path"]).exists() and not ctx.cancelled:
        time.sleep(0.05)
    return "held"
