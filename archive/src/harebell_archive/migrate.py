"""Migrations of the database: numbered SQL files, each applied once, in order, in a transaction of its own.

``NNNN-pre-NAME.sql`` only adds, so that the code of before goes on working, and is applied when the archiver
starts. ``NNNN-post-NAME.sql`` takes away what only older code needed, and is applied by
``python -m harebell_archive migrate`` when that code is gone.
"""

import logging
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg

from .queries import QUERIES

logger = logging.getLogger(__name__)

_NAME = re.compile(r"^(\d{4})-(pre|post)-([a-z0-9-]+)\.sql$")
MIGRATION_SECONDS = 6 * 3600.0
"""At most; the server's limit of a statement holds too, unless the migration raises it."""
FOLDER = files(__package__) / "migrations"


class Phase(StrEnum):
    """When a migration is applied."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True, order=True)
class Migration:
    """One file."""

    number: int
    phase: Phase
    name: str
    sql: str


def load(folder: Traversable = FOLDER) -> tuple[Migration, ...]:
    """Return the migrations in order.

    :raises ValueError: a file is not named like one, or two have the same number.
    """
    found: dict[int, Migration] = {}
    for file in folder.iterdir():
        match = _NAME.match(file.name)
        if match is None:
            raise ValueError(f"{file.name} is not named NNNN-pre-NAME.sql or NNNN-post-NAME.sql")
        number = int(match[1])
        if number in found:
            raise ValueError(f"two migrations have the number {match[1]}")
        found[number] = Migration(number, Phase(match[2]), match[3], file.read_text())
    return tuple(sorted(found.values()))


def pending(
    migrations: Iterable[Migration], applied: Collection[int], phases: Collection[Phase]
) -> tuple[Migration, ...]:
    """Return what is to be applied, in order. What a newer version has applied is none of ours."""
    return tuple(m for m in sorted(migrations) if m.number not in applied and m.phase in phases)


async def migrate(connection: asyncpg.Connection, phases: Collection[Phase]) -> tuple[Migration, ...]:
    """Apply what is pending of these phases and return it. One at a time may do so; others wait.

    :raises asyncpg.PostgresError: one failed; those before it stay applied.
    """
    done: list[Migration] = []
    for migration in load():
        async with connection.transaction():
            await connection.execute(QUERIES["lock_migrations"])
            await connection.execute(QUERIES["schema"])
            await connection.execute(QUERIES["migrations_table"])
            applied = {r["number"] for r in await connection.fetch(QUERIES["applied_migrations"])}
            if not pending([migration], applied, phases):
                continue
            await connection.execute(migration.sql, timeout=MIGRATION_SECONDS)
            await connection.execute(QUERIES["record_migration"], migration.number, migration.name)
        logger.info("applied migration %04d %s %s", migration.number, migration.phase, migration.name)
        done.append(migration)
    return tuple(done)
