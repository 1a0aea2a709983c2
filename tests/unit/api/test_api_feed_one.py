"""The stream of one Task that is gone on with, case by case."""

import pytest

from harebell_api.feed.message import End
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.permissions import Access, Scope
from harebell_api.records import task_record

from .fakes import task, uid_of
from .feeding import Client, Replica, World

INFRA_ONLY = Access("limited", frozenset({Scope.READ}), frozenset({"infra"}))


@pytest.fixture
def world() -> World:
    world = World()
    world.create("t")
    return world


async def _follow(client: Client, replica: Replica) -> tuple[list[str], End | None]:
    """Return what a client is told, and how the stream ended, if it did."""
    client.types.clear()
    client.connect(replica)
    while await client.read(1):
        pass
    await client.disconnect()
    return list(client.types), client.end


async def _told(world: World, replica: Replica, task_id: str = "t") -> Client:
    client = Client(task_id=task_id)
    assert (await _follow(client, replica)) == (["snapshot"], None)
    return client


def _codes(told: tuple[list[str], End | None]) -> tuple[list[str], int | None]:
    return told[0], told[1].code if told[1] is not None else None


async def test_nothing_new(world: World) -> None:
    replica = Replica(world)
    client = await _told(world, replica)
    assert await _follow(client, replica) == ([], None)


async def test_what_changed(world: World) -> None:
    client = await _told(world, Replica(world))
    world.modify("t", "Queued")
    world.modify("t", "Running")
    assert await _follow(client, Replica(world)) == (["update"], None)


async def test_the_end_that_was_missed_and_the_end_that_was_told(world: World) -> None:
    client = await _told(world, Replica(world))
    world.modify("t", "Succeeded")
    replica = Replica(world)
    assert _codes(await _follow(client, replica)) == (["update"], 1000)
    assert _codes(await _follow(client, replica)) == ([], 1000)


@pytest.mark.parametrize("where", ["log", "archive"])
@pytest.mark.parametrize("by_uid", [True, False])
async def test_the_last_state_of_what_was_deleted(world: World, where: str, by_uid: bool) -> None:
    replica = Replica(world)
    task_id = next(iter(world.tasks.values()))["metadata"]["uid"] if by_uid else "t"
    client = await _told(world, replica, task_id)
    world.modify("t", "Succeeded")
    world.delete("t")
    world.create("t")  # another one, which is not meant
    world.archived = 1
    if where == "archive":
        replica = Replica(world)
    replica.deliver()
    assert _codes(await _follow(client, replica)) == (["deleted"], 1000)
    assert _codes(await _follow(client, replica)) == ([], 1000)


async def test_a_name_that_looks_like_a_uid(world: World) -> None:
    name = uid_of(77)
    world.create(name)
    client = await _told(world, Replica(world), name)
    world.modify(name, "Queued")
    assert await _follow(client, Replica(world)) == (["update"], None)


async def test_the_archive_is_given_time(world: World) -> None:
    client = await _told(world, Replica(world))
    world.delete("t")
    client.connect(replica := Replica(world, archive_seconds=3600))
    assert await client.read(1) == 0
    world.archived = 1
    await client.read(2)
    assert client.types[-1] == "deleted"
    assert replica.feed.filled


@pytest.mark.parametrize("archive", [True, False])
async def test_what_nobody_knows_is_said_to_be_unknown(world: World, archive: bool) -> None:
    client = await _told(world, Replica(world))
    world.delete("t", recorded=False)
    assert _codes(await _follow(client, Replica(world, archive=archive))) == (["reset"], 4404)


async def test_an_archive_or_an_api_server_that_is_away(world: World) -> None:
    client = await _told(world, Replica(world))
    world.delete("t")
    world.down = True
    replica = Replica(world)
    assert _codes(await _follow(client, replica)) == ([], 1013)
    replica.store.failure = ApiServerUnreachableError("down")
    assert _codes(await _follow(client, replica)) == ([], 1013)


async def test_a_restored_cluster(world: World) -> None:
    replica, client = Replica(world), Client(task_id="t")
    client.connect(replica)
    await client.read(1)
    (uid,) = client.known
    replica.cache.replace([task_record(task("t", 50, phase="Running", uid=uid))], 60)
    await client.read(2)
    assert client.types == ["snapshot", "reset", "snapshot"]
    assert client.known == {uid: 50}
    await client.disconnect()
    # One that comes back afterwards, with a cursor from before.
    late = await _told(world, Replica(world))
    restored = Replica(World(version=10), catch_up=0)
    restored.cache.replace([task_record(task("t", 5, phase="Running", uid=uid))], 10)
    restored.store.version = 10
    assert await _follow(late, restored) == (["reset", "update"], None)


@pytest.mark.parametrize("deleted", ["no", "log", "archive"])
async def test_a_task_of_another_type_does_not_exist(world: World, deleted: str) -> None:
    replica = Replica(world)
    client = await _told(world, replica)
    if deleted != "no":
        world.delete("t")
        world.archived = 1
    if deleted == "archive":
        replica = Replica(world)
    replica.deliver()
    unseen = Client(INFRA_ONLY, task_id="t")
    assert _codes(await _follow(unseen, replica)) == ([], 4404)
    client.access = INFRA_ONLY  # rights that were taken away since the cursor
    types, code = _codes(await _follow(client, replica))
    assert "deleted" not in types
    assert code in (1000, 4404)


async def test_the_archive_shows_the_end(world: World) -> None:
    client = await _told(world, Replica(world))
    world.modify("t", "Succeeded")
    world.delete("t")
    world.archived = 1
    await _follow(client, Replica(world))
    shown = client.messages[-1]["task"]
    assert (shown["phase"], shown["source"]) == ("Succeeded", "archive")
    assert client.end is not None
    assert client.end.code == 1000
