"""Where the archive stands: what is taken, what is missing, and when the stream is another one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harebell_archive.position import Gap, GapReason, Position, is_shorter, take
from harebell_archive.rows import Arrival, digest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(offset: int, stream: str = "one") -> Arrival:
    return Arrival(offset, NOW, "", "", f"{stream} {offset}".encode(), {}, message_id=f"{stream}.{offset}")


def at(next_offset: int, stream: str = "one") -> Position:
    """Everything before this offset of a stream is archived."""
    return Position(1, next_offset, digest(message(next_offset - 1, stream)))


def test_it_begins_with_the_last_message_archived() -> None:
    assert Position().begin is None
    assert at(10).begin == 9


def test_the_message_it_knows_is_not_taken_again() -> None:
    taken = take(at(10), [message(9), message(10), message(11)], first=True)
    assert taken is not None
    assert [a.offset for a in taken.arrivals] == [10, 11]
    assert (taken.gaps, taken.position) == ((), at(12))


def test_nothing_new_moves_nothing() -> None:
    taken = take(at(10), [message(9)], first=True)
    assert taken is not None
    assert (taken.arrivals, taken.gaps, taken.position) == ((), (), at(10))


def test_a_new_archive_begins_wherever_the_stream_does() -> None:
    taken = take(Position(), [message(500)], first=True)
    assert taken is not None
    assert (len(taken.arrivals), taken.gaps, taken.position) == (1, (), at(501))


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(message(9, "two"), id="another message has its offset"),
        pytest.param(message(3, "two"), id="the stream ends before it"),
        pytest.param(message(3), id="even with the same content"),
    ],
)
def test_another_stream_is_noticed(first: Arrival) -> None:
    assert take(at(10), [first], first=True) is None
    assert at(10).replaced() == Position(2, 0, None)


@pytest.mark.parametrize(
    ("offset", "first", "gap"),
    [
        (10, True, None),
        (11, True, None),
        (12, True, Gap(1, 10, 2, GapReason.RETENTION)),
        (900, True, Gap(1, 10, 890, GapReason.RETENTION)),
        (10, False, None),
        (11, False, None),
        (13, False, Gap(1, 10, 3, GapReason.SKIPPED)),
    ],
)
def test_gaps(offset: int, first: bool, gap: Gap | None) -> None:
    taken = take(at(10), [message(offset)], first=first)
    assert taken is not None
    assert taken.gaps == (() if gap is None else (gap,))
    assert taken.position == at(offset + 1)


def test_a_message_that_comes_again_is_not_taken_again() -> None:
    taken = take(at(10), [message(8), message(9), message(10)], first=False)
    assert taken is not None
    assert [a.offset for a in taken.arrivals] == [10]


@pytest.mark.parametrize(
    ("position", "first_offset", "messages", "shorter"),
    [
        (at(10), 0, 9, True),
        (at(10), 0, 10, False),
        (at(10), 5, 4, True),
        (at(10), 5, 5, False),
        (at(10), 50, 1, False),
        # Not counted, or nothing known.
        (at(10), 0, 0, False),
        (Position(), 0, 5, False),
    ],
)
def test_a_stream_that_ends_too_early(
    position: Position, first_offset: int, messages: int, shorter: bool
) -> None:
    assert is_shorter(position, first_offset, messages) is shorter


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.lists(st.integers(1, 20), max_size=8), st.data())
def test_however_it_is_cut_and_begun_again_everything_is_taken_once(
    records: list[bool], cuts: list[int], data: st.DataObject
) -> None:
    """True: a message; False: a record of the broker's own. Two of those never follow one another."""
    offsets: list[int] = []
    for offset, is_message in enumerate([*records, True]):
        if is_message or (offset and (not offsets or offsets[-1] != offset - 1)):
            offsets.append(offset)
    stream = [message(n) for n in offsets]
    position, archived = Position(), list[int]()
    for cut in [*cuts, len(stream) + 1]:
        begin = position.begin
        rest = [m for m in stream if begin is None or m.offset >= begin]
        batch, first = rest[:cut], True
        while batch:
            size = data.draw(st.integers(1, len(batch)))
            taken = take(position, batch[:size], first=first)
            assert taken is not None
            assert not taken.gaps
            # A crash before the commit: what was taken is taken again.
            if data.draw(st.booleans()) and cut <= len(stream):
                break
            archived += [a.offset for a in taken.arrivals]
            position, first, batch = taken.position, False, batch[size:]
    assert archived == offsets
