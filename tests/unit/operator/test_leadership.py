"""When a leader must take its Lease for lost, with an API server that is only a coroutine."""

import asyncio
from typing import Any

import pytest

from harebell_operator import leadership

RENEW_SECONDS = 0.3


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> leadership.Lock:
    monkeypatch.setattr(leadership, "RENEW_SECONDS", RENEW_SECONDS)
    monkeypatch.setattr(leadership, "CALL_SECONDS", 0.1)
    api: Any = None
    return leadership.Lock("lease", "ns", "me", api)


async def answer(written: bool, after: float = 0) -> bool:
    await asyncio.sleep(after)
    return written


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_it_is_lost_a_fixed_time_after_the_last_renewal_began(lock: leadership.Lock) -> None:
    begun = now()
    assert await lock.write(answer(True, after=0.05))
    assert lock.held_at is not None
    assert begun <= lock.held_at <= now() - 0.05
    await lock.expired()
    assert now() >= lock.held_at + RENEW_SECONDS


async def test_a_renewal_meanwhile_counts(lock: leadership.Lock) -> None:
    lock.held_at = now()
    expired = asyncio.ensure_future(lock.expired())
    await asyncio.sleep(0)
    lock.held_at = now() + 3600
    await asyncio.wait({expired}, timeout=2 * RENEW_SECONDS)
    assert not expired.done()
    expired.cancel()


@pytest.mark.parametrize(("written", "after"), [(False, 0), (True, 60)], ids=["refused", "unanswered"])
async def test_a_renewal_that_failed_gives_no_time(
    lock: leadership.Lock, written: bool, after: float
) -> None:
    assert await lock.write(answer(True))
    held = lock.held_at
    assert not await lock.write(answer(written, after))
    assert lock.held_at == held


async def test_who_never_led_has_nothing_to_lose(lock: leadership.Lock) -> None:
    assert not await lock.write(answer(False))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * RENEW_SECONDS):
            await lock.expired()
