"""Whether an agent says that it listens for work."""

import asyncio

from harebell_agent.announcements import Announcements
from harebell_agent.listening import FRESH_SECONDS, Listening
from harebell_agent.presence import Identity, Presence
from harebell_bus.envelopes import Heartbeat, Resources

from .support import ME, NOW, Desk, until


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_listens_as_long_as_its_loops_get_answers() -> None:
    clock = Clock()
    listening = Listening(clock)
    assert listening.consuming is False
    listening.answered()
    for _ in range(3):
        clock.now += FRESH_SECONDS - 1
        assert listening.consuming is True
        listening.answered()
    clock.now += FRESH_SECONDS
    assert listening.consuming is False
    listening.answered()
    assert listening.consuming is True
    assert listening.last_delivery_at is None


def test_what_arrives_counts_as_an_answer_and_is_dated() -> None:
    clock = Clock()
    listening = Listening(clock, lambda: NOW)
    listening.delivered()
    assert (listening.consuming, listening.last_delivery_at) == (True, NOW)


def test_one_that_shuts_down_does_not_say() -> None:
    listening = Listening(Clock())
    listening.answered()
    listening.end()
    assert listening.consuming is None


async def test_heartbeats_go_on_and_tell_when_the_loops_have_ended() -> None:
    async def resources() -> Resources:
        return Resources(gpus=())

    clock, desk = Clock(), Desk()
    listening = Listening(clock, lambda: NOW)
    identity = Identity(ME, "text", "1.0", NOW, 1, ("act",), None)
    presence = Presence(
        identity, desk.broker, desk.inflight.current, resources, Announcements(), listening, lambda: NOW
    )
    running = asyncio.create_task(presence.run())

    async def heard() -> Heartbeat:
        seen = len(desk.broker.published)
        presence.query()
        await until(lambda: len(desk.broker.published) > seen)
        return desk.broker.all(Heartbeat)[-1]

    listening.delivered()
    beat = await heard()
    assert (beat.consuming, beat.last_delivery_at) == (True, NOW)
    clock.now += FRESH_SECONDS
    beat = await heard()
    assert (beat.consuming, beat.last_delivery_at) == (False, NOW)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
