"""What a client of a selection is told, case by case; :class:`.feeding.Client` checks the order."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from harebell_api.cache import Cache
from harebell_api.feed.cursor import Point, decode, encode
from harebell_api.feed.feed import Feed
from harebell_api.feed.many import follow_many
from harebell_api.feed.message import Message
from harebell_api.feed.wanted import wanted_of
from harebell_api.kube import Kind
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.models import StreamQuery
from harebell_api.permissions import Access, Scope
from harebell_api.records import TaskRecord, task_record
from harebell_api.reflector import Reflector
from harebell_api.tasks import task_aliases

from .fakes import NAMESPACE, ScriptedSource, ScriptEndedError, task
from .feeding import ANYONE, Client, Replica, World

TEXT_ONLY = Access("limited", frozenset({Scope.READ}), frozenset({"text"}))
INFRA_ONLY = Access("limited", frozenset({Scope.READ}), frozenset({"infra"}))


@pytest.fixture
def world() -> World:
    world = World()
    for name in "abc":
        world.create(name)
    return world


async def _synced(world: World, replica: Replica, access: Access = ANYONE, **query: Any) -> Client:
    """Return a client that knows everything, and is gone."""
    client = Client(access, **query)
    client.connect(replica)
    await _read_all(client)
    assert client.types[-1] == "synced"
    await client.disconnect()
    client.types.clear()
    return client


async def _read_all(client: Client) -> list[str]:
    while await client.read(1):
        pass
    return client.types


async def _resume(client: Client, replica: Replica) -> list[str]:
    client.connect(replica)
    try:
        return await _read_all(client)
    finally:
        await client.disconnect()


async def test_a_cursor_goes_on_at_another_replica(world: World) -> None:
    one, other = Replica(world), Replica(world)
    client = await _synced(world, one)
    world.modify("a", "Running")
    world.delete("b")
    world.create("d")
    world.modify("d", "Running")
    other.deliver()
    assert await _resume(client, other) == ["update", "deleted", "update", "synced"]


async def test_who_is_slow_is_told_the_newest_state_only(world: World) -> None:
    replica, client = Replica(world), Client()
    client.connect(replica)
    await _read_all(client)
    for phase in ("Queued", "Running", "Succeeded"):
        last = world.modify("a", phase)
        replica.deliver()
    client.types.clear()
    assert await _read_all(client) == ["update"]
    assert client.known[last.uid] == last.version


async def test_nothing_is_told_before_the_watch_brings_it(world: World) -> None:
    """Else a cursor would leave out what was changed a little earlier, and is still to come."""
    replica, client = Replica(world), Client()
    client.connect(replica)
    await _read_all(client)
    world.modify("a", "Running")
    replica.cache.remember(world.modify("b", "Running"))
    client.types.clear()
    assert await _read_all(client) == []
    replica.deliver()
    assert await _read_all(client) == ["update", "update"]


async def test_an_interrupted_snapshot_begins_anew(world: World) -> None:
    replica, client = Replica(world), Client()
    client.connect(replica)
    await client.read(2)
    await client.disconnect()
    world.delete("a")
    replica.deliver()
    assert await _resume(client, replica) == ["snapshot"] * 2 + ["reset"] + ["snapshot"] * 2 + ["synced"]
    assert len(client.known) == 2


async def test_a_restart_in_which_nothing_was_deleted(world: World) -> None:
    client = await _synced(world, Replica(world))
    world.seconds += 300
    world.modify("a", "Running")
    world.create("d")
    assert await _resume(client, Replica(world)) == ["update", "update", "synced"]


async def test_deletions_before_a_restart_are_told_from_the_archive(world: World) -> None:
    client = await _synced(world, Replica(world))
    world.seconds += 300
    gone = world.delete("a")
    world.create("d")
    world.delete("d")
    world.modify("b", "Running")
    world.archived = 2
    replica = Replica(world)
    world.delete("c")
    replica.deliver()
    assert await _resume(client, replica) == ["deleted", "update", "deleted", "synced"]
    assert gone.uid not in client.known
    assert len(client.known) == 1
    # And from there on with the logs alone.
    client.types.clear()
    assert await _resume(client, replica) == ["synced"]


@pytest.mark.parametrize("read", [1, 2, 9])
async def test_what_the_archive_told_is_not_told_again_by_a_replica_that_is_behind(
    world: World, read: int
) -> None:
    behind = Replica(world)
    client = await _synced(world, Replica(world))
    world.seconds += 300
    world.modify("b", "Running")
    behind.deliver()
    world.delete("a")
    world.archived = 1
    world.version += 10  # of other resources
    restarted = Replica(world)
    client.connect(restarted)
    await client.read(read)
    await client.disconnect()
    assert client.types == ["deleted", "update", "synced"][:read]
    client.connect(behind)
    await _read_all(client)
    behind.deliver()
    behind.cache.heard(world.version)
    await _read_all(client)
    await client.disconnect()
    assert len(client.known) == 2


async def test_the_archive_is_given_time(world: World) -> None:
    client = await _synced(world, Replica(world))
    world.seconds += 300
    world.delete("a")
    replica = Replica(world, archive_seconds=3600)
    client.connect(replica)
    assert await _read_all(client) == []
    world.archived = 1
    assert await _read_all(client) == ["deleted", "synced"]
    await client.disconnect()


@pytest.mark.parametrize(
    "case",
    ["unrecorded", "late", "down", "none", "by phase", "not caught up", "too old", "too new", "too many"],
)
async def test_what_cannot_be_proved_is_begun_anew(world: World, case: str) -> None:
    query: dict[str, Any] = {"phase": ["pending"]} if case == "by phase" else {}
    client = await _synced(world, Replica(world), **query)
    world.seconds += 300
    world.delete("a", recorded=case != "unrecorded")
    world.archived = 0 if case == "late" else len(world.removed)
    world.down = case == "down"
    point = decode(client.model.cursor or "")
    assert isinstance(point, Point)
    match case:
        case "not caught up":
            client.model.cursor = encode(replace(point, total=None))
        case "too old":
            client.model.cursor = encode(replace(point, at=point.at - 8 * 86400))
        case "too new":
            client.model.cursor = encode(replace(point, at=2**63 - 1))
        case "too many":
            world.too_many = True
    replica = Replica(world, archive=case != "none")
    assert await _resume(client, replica) == ["reset", "snapshot", "snapshot", "synced"]


async def test_a_list_in_place_of_changes_leaves_a_gap_for_others_cursors(world: World) -> None:
    """A Task that came and went unseen by one replica was told of by the other."""
    one, other = Replica(world), Replica(world, archive=False)
    world.create("d")
    one.deliver()
    client = await _synced(world, one)
    world.delete("d")
    other.relist()
    assert (await _resume(client, other))[0] == "reset"
    assert len(client.known) == 3


async def test_a_replica_that_is_behind_catches_up_first(world: World) -> None:
    one, other = Replica(world), Replica(world)
    world.modify("a", "Running")
    one.deliver()
    client = await _synced(world, one)
    world.modify("b", "Running")
    client.connect(other)
    assert await _read_all(client) == []
    other.deliver()
    assert await _read_all(client) == ["update", "synced"]
    await client.disconnect()


async def test_a_replica_that_stays_behind_says_so(world: World) -> None:
    one, other = Replica(world), Replica(world, catch_up=0)
    world.modify("a", "Running")
    one.deliver()
    client = await _synced(world, one)
    other.store.version = world.version
    assert await _resume(client, other) == []
    assert client.end is not None
    assert (client.end.code, client.end.reason) == (1013, "this replica of the API is behind")
    other.store.failure = ApiServerUnreachableError("down")
    assert await _resume(client, other) == []
    assert client.end.code == 1013


async def test_a_cursor_from_the_future_of_a_restored_cluster(world: World) -> None:
    client = await _synced(world, Replica(world))
    restored = World(version=50)
    restored.create("z")
    replica = Replica(restored, catch_up=0)
    replica.store.version = restored.version
    assert await _resume(client, replica) == ["reset", "snapshot", "synced"]
    assert len(client.known) == 1


async def test_a_cluster_that_is_restored_meanwhile(world: World) -> None:
    replica, client = Replica(world), Client()
    client.connect(replica)
    await _read_all(client)
    client.types.clear()
    replica.cache.replace([task_record(task("a", 60, uid=next(iter(client.known))))], 70)
    assert await _read_all(client) == ["reset", "snapshot", "synced"]
    assert list(client.known.values()) == [60]
    replica.cache.put(task_record(task("b", 71)))
    assert (await _read_all(client))[-1] == "update"
    await client.disconnect()


async def test_before_the_first_list_nothing_is_said(world: World) -> None:
    replica = Replica(world, catch_up=0)
    replica.feed.filled = False
    client = Client()
    client.connect(replica)
    await client.read(1)
    assert client.end is not None
    assert client.end.code == 1013


async def test_tasks_of_types_that_a_client_may_not_see_do_not_exist(world: World) -> None:
    replica = Replica(world)
    world.create("secret", "infra", labels={"team": "web"})
    replica.deliver()
    client = await _synced(world, replica, TEXT_ONLY, label_selector="team=web")
    client.connect(replica)
    await _read_all(client)
    client.types.clear()
    world.modify("secret", "Running", labels={})
    world.delete("secret")
    replica.deliver()
    assert await _read_all(client) == []
    await client.disconnect()
    assert await _resume(client, replica) == ["synced"]
    assert client.known == {}
    nobody = await _synced(world, replica, TEXT_ONLY, agent_type=["infra"])
    assert nobody.known == {}


async def test_rights_that_changed_begin_anew(world: World) -> None:
    replica = Replica(world)
    client = await _synced(world, replica, INFRA_ONLY)
    client.access = ANYONE
    assert (await _resume(client, replica))[0] == "reset"
    assert len(client.known) == 3


async def test_who_fell_too_far_behind_is_dropped_and_can_come_back(world: World) -> None:
    replica, client = Replica(world, max_gone=1), Client()
    client.connect(replica)
    await _read_all(client)
    client.types.clear()
    world.seconds += 300
    for name in "ab":
        world.delete(name)
    world.archived = 1
    replica.deliver()
    await client.read(1)
    assert client.end is not None
    assert (client.end.code, client.end.reason) == (4408, "the client fell too far behind")
    assert await _resume(client, replica) == ["deleted", "deleted", "synced"]


async def test_deletion_of_a_task_never_told_of(world: World) -> None:
    """It is told: its last state may be the one the client waits for."""
    replica, client = Replica(world), Client()
    client.connect(replica)
    await _read_all(client)
    world.create("quick")
    world.modify("quick", "Succeeded")
    world.delete("quick")
    replica.deliver()
    client.types.clear()
    assert await _read_all(client) == ["deleted"]


async def test_a_change_is_put_into_words_once(world: World) -> None:
    """However many follow: all are given the same object."""
    replica = Replica(world)
    wanted = wanted_of(StreamQuery(), ANYONE, NAMESPACE)
    streams = [follow_many(replica.sources, wanted) for _ in range(3)]  # type: ignore[arg-type]
    for stream in streams:
        for _ in range(4):
            await anext(stream)
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    world.modify("a", "Running")
    await asyncio.sleep(0)
    replica.deliver()
    told = await asyncio.gather(*waiting)
    assert {type(item) for item in told} == {Message}
    assert len({id(item) for item in told}) == 1
    assert len(replica.feed._views) == 1
    for stream in streams:
        await stream.aclose()
    assert replica.feed._views == {}


async def test_a_watch_that_was_gone_loses_nothing() -> None:
    """After 410 Gone a list takes the place of what was missed, and streams go on with what changed."""

    def event(kind: str, item: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "object": item}

    gone = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
    before: list[Any] = [task("a", 5), task("b", 6)]
    after: list[Any] = [task("a", 5), task("c", 27), task("d", 28)]
    watches: list[list[Any]] = [[event("ADDED", task("c", 11)), gone], [event("DELETED", task("d", 32))]]
    source = ScriptedSource([(before, 10), (after, 30)], watches)
    cache: Cache[TaskRecord] = Cache(task_aliases)
    feed = Feed()
    cache.reflect_in(feed)

    async def no_pause(seconds: float) -> None:
        pass

    reflector = Reflector(Kind.TASKS, source, cache, task_record, lambda kind, why: None, no_pause)
    with feed.view(wanted_of(StreamQuery(), ANYONE, NAMESPACE).selection) as view:  # type: ignore[union-attr]
        with pytest.raises(ScriptEndedError):
            await reflector.run()
        told = [(e.change.value, e.record.name, e.version, e.settled) for e in view.log]
    assert told == [
        ("update", "a", 5, False),
        ("update", "c", 27, False),
        ("deleted", "b", 30, True),
        ("deleted", "d", 32, True),
    ]
    assert source.asked == ["list", "10", "list", "30", "32"]
