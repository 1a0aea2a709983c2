"""When a leader must take its Lease for lost, with an API server that is only a coroutine."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client import V1Lease, V1LeaseSpec

from harebell_operator import leadership

RENEW_SECONDS = 0.3


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> leadership.Lock:
    monkeypatch.setattr(leadership.Terms, "renew_seconds", RENEW_SECONDS)
    monkeypatch.setattr(leadership, "CALL_SECONDS", 0.1)
    api: Any = None
    return leadership.Lock(leadership.Terms("ns", "lease", "me", 10), api, lambda: None)


class Api:
    """Answers with one Lease."""

    def __init__(self, holder: str | None) -> None:
        self.holder = holder

    async def read_namespaced_lease(self, name: str, namespace: str) -> V1Lease:
        at = datetime.now(UTC)
        spec = V1LeaseSpec(
            holder_identity=self.holder, lease_duration_seconds=10, acquire_time=at, renew_time=at
        )
        return V1Lease(spec=spec)


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


@pytest.mark.parametrize(("holder", "stands_by"), [("another", True), ("me", False), (None, False)])
async def test_it_stands_by_where_another_holds_the_lease(holder: str | None, stands_by: bool) -> None:
    seen: list[None] = []
    api: Any = Api(holder)
    lock = leadership.Lock(leadership.Terms("ns", "lease", "me", 10), api, lambda: seen.append(None))
    lock.api_instance = api
    found, record = await lock.get("lease", "ns")
    assert (found, record.holder_identity) == (True, holder)
    assert bool(seen) is stands_by
