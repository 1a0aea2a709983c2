"""An agent whose work leaves a mark for each time that it was done."""

import os
import time
from pathlib import Path

from harebell_agent import Agent, Context

agent = Agent()


@agent.action("note")
def note(ctx: Context) -> None:
    """Add the Task's name to the file that ``DIARY`` names."""
    with Path(os.environ["DIARY"]).open("a") as diary:
        diary.write(f"{ctx.task.name}\n")


@agent.action("hold")
def hold(ctx: Context) -> None:
    """Keep the agent busy until the Task is cancelled."""
    while not ctx.cancelled:
        time.sleep(0.05)


@agent.action("until")
def until(ctx: Context, payload: dict[str, str]) -> None:
    """Add the Task's name to the file, and go on until the file ``told`` exists."""
    note(ctx)
    while not ctx.cancelled and not Path(payload["told"]).exists():
        time.sleep(0.5)
