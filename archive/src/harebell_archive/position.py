"""Where the archive stands in the stream, and what that says about the next message.

Offsets of a stream grow by one for each message, and by one more where the broker writes a record of its own
at the start of a segment. A stream that was deleted and declared again has the same name and begins at 0;
nothing but its content says that it is another. So the archive keeps a digest of the last message it took,
reads that message again whenever it begins, and compares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from .rows import Arrival, digest


class GapReason(StrEnum):
    """Why messages are missing from the archive."""

    RETENTION = "Retention"
    """The stream dropped them by age before they were archived."""
    SKIPPED = "Skipped"
    """The stream's offsets jumped while it was read."""
    REPLACED = "StreamReplaced"
    """The stream is another one. How many of the old one's messages were not archived yet nobody knows."""


@dataclass(frozen=True)
class Position:
    """Everything before ``next_offset`` of the ``epoch``-th stream of the name is archived.

    ``digest`` is that of the last message archived; None: nothing of this stream yet.
    """

    epoch: int = 1
    next_offset: int = 0
    digest: bytes | None = None

    @property
    def begin(self) -> int | None:
        """The offset to read from: that of the last message archived, or None: the first there is."""
        return None if self.digest is None else self.next_offset - 1

    def replaced(self) -> "Position":
        """Return where to begin in another stream."""
        return Position(epoch=self.epoch + 1)


@dataclass(frozen=True)
class Gap:
    """Messages that are not in the archive: from ``first_offset`` on, at most so many; None: unknown."""

    epoch: int
    first_offset: int
    messages: int | None
    reason: GapReason


class Begin(StrEnum):
    """What the first message a reader got says about the stream."""

    KNOWN = "Known"
    """It is the last one archived: go on after it."""
    NEW = "New"
    """It is to be archived itself."""
    REPLACED = "Replaced"
    """It belongs to another stream than the archive knows."""


def begin(position: Position, offset: int, digest: bytes) -> tuple[Begin, Gap | None]:
    """Judge the first message of a reader that began at ``position.begin``."""
    if position.digest is None:
        return Begin.NEW, None
    last = position.next_offset - 1
    if offset == last:
        return (Begin.KNOWN if digest == position.digest else Begin.REPLACED), None
    if offset < last:
        # The reader was put at the end of a stream shorter than what is archived.
        return Begin.REPLACED, None
    return Begin.NEW, _gap(position, offset, GapReason.RETENTION)


def is_shorter(position: Position, first_offset: int, messages: int) -> bool:
    """Return whether a stream ends before what is archived of it, so that it is another one.

    ``messages`` as counted before ``first_offset`` was read. A count of 0 may mean that it was not counted.
    """
    return position.digest is not None and messages > 0 and first_offset + messages < position.next_offset


def missing(position: Position, offset: int) -> Gap | None:
    """Return what is missing before the next message of a reader that goes on."""
    return _gap(position, offset, GapReason.SKIPPED)


def _gap(position: Position, offset: int, reason: GapReason) -> Gap | None:
    jump = offset - position.next_offset
    # One is the broker's own record.
    return Gap(position.epoch, position.next_offset, jump, reason) if jump > 1 else None


@dataclass(frozen=True)
class Taken:
    """What is to be archived in one transaction."""

    arrivals: tuple[Arrival, ...]
    gaps: tuple[Gap, ...]
    position: Position


def take(position: Position, arrivals: Sequence[Arrival], *, first: bool) -> Taken | None:
    """Return what of these messages, in their order, is to be archived, or None: the stream is another one.

    ``first``: they are the first that a reader got that began at ``position.begin``.
    """
    kept: list[Arrival] = []
    gaps: list[Gap] = []
    reached = position
    for arrival in arrivals:
        if first:
            first = False
            verdict, gap = begin(position, arrival.offset, digest(arrival))
            match verdict:
                case Begin.REPLACED:
                    return None
                case Begin.KNOWN:
                    continue
                case Begin.NEW:
                    pass
                case _:
                    assert_never(verdict)
        elif arrival.offset < reached.next_offset:
            continue
        else:
            gap = missing(reached, arrival.offset)
        if gap is not None:
            gaps.append(gap)
        kept.append(arrival)
        reached = Position(position.epoch, arrival.offset + 1, position.digest)
    if kept:
        reached = Position(position.epoch, reached.next_offset, digest(kept[-1]))
    return Taken(tuple(kept), tuple(gaps), reached)
