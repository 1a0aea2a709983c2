"""The watchdog, with an API server that only has numbers."""

import asyncio
from typing import Any

import pytest
from tests.support.waiting import eventually

from harebell_operator import watch
from harebell_operator.apiserver import KubeError
from harebell_operator.kube import version
from harebell_operator.watchdog import KINDS, Watchdog


class Server:
    """Stands in for :class:`Kube`."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}
        self.there = True
        self.asked: list[str] = []

    async def ask(self, plural: str) -> None:
        self.asked.append(plural)
        if not self.there:
            raise KubeError("503")


def brought(number: int) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(number)}}


async def until(what: str, check: Any) -> None:
    async def checked() -> bool:
        return bool(check())

    await eventually(what, checked)


async def test_watches_that_bring_nothing_are_named_until_they_do() -> None:
    server = Server()
    kube: Any = server
    watchdog = Watchdog(kube, 0.12)
    running = asyncio.create_task(watchdog.run())
    try:
        server.newest = {"tasks": 5, "agents": 9, "buses": 12}
        watchdog.seen("agents", brought(9))
        # Objects are handled side by side.
        watchdog.seen("agents", brought(8))
        assert watchdog.problem is None
        await until("it to be called dead", lambda: watchdog.problem)
        assert str(watchdog.problem).endswith("what the API server has: tasks")
        server.newest["pods"] = 3
        await until("both to be named", lambda: str(watchdog.problem).endswith(": tasks, pods"))
        # Nobody is asked about what is not behind.
        assert set(server.asked) == {"tasks", "pods"}
        watchdog.seen("tasks", brought(6))
        watchdog.seen("pods", brought(3))
        await until("all to be well", lambda: watchdog.problem is None)
    finally:
        running.cancel()


async def test_while_the_api_server_is_away_no_watch_is_dead() -> None:
    server = Server()
    server.there = False
    server.newest = {"tasks": 5}
    kube: Any = server
    watchdog = Watchdog(kube, 0.012)
    running = asyncio.create_task(watchdog.run())
    try:
        await until("many looks", lambda: len(server.asked) > 50)
        assert watchdog.problem is None
    finally:
        running.cancel()


@pytest.mark.parametrize(
    ("found", "number"), [({"resourceVersion": "17"}, 17), ({"resourceVersion": "a1"}, 0), ({}, 0)]
)
def test_a_version_that_is_no_number_is_older_than_all(found: dict[str, str], number: int) -> None:
    assert version({"metadata": found}) == number


def test_every_kind_that_is_watched_is_looked_at() -> None:

    unused: Any = None
    registry = watch.registry(unused, unused, unused, unused, unused)
    selectors = {
        str(h.selector.any_name or h.selector.plural)
        for h in registry._watching.get_all_handlers()
        if h.selector
    }
    assert selectors == set(KINDS)
