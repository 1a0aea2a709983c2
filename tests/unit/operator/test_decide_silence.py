"""When a watch is called dead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_operator.decide.silence import LOOKS, Lag, look


@pytest.mark.parametrize(
    ("lag", "newest", "seen", "answers", "expected"),
    [
        # Nothing is missing.
        (None, 0, 0, True, None),
        (None, 7, 7, True, None),
        (Lag(7, looks=LOOKS - 1), 7, 7, True, None),
        # It brought a change of somebody else's that is newer.
        (Lag(7, looks=LOOKS), 7, 9, True, None),
        # Something is.
        (None, 8, 7, True, Lag(8)),
        (Lag(8), 8, 7, True, Lag(8, looks=1)),
        (Lag(8, looks=LOOKS - 1), 8, 7, True, Lag(8, looks=LOOKS)),
        # What is written meanwhile gives it no more time.
        (Lag(8, looks=5), 99, 7, True, Lag(8, looks=6)),
        # It is behind, and moves.
        (Lag(8, looks=5), 20, 8, True, Lag(20)),
        (Lag(8, looks=LOOKS), 20, 15, True, Lag(20)),
        # The API server is away.
        (None, 8, 7, False, Lag(8)),
        (Lag(8, looks=LOOKS - 1), 8, 7, False, Lag(8)),
        (Lag(8, looks=LOOKS), 8, 7, False, Lag(8)),
    ],
)
def test_look(lag: Lag | None, newest: int, seen: int, answers: bool, expected: Lag | None) -> None:
    assert look(lag, newest, seen, answers=answers) == expected


@pytest.mark.parametrize(("looks", "dead"), [(0, False), (LOOKS - 1, False), (LOOKS, True), (99, True)])
def test_dead(looks: int, dead: bool) -> None:
    assert Lag(1, looks).dead is dead


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=60))
def test_a_dead_watch_brought_nothing_that_was_due_while_the_api_server_answered(
    history: list[tuple[int, int, bool]],
) -> None:
    """Whatever was written and seen meanwhile: ``history`` has what each look adds to both."""
    lag, newest, seen = None, 0, 0
    looks: list[tuple[int, int, bool]] = []
    for written, brought, answers in history:
        newest += written
        seen = min(newest, seen + brought)
        lag = look(lag, newest, seen, answers=answers)
        looks.append((newest, seen, answers))
        if lag is not None and lag.dead:
            first, *since = looks[-LOOKS - 1 :]
            assert all(answered for _, _, answered in since)
            assert seen < first[0]
