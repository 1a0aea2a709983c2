"""What the Bus's conditions say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest

from harebell_bus.envelopes import AgentRef, ArchiveReport, ArchiverState
from harebell_crds.bus import BusCondition, BusStatus
from harebell_crds.conditions import ConditionStatus, find_condition
from harebell_operator import __version__
from harebell_operator.decide.bus import GAP_AGE, LAG_MESSAGES, SILENCE, BusObservation, decide, is_pressing

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
REPORT = ArchiveReport(
    archiver=AgentRef(id="a", instance="i"),
    at=NOW,
    state=ArchiverState.ARCHIVING,
    lag_messages=3,
    archived_messages=100,
    gap_messages=0,
)
SEEN = BusObservation(
    generation=1,
    status=BusStatus(),
    broker_error=None,
    broker_version="4.3.1",
    hearing_since=LONG_AGO,
    archive_expected=True,
    report=REPORT,
    reported_at=NOW,
)


def verdict(seen: BusObservation, kind: BusCondition, now: datetime = NOW) -> tuple[str, str]:
    found = find_condition(decide(seen, now).conditions, kind)
    assert found is not None
    return found.status.value, found.reason


def reported(**changes: object) -> BusObservation:
    return replace(SEEN, report=REPORT.model_copy(update=changes))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (SEEN, ("True", "Archiving")),
        (replace(SEEN, archive_expected=False), ("False", "NotInstalled")),
        (replace(SEEN, hearing_since=None), ("Unknown", "BrokerUnreachable")),
        (replace(SEEN, report=None, reported_at=None), ("False", "NoArchiver")),
        (replace(SEEN, report=None, reported_at=None, hearing_since=NOW), ("Unknown", "Waiting")),
        (replace(SEEN, reported_at=LONG_AGO), ("False", "NoArchiver")),
        # It could not be heard before.
        (replace(SEEN, reported_at=LONG_AGO, hearing_since=NOW), ("True", "Archiving")),
        (replace(SEEN, reported_at=NOW - SILENCE), ("True", "Archiving")),
        (reported(state=ArchiverState.POSTGRESQL_UNREACHABLE), ("False", "PostgreSQLUnreachable")),
        (reported(state=ArchiverState.STREAM_UNREACHABLE), ("False", "StreamUnreachable")),
        (reported(state=ArchiverState.STARTING), ("Unknown", "Starting")),
        (reported(lag_messages=LAG_MESSAGES), ("True", "Archiving")),
        (reported(lag_messages=LAG_MESSAGES + 1), ("False", "Lagging")),
        (reported(lag_messages=None), ("True", "Archiving")),
    ],
)
def test_archive_current(seen: BusObservation, expected: tuple[str, str]) -> None:
    assert verdict(seen, BusCondition.ARCHIVE_CURRENT) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (SEEN, ("True", "NoGap")),
        (reported(last_gap_at=NOW, gap_messages=5), ("False", "GapFound")),
        (reported(last_gap_at=NOW - GAP_AGE, gap_messages=5), ("False", "GapFound")),
        (reported(last_gap_at=NOW - GAP_AGE - timedelta(seconds=1), gap_messages=5), ("True", "NoGap")),
        (replace(SEEN, report=None), ("Unknown", "NotRead")),
        (reported(archived_messages=None), ("Unknown", "NotRead")),
    ],
)
def test_archive_complete(seen: BusObservation, expected: tuple[str, str]) -> None:
    assert verdict(seen, BusCondition.ARCHIVE_COMPLETE) == expected


def test_broker_reachable() -> None:
    assert verdict(SEEN, BusCondition.BROKER_REACHABLE) == ("True", "Connected")
    lost = replace(SEEN, broker_error="refused", broker_version=None)
    assert verdict(lost, BusCondition.BROKER_REACHABLE) == ("False", "Unreachable")


def test_figures_stay_until_there_are_newer_ones() -> None:
    first = decide(SEEN, NOW)
    assert (first.archive.lag_messages, first.archive.archived_messages) == (3, 100)
    silent = replace(SEEN, status=first, report=None, broker_version=None)
    assert decide(silent, NOW).archive == first.archive
    assert decide(silent, NOW).broker.version == "4.3.1"


def test_only_a_condition_is_pressing() -> None:
    first = decide(SEEN, NOW)
    more = decide(replace(reported(archived_messages=200), status=first), NOW + timedelta(seconds=5))
    assert more != first
    assert not is_pressing(first, more)
    lagging = decide(replace(reported(lag_messages=10**6), status=first), NOW)
    assert is_pressing(first, lagging)
    assert is_pressing(BusStatus(), first)
    kept = find_condition(more.conditions, BusCondition.ARCHIVE_CURRENT)
    assert kept is not None
    assert (kept.status, kept.last_transition_time) == (ConditionStatus.TRUE, NOW)


def test_the_operator_says_of_which_version_it_is() -> None:
    status = decide(replace(SEEN, operator_version="1.2.3"), NOW)
    assert (status.operator.version, status.broker.version) == ("1.2.3", "4.3.1")
    # A broker that is away keeps its last version; the operator that writes says its own.
    after = decide(replace(SEEN, status=status, broker_version=None, operator_version="1.2.4"), NOW)
    assert (after.operator.version, after.broker.version) == ("1.2.4", "4.3.1")


def test_the_version_is_that_of_the_package() -> None:
    # The image has the package's files alone, without what says so in an installed one.
    assert version("harebell-operator") == __version__
