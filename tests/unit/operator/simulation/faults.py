"""What can happen to a Task, each a function that makes it happen to a world, and how likely it is."""

from collections.abc import Callable
from datetime import timedelta

from harebell_bus.envelopes import Started, Succeeded
from harebell_crds.task import CancelMode, Priority, TaskPhase
from harebell_operator.decide.lanes import newest_message

from .fleet import Agent
from .world import World


def operator_works(world: World) -> None:
    if world.due is not None and world.due <= world.now:
        world.work()


def operator_works_and_crashes(world: World) -> None:
    world.work(crash=True)


def status_conflicts(world: World) -> None:
    world.work(conflict=True)


def operator_restarts(world: World) -> None:
    world.restart()


def replies_arrive(world: World) -> None:
    world.deliver()


def replies_are_heard_out(world: World) -> None:
    world.hear_out()


def reply_is_repeated(world: World) -> None:
    replies = world.broker.replies
    if replies:
        replies.append(world.rng.choice(replies))


def reply_is_lost(world: World) -> None:
    replies = world.broker.replies
    if replies:
        replies.remove(world.rng.choice(replies))


def agent_takes(world: World) -> None:
    agent = _one(world)
    if world.broker.work and agent.reachable and not agent.running:
        agent.take(world.rng.choice(world.broker.work), world.now, dies=world.rng.random() < 0.1)


def agent_progresses(world: World) -> None:
    agent = _one(world)
    for attempt in sorted(agent.running):
        agent.progress(attempt, world.now)


def agent_ends(world: World) -> None:
    agent = _one(world)
    for attempt in sorted(agent.running):
        ways = ("succeeded", "failed", "failed", "failed", "interrupted", "failed for good")
        how = "cancelled" if attempt in agent.stopping else world.rng.choice(ways)
        agent.end(attempt, how, world.now)


def agent_dies(world: World) -> None:
    _one(world).die()


def agent_forgets(world: World) -> None:
    _one(world).running.clear()


def agent_is_cut_off(world: World) -> None:
    _one(world).connected = False


def agent_comes_back(world: World) -> None:
    _one(world).connect(newest_message(world.status))


def agent_is_heard_of(world: World) -> None:
    world.hear_of(_one(world))


def agent_is_missed(world: World) -> None:
    agent = _one(world)
    if not agent.reachable:
        world.miss(agent)


def agent_speaks_out_of_turn(world: World) -> None:
    """Say something of an attempt that it never had."""
    if world.attempts_published:
        agent, attempt = _one(world), world.rng.randint(1, world.attempts_published)
        agent.say(Started, attempt, world.now)
        if world.rng.random() < 0.5:
            agent.say(Succeeded, attempt, world.now, result=f"{attempt}/{agent.instance}")


def broker_goes(world: World) -> None:
    world.lose_the_broker(known=world.rng.random() < 0.5)


def broker_comes(world: World) -> None:
    if not world.broker.up or world.known_down:
        world.broker.up, world.known_down = True, False
        world.soon()


def broker_loses_work(world: World) -> None:
    if world.broker.work:
        world.broker.work.clear()
        world.message_lost = world.status.phase == TaskPhase.QUEUED and world.rng.random() < 0.5
        world.soon()


def broker_gives_up(world: World) -> None:
    if world.broker.work:
        world.broker.give_up(world.rng.choice(world.broker.work))


def time_passes(world: World) -> None:
    world.now += timedelta(seconds=world.rng.choice((0.1, 1, 6, 6, 31, 200)))


def time_comes(world: World) -> None:
    if world.due is not None:
        world.now = max(world.now, world.due)


def somebody_cancels(world: World) -> None:
    if world.spec.cancel != CancelMode.IMMEDIATE:
        _change(world, cancel=world.rng.choice(tuple(CancelMode)))


def somebody_suspends_or_resumes(world: World) -> None:
    _change(world, suspend=not world.spec.suspend)


def somebody_changes_the_priority(world: World) -> None:
    if world.stored.phase in (None, TaskPhase.PENDING, TaskPhase.QUEUED):
        _change(world, priority=world.rng.choice(tuple(Priority)))


def somebody_changes_the_ttl(world: World) -> None:
    _change(world, ttl_seconds_after_finished=world.rng.choice((0, 100, 1000)))


def _change(world: World, **update: object) -> None:
    world.spec = world.spec.model_copy(update=update)
    world.generation += 1
    world.soon()


def _one(world: World) -> Agent:
    return world.rng.choice(world.agents)


LIKELIHOOD: dict[Callable[[World], None], float] = {
    operator_works: 12,
    operator_works_and_crashes: 0.7,
    status_conflicts: 0.7,
    operator_restarts: 0.7,
    replies_arrive: 8,
    replies_are_heard_out: 5,
    reply_is_repeated: 1,
    reply_is_lost: 0.5,
    agent_takes: 9,
    agent_progresses: 1,
    agent_ends: 7,
    agent_dies: 1,
    agent_forgets: 0.4,
    agent_is_cut_off: 1,
    agent_comes_back: 2,
    agent_is_heard_of: 2,
    agent_is_missed: 2,
    agent_speaks_out_of_turn: 0.4,
    broker_goes: 0.5,
    broker_comes: 1.5,
    broker_loses_work: 0.4,
    broker_gives_up: 0.2,
    time_passes: 4,
    time_comes: 4,
    somebody_cancels: 0.25,
    somebody_suspends_or_resumes: 0.7,
    somebody_changes_the_priority: 0.7,
    somebody_changes_the_ttl: 0.4,
}
EVENTS = tuple(LIKELIHOOD)
WEIGHTS = tuple(LIKELIHOOD.values())
