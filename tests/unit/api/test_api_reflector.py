from typing import Any

import pytest

from harebell_api.cache import Cache
from harebell_api.kube import Kind
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_api.records import TaskRecord, task_record
from harebell_api.reflector import Reflector
from harebell_api.tasks import task_aliases

from .fakes import ScriptedSource, ScriptEndedError, task

DOWN = ApiServerUnreachableError("down")


def _event(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": item}


def _bookmark(version: int) -> dict[str, Any]:
    return _event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


GONE = _event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


class Played:
    """A reflector that ran until its script ended."""

    def __init__(self, source: ScriptedSource, seconds_a_watch: float = 60) -> None:
        self.source = source
        self.cache: Cache[TaskRecord] = Cache(task_aliases)
        self.pauses: list[float] = []
        self.restarts: list[str] = []
        self._now, self._step = 0.0, seconds_a_watch
        self._reflector = Reflector(
            Kind.TASKS,
            source,
            self.cache,
            task_record,
            lambda kind, reason: self.restarts.append(reason),
            self._sleep,
            self._clock,
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def _clock(self) -> float:
        self._now += self._step
        return self._now

    async def run(self) -> "Played":
        with pytest.raises(ScriptEndedError):
            await self._reflector.run()
        return self

    @property
    def names(self) -> dict[str, int]:
        return {record.name: record.version for record in self.cache.values()}


async def test_list_then_watch_and_go_on_from_there() -> None:
    events: list[Any] = [
        _event("ADDED", task("b", 11)),
        _event("MODIFIED", task("a", 12)),
        _event("DELETED", task("b", 13)),
        _bookmark(20),
    ]
    played = await Played(ScriptedSource([([task("a", 5), task("c", 6)], 10)], [events, []])).run()
    assert played.names == {"a": 12, "c": 6}
    assert played.source.asked == ["list", "10", "20", "20"]
    assert (played.pauses, played.restarts) == ([], [])
    assert played.cache.fresh


async def test_a_broken_watch_goes_on_where_it_was_without_listing() -> None:
    source = ScriptedSource([([], 10)], [[_event("ADDED", task("a", 11)), DOWN], []])
    played = await Played(source).run()
    assert source.asked == ["list", "10", "11", "11"]
    assert played.restarts == ["unreachable"]
    assert len(played.pauses) == 1


@pytest.mark.parametrize("gone", [GONE, ApiServerError(410, "Expired", "too old")])
async def test_history_that_is_gone_is_listed_again(gone: Any) -> None:
    source = ScriptedSource([([task("a", 5)], 10), ([task("b", 30)], 31)], [[gone]])
    played = await Played(source).run()
    assert source.asked == ["list", "10", "list", "31"]
    assert (played.names, played.restarts) == ({"b": 30}, ["gone"])


async def test_pauses_grow_and_a_success_ends_them() -> None:
    lists: list[Any] = [DOWN] * 10
    source = ScriptedSource([*lists, ([], 1)], [[_bookmark(2), DOWN]])
    played = await Played(source).run()
    assert len(played.pauses) == 11
    limits = [0.5, 1, 2, 4, 5, 5, 5, 5, 5, 5]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(played.pauses, limits, strict=False))
    assert played.pauses[10] <= 0.5


async def test_an_outage_does_not_delay_the_list_that_follows_it() -> None:
    watches: list[Any] = [[DOWN]] * 8
    source = ScriptedSource([([], 10), ([], 20)], [*watches, [GONE]])
    played = await Played(source).run()
    assert played.restarts == [*["unreachable"] * 8, "gone"]
    assert played.pauses[7] > 2
    assert played.pauses[8] <= 0.5


async def test_a_watch_that_ends_at_once_is_a_failure() -> None:
    source = ScriptedSource([([], 10)], [[]])
    played = await Played(source, seconds_a_watch=0.1).run()
    assert played.restarts == ["unreachable"]


async def test_refusals_are_tried_again() -> None:
    source = ScriptedSource([ApiServerError(403, "Forbidden", "no rights"), ([], 1)], [])
    played = await Played(source).run()
    assert played.restarts == ["error"]
    assert source.asked == ["list", "list", "1"]


async def test_an_error_event_is_not_an_object() -> None:
    error = _event("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError", "message": "oh"})
    source = ScriptedSource([([], 10)], [[error], []])
    played = await Played(source).run()
    assert played.restarts == ["error"]
    assert source.asked == ["list", "10", "10", "10"]
