"""Deletions are believed where the client's sum proves them, and only there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_api.feed.deletions import Known, explain
from harebell_api.feed.selection import WEIGHTS, total, weight

AROUND = ("10", "30")


def _known(uid: str, created: str) -> Known:
    return Known(uid, created, weight(uid))


def _sum(*uids: str) -> int:
    return total(weight(uid) for uid in uids)


OLD, OLDER, NEW = _known("old", "05"), _known("older", "04"), _known("new", "20")
GONE, GONE_BEFORE, SHORT = _known("gone", "06"), _known("before", "07"), _known("short", "21")


@pytest.mark.parametrize(
    ("missing", "changed", "deleted", "found"),
    [
        (_sum(), [], [], []),
        (_sum("old"), [OLD], [], []),
        (_sum("old"), [OLD, NEW], [], []),
        (_sum("old", "new"), [OLD, NEW], [], []),
        (_sum("old", "gone"), [OLD, NEW], [GONE], ["gone"]),
        # Of the first ones it was told.
        (_sum("old", "gone"), [OLD], [GONE_BEFORE, GONE], ["gone"]),
        (_sum("old"), [OLD], [GONE_BEFORE, GONE], []),
        # What came and went after the cursor is none of the client's.
        (_sum("gone"), [NEW], [GONE_BEFORE, GONE, SHORT], ["gone"]),
        (_sum("gone", "short", "new"), [NEW], [GONE, SHORT], ["gone", "short"]),
        # A deletion that nobody recorded, one that is not in order, a Task that changed before it was made.
        (_sum("old", "gone"), [OLD], [], None),
        (_sum("before"), [], [GONE_BEFORE, GONE], None),
        (_sum("new"), [OLD, NEW], [], None),
    ],
)
def test_what_the_sum_proves(
    missing: int, changed: list[Known], deleted: list[Known], found: list[str] | None
) -> None:
    assert explain(missing, changed, deleted, AROUND) == found


seconds = st.integers(0, 40).map("{:02}".format)


@given(
    st.lists(seconds, max_size=12), st.lists(seconds, max_size=12), st.integers(10, 30), st.integers(0, 12)
)
def test_the_truth_is_found(living: list[str], dead: list[str], second: int, told: int) -> None:
    """The client knew what was made up to a second, and was told of the first few deletions."""
    changed = [_known(f"living-{n}", created) for n, created in enumerate(living)]
    deleted = [_known(f"dead-{n}", created) for n, created in enumerate(dead)]
    until = f"{second:02}"
    knew = [t for t in deleted if t.created <= until][told:]
    missing = _sum(*(t.uid for t in (*changed, *knew) if t.created <= until))
    assert explain(missing, changed, deleted, AROUND) == [t.uid for t in knew]


@given(st.lists(seconds, max_size=8), st.lists(seconds, max_size=8), st.integers(1, WEIGHTS - 1))
def test_a_sum_that_nothing_explains_is_not_explained(living: list[str], dead: list[str], other: int) -> None:
    changed = [_known(f"living-{n}", created) for n, created in enumerate(living)]
    deleted = [_known(f"dead-{n}", created) for n, created in enumerate(dead)]
    found = explain(other, changed, deleted, AROUND)
    assert found is None or _sum(*found) != 0
