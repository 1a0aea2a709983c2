"""The command line: finds the agent, reads the settings, runs."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import uvloop

from harebell_bus.errors import UnsupportedBrokerError

from . import __version__, logs
from .agent import Agent
from .errors import SettingsError
from .runtime import Runtime
from .settings import BUILT_IN, Settings, from_environment

logger = logging.getLogger(__name__)

_ABOUT = """Run a harebell agent: take Tasks of its type from RabbitMQ, and work on them.

Settings come from the environment (see the table in agent-image/README.md); HAREBELL_AMQP_URL or
HAREBELL_AMQP_URL_FILE is required. The options here override it."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the agent that the command line and the environment name, and exit: 0, 1 fatal, 2 settings."""
    parser = argparse.ArgumentParser(
        "harebell-agent", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--type", help="agent type (HAREBELL_AGENT_TYPE)")
    parser.add_argument("--id", help="agent id (HAREBELL_AGENT_ID; default: the Pod's or the host's name)")
    parser.add_argument(
        "--module",
        help="module:attribute of an Agent, or of a function that takes the settings and returns one "
        f"(HAREBELL_AGENT_MODULE; default: {BUILT_IN})",
    )
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(argv)
    run_agent(
        None,
        {
            "HAREBELL_AGENT_TYPE": options.type,
            "HAREBELL_AGENT_ID": options.id,
            "HAREBELL_AGENT_MODULE": options.module,
        },
    )
    sys.exit(0)


def run_agent(agent: Agent | None, overrides: dict[str, str | None] | None = None) -> None:
    """Run ``agent``, or the one the settings name, until told to stop.

    :raises SystemExit: 2 when the settings are wrong, 1 when the agent cannot go on.
    """

    async def run() -> None:
        settings = from_environment(os.environ, overrides or {})
        logs.configure(settings.log_level)
        await Runtime(agent or find(settings), settings).run()

    try:
        uvloop.run(run())
    except SettingsError as error:
        print(f"harebell-agent: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except UnsupportedBrokerError as error:
        print(f"harebell-agent: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def find(settings: Settings) -> Agent:
    """Import the agent the settings name. :raises SettingsError: it is not there, or is no agent."""
    name = settings.module
    module_name, _, attribute = name.partition(":")
    nothing_there = SettingsError(
        f"HAREBELL_AGENT_MODULE: {name!r} names no attribute of a module; write it as module:attribute"
    )
    if not (module_name and attribute) or module_name.startswith("."):
        raise nothing_there
    # As python itself does for a script: what lies in the working directory can be imported.
    if "" not in sys.path and str(os.getcwd()) not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that the agent's own module misses is a fault of its own, told with its traceback.
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise
        raise SettingsError(f"HAREBELL_AGENT_MODULE: there is no module {module_name!r}") from None
    # Apart from the import: what the agent's own module raises says what is wrong with it.
    try:
        found: object = getattr(module, attribute)
    except AttributeError:
        raise nothing_there from None
    if isinstance(found, Agent):
        return found
    if callable(found):
        make: Callable[[Settings], object] = found
        made = make(settings)
        if isinstance(made, Agent):
            return made
    raise SettingsError(f"HAREBELL_AGENT_MODULE: {name!r} is not an Agent, and does not return one")
