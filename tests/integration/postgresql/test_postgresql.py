"""PostgreSQL as the chart deploys it: reachable with its Secret's URL, and durable."""

import asyncio

import asyncpg
import pytest
from tests.support.servers import Servers
from tests.support.waiting import eventually

POD = "rabbit-postgresql-0"


@pytest.mark.alone
async def test_rows_outlive_the_pod(servers: Servers) -> None:
    connection = await asyncpg.connect(servers.postgresql_url, timeout=20)
    assert connection.get_server_version().major >= 17
    await connection.execute("DROP TABLE IF EXISTS kept")
    await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    await connection.close()

    old = servers.kubectl.get("pod", POD)["metadata"]["uid"]
    servers.kubectl("delete", "pod", POD, "--grace-period=0", "--force")

    async def rows() -> int | None:
        if servers.kubectl("get", "pod", POD, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}") in (
            "",
            old,
        ):
            return None
        try:
            connection = await asyncpg.connect(servers.postgresql_url, timeout=5)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return None
        try:
            found = await connection.fetchval("SELECT count(*) FROM kept")
        finally:
            await connection.close()
        return int(found)

    assert await eventually("the rows", rows, 90) == 1000


async def test_a_wrong_password_is_refused(servers: Servers) -> None:
    user, host = servers.postgresql_url.rsplit("@", 1)
    wrong = f"{user.rsplit(':', 1)[0]}:wrong@{host}"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncio.wait_for(asyncpg.connect(wrong), 20)
