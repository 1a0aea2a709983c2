"""What an agent does with announcements."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from harebell_agent import Agent, Announcement
from harebell_agent.announcements import Announcements
from harebell_agent.errors import SettingsError
from harebell_agent.listening import Listening
from harebell_agent.presence import Identity, Presence
from harebell_bus.codec import decode_command, encode
from harebell_bus.envelopes import Heartbeat, HeartbeatReason, Resources, Standing, Welcome

from .support import ME, NOW, Desk, until

IDENTITY = Identity(ME, "text", "1.0", NOW, 1, ("echo",), None)


def announcement(uid: str, kind: str = "Notice") -> Announcement:
    return Announcement(uid=uid, name=f"n-{uid}", kind=kind, message="hello", issued_at=NOW)


def standing(*uids: str, paused: bool = False, new: tuple[str, ...] | None = None, **more: Any) -> Standing:
    told = tuple(announcement(u) for u in (uids if new is None else new))
    return Standing(
        **{"instance": ME.instance, "paused": paused, "in_force": uids, "announcements": told, **more}
    )


def welcome(paused: bool = False) -> Welcome:
    return Welcome(instance=ME.instance, work_queues=("q",), heartbeat_seconds=3600, paused=paused)


def presence_of(desk: Desk, announcements: Announcements) -> Presence:
    async def resources() -> Resources:
        return Resources()

    current, loops = desk.inflight.current, Listening()
    return Presence(IDENTITY, desk.broker, current, resources, announcements, loops, lambda: NOW)


async def test_what_is_in_force_is_acknowledged_and_what_is_over_forgotten() -> None:
    announcements = Announcements()
    announcements.take(standing("a", "b", paused=True))
    assert (announcements.acknowledged, announcements.paused.is_set()) == (("a", "b"), True)
    # One that is in force and was never told of is not acknowledged.
    announcements.take(standing("b", "c", "d", new=("d",)))
    assert (announcements.acknowledged, announcements.paused.is_set()) == (("b", "d"), False)


async def test_the_handler_gets_each_announcement_once() -> None:
    got: list[str] = []

    async def handler(told: Announcement) -> None:
        got.append(told.uid)

    announcements = Announcements(handler)
    announcements.take(standing("a"))
    announcements.take(standing("a", "b"))
    await until(lambda: len(got) == 2)
    assert got == ["a", "b"]


def fails(told: Announcement) -> None:
    raise ValueError("no")


async def fails_later(told: Announcement) -> None:
    raise ValueError("no")


def exits(told: Announcement) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize("handler", [fails, fails_later, exits])
async def test_a_failing_handler_is_logged_and_harms_nothing(
    handler: Callable[[Announcement], Any], caplog: pytest.LogCaptureFixture
) -> None:
    announcements = Announcements(handler)
    with caplog.at_level(logging.ERROR):
        announcements.take(standing("a", paused=True))
        await until(lambda: "on_announcement failed" in caplog.text)
    assert announcements.acknowledged == ("a",)
    assert announcements.paused.is_set()


async def test_a_handler_that_hangs_holds_nothing_up() -> None:
    begun = asyncio.Event()

    async def handler(told: Announcement) -> None:
        begun.set()
        await asyncio.Event().wait()

    announcements = Announcements(handler)
    announcements.take(standing("a", paused=True))
    await begun.wait()
    announcements.take(standing())
    assert not announcements.paused.is_set()


def test_a_handler_is_checked_where_it_is_defined() -> None:
    agent = Agent()
    with pytest.raises(SettingsError, match="announcement"):
        agent.on_announcement(lambda: None)  # type: ignore[type-var]
    agent.on_announcement(fails)
    with pytest.raises(SettingsError, match="twice"):
        agent.on_announcement(fails)


async def test_who_is_welcomed_into_a_pause_may_not_work_until_it_is_over() -> None:
    desk, announcements = Desk(), Announcements()
    presence = presence_of(desk, announcements)
    running = asyncio.create_task(presence.run())
    may = asyncio.create_task(presence.may_work())
    await until(lambda: desk.broker.all(Heartbeat))
    presence.greet(welcome(paused=True))
    await until(lambda: desk.broker.all(Heartbeat)[-1].paused)
    assert not may.done()
    presence.told(standing("r", instance="another process"))
    presence.told(standing("r"))
    await asyncio.wait_for(may, 5)
    await until(lambda: desk.broker.all(Heartbeat)[-1].acknowledged == ("r",))
    last = desk.broker.all(Heartbeat)[-1]
    assert (last.reason, last.paused) == (HeartbeatReason.QUERIED, False)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_query_before_the_welcome_does_not_have_it_register_without_end() -> None:
    desk = Desk()
    presence = presence_of(desk, Announcements())
    running = asyncio.create_task(presence.run())
    await until(lambda: desk.broker.all(Heartbeat))
    presence.query()
    await asyncio.sleep(0.2)
    assert len(desk.broker.all(Heartbeat)) <= 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_a_standing_survives_the_wire_whatever_the_kind() -> None:
    told = Announcement(uid="u", name="n", kind="Someday", message="", issued_at=datetime.now(UTC))
    sent = Standing(instance="i", paused=True, in_force=("u",), announcements=(told,))
    assert decode_command(encode(sent)) == sent
