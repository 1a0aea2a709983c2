import asyncio

import pytest

from harebell_api.cache import FRESH_SECONDS, Cache
from harebell_api.records import TaskRecord, task_record
from harebell_api.tasks import task_aliases

from .fakes import task


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _record(name: str, version: int, phase: str = "Queued", **rest: str) -> TaskRecord:
    return task_record(task(name, version, phase=phase, **rest))  # type: ignore[arg-type]


def _cache() -> Cache[TaskRecord]:
    return Cache(task_aliases)


def test_lookup_by_name_and_alias() -> None:
    cache = _cache()
    record = task_record(task("t", 1, spec={"idempotencyKey": "k"}))
    cache.put(record)
    assert cache.get("t") is record
    assert cache.by_alias("uid-of-t") is record
    assert cache.by_alias("key k") is record
    assert cache.by_alias("t") is None
    cache.remove(_record("t", 2))
    assert (cache.get("t"), cache.by_alias("uid-of-t"), cache.by_alias("key k")) == (None, None, None)


def test_an_alias_of_several_stays_with_those_that_have_it() -> None:
    cache = _cache()
    keyed = {"idempotencyKey": "k"}
    first, second = (task_record(task(name, 1, spec=keyed)) for name in "ab")
    cache.put(first)
    cache.put(second)
    assert cache.all_by_alias("key k") == [first, second]
    ended = {"duplicateOf": {"name": "a", "uid": "uid-of-a"}}
    cache.put(task_record(task("b", 2, spec=keyed, phase="Cancelled", status=ended)))
    assert cache.all_by_alias("key k") == [first]
    assert cache.by_alias("key k") is first
    cache.remove(task_record(task("a", 3, spec=keyed)))
    assert cache.all_by_alias("key k") == []


def test_older_states_change_nothing() -> None:
    cache = _cache()
    cache.put(_record("t", 5, "Running"))
    cache.put(_record("t", 4, "Queued"))
    found = cache.get("t")
    assert found is not None
    assert found.phase == "Running"


def test_a_write_is_readable_at_once() -> None:
    cache = _cache()
    cache.replace([], 10)
    cache.remember(_record("t", 11))
    assert cache.get("t") is not None


def test_a_late_answer_does_not_bring_back_what_was_deleted() -> None:
    cache = _cache()
    cache.replace([], 10)
    cache.put(_record("t", 11))
    cache.remove(_record("t", 12))
    cache.remember(_record("t", 11))
    assert cache.get("t") is None


def test_a_late_deletion_does_not_remove_a_new_task_of_the_name() -> None:
    cache = _cache()
    cache.put(_record("t", 11))
    cache.remember(_record("t", 13, uid="new"))
    cache.remove(_record("t", 12))
    assert cache.by_alias("new") is not None


def test_a_list_replaces_what_is_older_only() -> None:
    cache = _cache()
    cache.put(_record("gone", 5))
    cache.put(_record("kept", 6))
    cache.remember(_record("newer", 20))
    cache.replace([_record("kept", 8), _record("found", 7)], 10)
    assert sorted(r.name for r in cache.values()) == ["found", "kept", "newer"]


def test_a_restored_cluster_counts_for_more_than_what_was_known() -> None:
    cache = _cache()
    cache.put(_record("t", 50, "Succeeded"))
    cache.put(_record("gone", 60))
    cache.replace([_record("t", 20, "Queued")], 30)
    found = cache.get("t")
    assert found is not None
    assert (found.phase, len(cache)) == ("Queued", 1)


def test_freshness() -> None:
    clock = Clock()
    cache: Cache[TaskRecord] = Cache(task_aliases, clock)
    assert not cache.fresh
    cache.remember(_record("t", 1))
    assert not cache.fresh
    cache.replace([], 1)
    clock.now = FRESH_SECONDS - 1
    assert cache.fresh
    clock.now = FRESH_SECONDS
    assert not cache.fresh
    cache.heard()
    assert cache.fresh


async def test_a_subscriber_hears_of_its_task_and_of_the_newest_state_only() -> None:
    cache = _cache()
    with cache.subscribe("t") as changes:
        cache.put(_record("other", 1))
        cache.put(_record("t", 2, "Queued"))
        cache.put(_record("t", 3, "Running"))
        change = await changes.next()
        assert (change.record.phase, change.deleted) == ("Running", False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await changes.next()
        cache.remove(_record("t", 4))
        change = await changes.next()
        assert (change.record.version, change.deleted) == (4, True)


async def test_a_list_tells_subscribers_of_a_deletion_that_was_missed() -> None:
    cache = _cache()
    cache.put(_record("t", 2))
    with cache.subscribe("t") as changes:
        cache.replace([], 10)
        assert (await changes.next()).deleted


def test_a_subscription_leaves_nothing_behind() -> None:
    cache = _cache()
    with cache.subscribe("t"), cache.subscribe("t"):
        pass
    assert cache._subscriptions == {}
