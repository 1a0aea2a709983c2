"""Random interleavings of changes, deletions, replicas that come and go, and clients that read slowly.

Whatever happens, a client ends up knowing what is true, and was told no state of a Task twice or out of
order; :class:`.feeding.Client` checks the latter with every message.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from harebell_api.feed.message import TOO_SLOW
from harebell_api.feed.wanted import wanted_of
from harebell_api.models import StreamQuery
from harebell_api.permissions import Access, Scope
from harebell_api.records import task_record

from .fakes import NAMESPACE
from .feeding import ANYONE, Client, Replica, World

NAMES = ("a", "b", "c", "d", "e")
PHASES = ("Pending", "Queued", "Running", "Succeeded")
TYPES = ("text", "infra")
TEXT_ONLY = Access("limited", frozenset({Scope.READ}), frozenset({"text"}))
FOLLOWED: tuple[tuple[Access, dict[str, Any]], ...] = (
    (ANYONE, {}),
    (TEXT_ONLY, {}),
    (ANYONE, {"agent_type": ["infra"]}),
    (ANYONE, {"phase": ["running"]}),
    (ANYONE, {"label_selector": "team=web"}),
)

small = st.integers(0, 4)
steps = st.one_of(  # what is there twice happens more often
    st.tuples(st.just("create"), st.sampled_from(NAMES), st.sampled_from(TYPES), st.booleans()),
    st.tuples(st.just("modify"), st.sampled_from(NAMES), st.sampled_from(PHASES), st.booleans()),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.sampled_from((True, True, True, False))),
    st.tuples(st.just("deliver"), st.integers(0, 1), st.integers(1, 3)),
    st.tuples(st.just("relist"), st.integers(0, 1)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
    st.tuples(st.just("others"), st.integers(1, 3)),
    st.tuples(st.just("archive"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.sampled_from((1, 30, 200))),
    st.tuples(st.just("connect"), small, st.integers(0, 1)),
    st.tuples(st.just("disconnect"), small),
    st.tuples(st.just("read"), small, st.integers(1, 4)),
    st.tuples(st.just("read"), small, st.integers(3, 9)),
    st.tuples(st.just("deliver"), st.integers(0, 1), st.integers(1, 6)),
    st.tuples(st.just("modify"), st.sampled_from(NAMES), st.sampled_from(PHASES), st.booleans()),
    st.tuples(st.just("connect"), small, st.integers(0, 1)),
)


class Run:
    def __init__(self, max_gone: int, archive: bool) -> None:
        self.world = World()
        self._max_gone, self._archive = max_gone, archive
        for name in NAMES[:3]:
            self.world.create(name, TYPES[0])
        self.replicas = [self._replica(), self._replica()]
        self.clients = [Client(access, **query) for access, query in FOLLOWED]
        self._at = [0] * len(self.clients)

    def _replica(self) -> Replica:
        return Replica(self.world, self._max_gone, self._archive)

    async def step(self, kind: str, *rest: Any) -> None:
        world = self.world
        match kind, *rest:
            case "create", name, agent_type, labelled:
                if name not in world.tasks:
                    world.create(name, agent_type, labels={"team": "web"} if labelled else {})
            case "modify", name, phase, labelled:
                if name in world.tasks:
                    world.modify(name, phase, {"team": "web"} if labelled else None)
            case "delete", name, recorded:
                if name in world.tasks:
                    world.delete(name, recorded)
            case "deliver", number, events:
                self.replicas[number].deliver(events)
            case "relist", number:
                self.replicas[number].relist()
            case "restart", number:
                for client, at in zip(self.clients, self._at, strict=True):
                    if at == number:
                        await client.disconnect()
                self.replicas[number] = self._replica()
            case "others", changes:
                world.version += changes  # of other resources
            case "archive", records:
                world.archived = min(len(world.removed), world.archived + records)
            case "wait", seconds:
                world.seconds += seconds
            case "connect", number, replica:
                await self._connect(number, replica)
            case "disconnect", number:
                await self.clients[number].disconnect()
            case "read", number, messages:
                await self.clients[number].read(messages)

    async def _connect(self, number: int, replica: int) -> None:
        client = self.clients[number]
        if not client.connected:
            client.connect(self.replicas[replica])
            self._at[number] = replica

    async def finish(self) -> None:
        """Let everybody hear everything."""
        self.world.archived = len(self.world.removed)
        for replica in self.replicas:
            replica.deliver()
        for number, client in enumerate(self.clients):
            while True:
                await self._connect(number, number % 2)
                while await client.read(1):
                    pass
                if client.end is None:
                    break
                assert client.end.code == TOO_SLOW
            await client.disconnect()

    def truth(self, number: int) -> dict[str, int]:
        access, query = FOLLOWED[number]
        wanted = wanted_of(StreamQuery.model_validate(query), access, NAMESPACE)
        records = [task_record(found) for found in self.world.tasks.values()]
        return {r.uid: r.version for r in records if wanted.selection.matches(r)}  # type: ignore[union-attr]


async def _run(script: list[tuple[Any, ...]], max_gone: int, archive: bool) -> Run:
    run = Run(max_gone, archive)
    for step in script:
        await run.step(*step)
    await run.finish()
    return run


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(steps, min_size=60, max_size=150), st.sampled_from((1, 3, 1000)), st.booleans())
def test_every_client_ends_up_with_the_truth(
    script: list[tuple[Any, ...]], max_gone: int, archive: bool
) -> None:
    run = asyncio.run(_run(script, max_gone, archive))
    for number, client in enumerate(run.clients):
        event(f"told of {', '.join(sorted(set(client.types)))}")
        assert client.known == run.truth(number), FOLLOWED[number]


@pytest.mark.parametrize("archive", [True, False])
def test_a_long_life(archive: bool) -> None:
    """The same steps in a fixed order, long enough for each kind of message, as the count of them shows."""
    script: list[tuple[Any, ...]] = []
    for n in range(300):
        name = NAMES[n % 5]
        script += [
            ("connect", n % 5, n % 2),
            ("create", name, TYPES[n % 2], n % 3 == 0),
            ("read", n % 5, 3),
            ("modify", name, PHASES[n % 4], n % 7 == 0),
            ("deliver", n % 2, 2),
            ("delete", NAMES[(n * 3) % 5], True),
            ("archive", 1),
            ("wait", 30),
        ]
        if n % 11 == 0:
            script.append(("restart", n % 2))
        if n % 13 == 0:
            script.append(("disconnect", n % 5))
    run = asyncio.run(_run(script, 1000, archive))
    for number, client in enumerate(run.clients):
        assert client.known == run.truth(number), FOLLOWED[number]
    told = Counter(kind for client in run.clients for kind in client.types)
    assert {"snapshot", "update", "left", "deleted", "synced", "reset"} <= set(told)
