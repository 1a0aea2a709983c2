"""What a Bus's status says, from what was heard of broker and archiver."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from harebell_bus.envelopes import ArchiveReport, ArchiverState
from harebell_crds.bus import ArchiveStatus, BrokerStatus, BusCondition, BusStatus, OperatorStatus
from harebell_crds.conditions import ConditionStatus, set_condition

SILENCE = timedelta(seconds=60)
"""An archiver reports every five to twenty seconds."""
LAG_MESSAGES = 10_000
GAP_AGE = timedelta(days=7)
"""How long a gap is complained of: as long as the stream keeps what is around it."""

_Verdict = tuple[ConditionStatus, str, str]


@dataclass(frozen=True)
class BusObservation:
    """What is known."""

    generation: int
    status: BusStatus
    broker_error: str | None
    broker_version: str | None
    hearing_since: datetime | None
    """Since when reports could arrive; None: they cannot."""
    archive_expected: bool
    report: ArchiveReport | None = None
    reported_at: datetime | None = None
    """When it was heard, by the operator's clock."""
    operator_version: str | None = None
    """That of the operator's own software."""


def decide(seen: BusObservation, now: datetime) -> BusStatus:
    """Return the status."""
    conditions = seen.status.conditions
    for kind, (status, reason, message) in (
        (BusCondition.BROKER_REACHABLE, _broker(seen)),
        (BusCondition.ARCHIVE_CURRENT, _current(seen, now)),
        (BusCondition.ARCHIVE_COMPLETE, _complete(seen, now)),
    ):
        conditions = set_condition(
            conditions, kind, status, reason, message, now=now, generation=seen.generation
        )
    return BusStatus(
        conditions=conditions,
        operator=OperatorStatus(version=seen.operator_version),
        broker=BrokerStatus(version=seen.broker_version or seen.status.broker.version),
        archive=_archive(seen),
    )


def is_pressing(before: BusStatus, after: BusStatus) -> bool:
    """Return whether a condition changed, and not only figures."""
    return [(c.type, c.status, c.reason) for c in before.conditions] != [
        (c.type, c.status, c.reason) for c in after.conditions
    ]


def _broker(seen: BusObservation) -> _Verdict:
    if seen.broker_error is None:
        return ConditionStatus.TRUE, "Connected", ""
    return ConditionStatus.FALSE, "Unreachable", seen.broker_error


def _current(seen: BusObservation, now: datetime) -> _Verdict:
    if not seen.archive_expected:
        return ConditionStatus.FALSE, "NotInstalled", "there is no PostgreSQL to archive to"
    if seen.hearing_since is None:
        return ConditionStatus.UNKNOWN, "BrokerUnreachable", "the archiver cannot be heard"
    report = seen.report
    if now - max(seen.hearing_since, seen.reported_at or seen.hearing_since) > SILENCE:
        message = "the archiver has not reported for a minute" if report else "no archiver has reported"
        return ConditionStatus.FALSE, "NoArchiver", message
    if report is None:
        return ConditionStatus.UNKNOWN, "Waiting", "no archiver has reported yet"
    match report.state:
        case ArchiverState.STARTING | ArchiverState.STANDBY:
            return ConditionStatus.UNKNOWN, report.state.value, report.message
        case ArchiverState.POSTGRESQL_UNREACHABLE | ArchiverState.STREAM_UNREACHABLE:
            return ConditionStatus.FALSE, report.state.value, report.message
        case ArchiverState.ARCHIVING:
            if report.lag_messages is not None and report.lag_messages > LAG_MESSAGES:
                return ConditionStatus.FALSE, "Lagging", f"more than {LAG_MESSAGES} messages wait"
            return ConditionStatus.TRUE, "Archiving", ""
        case _:
            assert_never(report.state)


def _complete(seen: BusObservation, now: datetime) -> _Verdict:
    archive = _archive(seen)
    if archive.archived_messages is None:
        return ConditionStatus.UNKNOWN, "NotRead", "no archiver has read the database yet"
    if archive.last_gap_time is None or now - archive.last_gap_time > GAP_AGE:
        return ConditionStatus.TRUE, "NoGap", ""
    return (
        ConditionStatus.FALSE,
        "GapFound",
        f"at most {archive.gap_messages} messages are missing, and those of a stream that was deleted; "
        "the table harebell.archive_gaps lists the gaps",
    )


def _archive(seen: BusObservation) -> ArchiveStatus:
    """What the last report that had figures said."""
    report = seen.report
    if report is None or report.archived_messages is None:
        return seen.status.archive
    return ArchiveStatus(
        lag_messages=report.lag_messages,
        archived_messages=report.archived_messages,
        gap_messages=report.gap_messages,
        last_gap_time=report.last_gap_at,
        last_archived_time=report.last_archived_time,
    )
