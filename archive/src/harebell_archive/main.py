"""The composition root: archives until told to stop, or applies migrations."""

import argparse
import asyncio
import logging
import os
import sys
from datetime import UTC, datetime
from uuid import uuid4

import uvloop

from harebell_bus.envelopes import AgentRef
from harebell_bus.errors import UnsupportedBrokerError
from harebell_bus.link import Link
from harebell_bus.process import JsonFormatter, configure_logging, until_told

from . import settings as environment
from .archiver import Archiver
from .database import connected
from .errors import DatabaseUnavailableError
from .migrate import Phase, migrate
from .report import Reporter
from .settings import DatabaseSettings, Settings, SettingsError
from .state import State
from .web import serve

logger = logging.getLogger(__name__)

QUIET = {"aiormq": logging.WARNING, "aio_pika": logging.WARNING}


async def run(settings: Settings) -> None:
    """Serve probes and metrics, and archive, until cancelled."""
    state = State()
    reporter = Reporter(state, AgentRef(id=settings.identity, instance=uuid4().hex), _now)
    archiver = Archiver(
        Link(settings.broker, settings.identity),
        settings.database,
        settings.retention_days,
        state,
        _now,
        reporter,
    )
    web = await serve(settings.port, state)
    try:
        await archiver.run()
    finally:
        await web.cleanup()


async def apply_migrations(settings: DatabaseSettings) -> None:
    """Apply every migration that is pending, those that take away too."""
    async with connected(settings.url()) as connection:
        done = await migrate(connection, set(Phase))
    logger.info("%d migrations applied", len(done))


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="harebell-archive",
        description="Copies harebell's history from its stream into PostgreSQL.",
        epilog=environment.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("archive", "migrate"),
        default="archive",
        help="archive (default), or apply all pending migrations, those too that take away",
    )
    command = parser.parse_args().command
    try:
        settings: Settings | DatabaseSettings
        if command == "migrate":
            settings = environment.database_settings(os.environ)
        else:
            settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        parser.error(str(error))
    level = settings.log_level if isinstance(settings, Settings) else "INFO"
    configure_logging(level, JsonFormatter(), QUIET)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if isinstance(settings, Settings):
                runner.run(until_told(run(settings)))
            else:
                runner.run(apply_migrations(settings))
    except asyncio.CancelledError:
        logger.info("stopped")
    except (UnsupportedBrokerError, DatabaseUnavailableError) as error:
        logger.critical("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
