"""Partitions, migrations, queries, settings and reports: what is decided before anything is done."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast
from unittest.mock import AsyncMock

import asyncpg
import pytest

from harebell_archive import settings as environment
from harebell_archive.archiver import Archiver
from harebell_archive.database import Database, Stand
from harebell_archive.errors import DatabaseUnavailableError
from harebell_archive.migrate import Migration, Phase, load, pending
from harebell_archive.position import Position
from harebell_archive.queries import QUERIES, parse
from harebell_archive.report import report
from harebell_archive.retention import AGAIN, MOST_AT_ONCE, Drops, expired, wanted
from harebell_archive.settings import Settings, SettingsError
from harebell_archive.state import State
from harebell_bus.envelopes import AgentRef, ArchiverState
from harebell_bus.link import Link
from harebell_bus.settings import BrokerSettings

TODAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BROKER = {"HAREBELL_AMQP_URL": "amqp://a/"}
DATABASE = {"HAREBELL_DATABASE_URL": "postgresql://u:secret@h/d"}


def test_today_and_the_next_days_have_partitions() -> None:
    assert wanted(date(2026, 2, 28)) == (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2))


@pytest.mark.parametrize(
    ("keep", "gone"),
    [(1, [date(2026, 2, 1), date(2026, 2, 27)]), (2, [date(2026, 2, 1)]), (27, [date(2026, 2, 1)]), (28, [])],
)
def test_a_partition_goes_when_all_of_it_is_too_old(keep: int, gone: list[date]) -> None:
    days = [date(2026, 2, 28), TODAY, date(2026, 2, 27), date(2026, 2, 1), date(2026, 3, 2)]
    assert expired(days, TODAY, keep) == tuple(gone)


def test_many_days_go_a_few_at_a_time() -> None:
    days = [TODAY - timedelta(days=n) for n in range(365)]
    drops, oldest = Drops(keep_days=30), sorted(days)
    assert drops.due(days, NOW) == tuple(oldest[:MOST_AT_ONCE])
    assert drops.due(days[:40], NOW) == tuple(sorted(days[31:40]))


@pytest.mark.parametrize(
    ("later", "due"),
    [
        (timedelta(), False),
        (timedelta(seconds=10), False),
        (AGAIN - timedelta(seconds=1), False),
        (AGAIN, True),
        # A clock that was set back is no reason to wait for ever.
        (timedelta(hours=-1), True),
    ],
)
def test_after_a_refusal_nothing_goes_for_some_minutes(later: timedelta, due: bool) -> None:
    drops = Drops(keep_days=30)
    old = TODAY - timedelta(days=50)
    drops.refused(NOW)
    assert drops.due([old], NOW + later) == ((old,) if due else ())


class FakeDatabase:
    """Has one old day more than can be dropped, and refuses until told otherwise."""

    def __init__(self) -> None:
        self.days = [TODAY - timedelta(days=n) for n in (-2, -1, 0, 50, 51)]
        self.asked: list[date] = []
        self.read = True

    async def partitions(self) -> list[date]:
        return self.days

    async def drop_partition(self, day: date) -> bool:
        self.asked.append(day)
        if not self.read:
            self.days.remove(day)
        return not self.read


async def test_days_that_are_being_read_are_asked_for_once_and_go_later() -> None:
    now = NOW
    link = Link(BrokerSettings.from_environment(BROKER), "a")
    given = environment.database_settings(DATABASE)
    archiver = Archiver(link, given, 30, State(), lambda: now, AsyncMock())
    database = FakeDatabase()
    for _ in range(3):
        await archiver._partitions(cast(Database, database))
    assert database.asked == [TODAY - timedelta(days=51)]
    now, database.read = now + AGAIN, False
    await archiver._partitions(cast(Database, database))
    assert len(database.days) == 3


async def test_a_full_table_of_locks_is_a_reason_to_wait_that_names_the_setting() -> None:
    connection = AsyncMock()
    connection.fetch.side_effect = asyncpg.OutOfMemoryError("out of shared memory")
    with pytest.raises(DatabaseUnavailableError, match="max_locks_per_transaction"):
        await Database(connection, "s").partitions()


def migration(number: int, phase: Phase) -> Migration:
    return Migration(number, phase, "m", "SELECT 1")


def test_migrations_are_applied_once_in_order_and_in_their_phase() -> None:
    one, two, three = migration(1, Phase.PRE), migration(2, Phase.POST), migration(3, Phase.PRE)
    everything = [three, two, one]
    assert pending(everything, set(), {Phase.PRE}) == (one, three)
    assert pending(everything, {1, 99}, {Phase.PRE}) == (three,)
    assert pending(everything, {1, 3}, set(Phase)) == (two,)
    assert pending(everything, {1, 2, 3}, set(Phase)) == ()


def test_the_migrations_there_are_can_be_read() -> None:
    found = load()
    assert [m.number for m in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize(
    "names", [["1-pre-a.sql"], ["0001-later-a.sql"], ["0001-pre-a.sql", "0001-post-b.sql"]]
)
def test_a_migration_of_a_wrong_name_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=r"named|number"):
        load(tmp_path)


def test_queries_have_names() -> None:
    assert parse("-- words\n\n-- name: a\nSELECT 1\n\n-- name: b\nSELECT\n2\n") == {
        "a": "SELECT 1",
        "b": "SELECT\n2",
    }
    with pytest.raises(ValueError, match="same name"):
        parse("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n")
    assert all(QUERIES.values())


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        (DATABASE, "HAREBELL_AMQP_URL"),
        (BROKER, "HAREBELL_DATABASE_URL"),
        (BROKER | DATABASE | {"HAREBELL_DATABASE_URL_FILE": "/f"}, "HAREBELL_DATABASE_URL_FILE"),
        (BROKER | DATABASE | {"HAREBELL_RETENTION_DAYS": "0"}, "HAREBELL_RETENTION_DAYS"),
        (BROKER | DATABASE | {"HAREBELL_PORT": "-1"}, "HAREBELL_PORT"),
    ],
)
def test_settings_that_are_wrong(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Settings.from_environment(variables)


def test_settings(tmp_path: Path) -> None:
    settings = Settings.from_environment(BROKER | DATABASE)
    assert (settings.retention_days, settings.port, settings.database.url()) == (
        365,
        9092,
        "postgresql://u:secret@h/d",
    )
    assert "secret" not in repr(settings)
    file = environment.database_settings({"HAREBELL_DATABASE_URL_FILE": str(tmp_path / "url")})
    with pytest.raises(DatabaseUnavailableError):
        file.url()
    (tmp_path / "url").write_text("postgresql://new\n")
    assert file.url() == "postgresql://new"


def test_the_readers_password_is_read_when_it_is_needed(tmp_path: Path) -> None:
    assert environment.database_settings(DATABASE).reader_password() is None
    file = tmp_path / "password"
    found = environment.database_settings(DATABASE | {"HAREBELL_READER_PASSWORD_FILE": str(file)})
    with pytest.raises(DatabaseUnavailableError, match="password"):
        found.reader_password()
    file.write_text("secret\n")
    assert found.reader_password() == "secret"


def test_a_report_says_what_is_known() -> None:
    state = State()
    archiver = AgentRef(id="a", instance="i")
    early = report(state, archiver, NOW)
    assert (early.state, early.lag_messages, early.archived_messages) == (ArchiverState.STARTING, None, None)
    state.enter(ArchiverState.ARCHIVING)
    state.stand = Stand(Position(1, 10, b"d"), 9, 5, NOW, NOW)
    state.seen(14)
    later = report(state, archiver, NOW)
    assert (later.lag_messages, later.archived_messages, later.gap_messages) == (5, 9, 5)
    state.seen(3)
    assert report(state, archiver, NOW).lag_messages == 0
