"""What the feed keeps, and how much."""

import pytest

from harebell_api.feed.cursor import Start
from harebell_api.feed.feed import Feed
from harebell_api.feed.log import Change, Log
from harebell_api.feed.message import Messages, synced
from harebell_api.records import task_record

from .fakes import task


def test_messages_that_are_kept_are_bounded() -> None:
    messages = Messages(max_bytes=100)
    for number in range(50):
        messages.keep((number,), synced(Start("x" * 10)))
    assert sum(messages.get((number,)) is not None for number in range(50)) == 1
    assert messages.get((49,)) is not None


@pytest.mark.parametrize(("max_gone", "bodies", "left"), [(3, 20, 3), (100, 20, 20), (100, 0, 16)])
def test_what_is_gone_is_forgotten_by_number_and_by_size(max_gone: int, bodies: int, left: int) -> None:
    """By size a few are kept all the same."""
    made = [task_record(task(f"t{n:02}", 100 + n)) for n in range(30)]
    gone = [task_record(task(f"t{n:02}", 200 + n)) for n in range(30)]
    feed = Feed(log=lambda: Log(max_gone, bodies * len(gone[0].body)))
    feed.replace(made, 150, restored=False)
    for record in gone:
        feed.remove(record)
    assert len(feed.log) == left
    assert all(entry.change is Change.DELETED for entry in feed.log)
    assert not feed.log.knows_since(229 - left - 1)
    assert feed.log.knows_since(229 - left)


def test_the_log_stays_as_small_as_what_it_holds() -> None:
    feed = Feed()
    feed.replace([], 0, restored=False)
    for version in range(1, 20_000):
        feed.put(task_record(task(f"t{version % 10}", version, uid=f"uid-{version % 10}")))
    assert len(feed.log) == 10
    assert len(feed.log._entries) <= 2000
    assert [entry.version for entry in feed.log] == list(range(19_990, 20_000))
    place = feed.log.place_of(19_995)
    assert (after := feed.log.after(place)) is not None
    assert after.version == 19_996


def test_gaps_are_remembered_up_to_a_number() -> None:
    feed = Feed()
    feed.replace([], 10, restored=False)
    for version in range(20, 1000, 10):
        feed.replace([], version, restored=False)
    assert feed.log.knows_since(980)
    assert not feed.log.knows_since(985)
    assert not feed.log.knows_since(10)
