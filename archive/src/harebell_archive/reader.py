"""The role that reads what became of Tasks, and nothing else: the API's."""

import logging

import asyncpg

from .queries import QUERIES

logger = logging.getLogger(__name__)


async def admit_reader(connection: asyncpg.Connection, password: str | None) -> None:
    """Let the role ``harebell_reader`` read the views of Tasks, where there is such a role.

    With a password the role is made, or given that password; otherwise it is for an administrator to make.
    Not being allowed to is logged, for archiving does not depend on it.

    :raises asyncpg.PostgresError: something else went wrong.
    """
    try:
        await _admit(connection, password)
    except asyncpg.InsufficientPrivilegeError as error:
        logger.error("the role harebell_reader was not let in: %s", error)


async def _admit(connection: asyncpg.Connection, password: str | None) -> None:
    if password is not None:
        if not await connection.fetchval(QUERIES["has_reader"]):
            await connection.execute(QUERIES["make_reader"])
        # A role's password cannot be a parameter; the server quotes it.
        await connection.execute(await connection.fetchval(QUERIES["reader_password"], password))
    elif not await connection.fetchval(QUERIES["has_reader"]):
        return
    await connection.execute(QUERIES["admit_reader"])
