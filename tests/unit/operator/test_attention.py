"""Silence that nobody could have heard."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.waiting import eventually

from harebell_bus.settings import BrokerSettings
from harebell_operator import attention, broker
from harebell_operator.attention import AWAY
from harebell_operator.broker import Broker

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """One that is set, and counts how often it is looked at."""

    def __init__(self) -> None:
        self.now, self.looks = T0, 0

    def __call__(self) -> datetime:
        self.looks += 1
        return self.now

    async def seen(self) -> None:
        before = self.looks

        async def again() -> bool:
            return self.looks > before

        await eventually("a look at the clock", again)


class Channel:
    """One that stays open."""

    async def closed(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("steps", "anew"),
    [((AWAY,), False), ((AWAY,) * 9, False), ((AWAY * 2, AWAY), True), ((-AWAY * 2,), False)],
)
async def test_after_the_process_stood_still_every_agent_has_a_whole_window_again(
    steps: tuple[timedelta, ...], anew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(attention, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(broker, "_now", clock)
    link = Broker(BrokerSettings(url_literal="amqp://example.com"), "test", record_heartbeats=False)
    link._arriving_since = T0
    channel: Any = Channel()
    listening = asyncio.create_task(link._listen(lambda: None, channel))
    await clock.seen()
    for step in steps:
        clock.now += step
        if step > AWAY:
            # Whoever asks first is told already, though nobody else has looked.
            assert link.hearing_since == clock.now
        await clock.seen()
    assert link.hearing_since == (T0 + AWAY * 2 if anew else T0)
    link._arriving_since = None
    assert link.hearing_since is None
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
