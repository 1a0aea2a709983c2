"""An agent with an action that will not stop, which notices within seconds that it takes no work."""

import os
import time
from functools import partial
from pathlib import Path
from unittest import mock

from harebell_agent import Agent, Context, listening, session
from harebell_bus.claim import Lanes

mock.patch.object(listening, "FRESH_SECONDS", 3.0).start()
mock.patch.object(session, "Lanes", partial(Lanes, check_seconds=0.5)).start()

agent = Agent()


@agent.action("cling")
def cling(ctx: Context) -> None:
    """Go on, whatever is asked, until the file is there that ``LETS_GO`` names."""
    while not Path(os.environ["LETS_GO"]).exists():
        time.sleep(0.05)
