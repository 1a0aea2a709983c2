"""The SDK people write agents with, and the built-in agent.

::

    agent = Agent(type="text")

    @agent.action("text.shout")
    async def shout(ctx: Context, payload: Shout) -> dict[str, str]:
        return {"text": payload.text.upper()}

    if __name__ == "__main__":
        agent.run()
"""

__version__ = "0.1.0"

from harebell_bus.envelopes import Announcement

from .agent import Agent
from .checkpoints import Saved
from .context import CancelSignal, Context
from .errors import PermanentError, RetryableError, UnfinishedError

__all__ = [
    "Agent",
    "Announcement",
    "CancelSignal",
    "Context",
    "PermanentError",
    "RetryableError",
    "Saved",
    "UnfinishedError",
    "__version__",
]
