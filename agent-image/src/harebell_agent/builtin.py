"""The agent that runs where none is named: the built-in actions, and ``command`` where any is allowed."""

from .actions.command import command_action, repeatable
from .actions.echo import echo
from .actions.probe import probe
from .actions.sleep import sleep
from .actions.text import stats
from .agent import Agent
from .settings import Settings


def build(settings: Settings) -> Agent:
    """Return the built-in agent."""
    agent = Agent()
    agent.action("echo")(echo)
    agent.action("http.probe")(probe)
    agent.action("sleep", resumable=True)(sleep)
    agent.action("text.stats")(stats)
    if settings.command_allow:
        allowed = settings.command_allow
        agent.action("command", idempotent=repeatable(allowed))(command_action(allowed))
    return agent
