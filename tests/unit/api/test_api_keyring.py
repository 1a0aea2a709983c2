"""Who is let in by which key, and when that ends."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.keys import key, record

from harebell_api.keyring import FRESH_SECONDS, KeyRing
from harebell_api.problems import ProblemError, ProblemType
from harebell_crds.keys import Scope

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CI, BOT = key("ci"), key("bot", "1")


class Clock:
    """Both clocks, set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def __call__(self) -> float:
        return self.seconds


def ring_of(*entries: tuple[str, bytes], clock: Clock | None = None) -> KeyRing:
    clock = clock or Clock()
    ring = KeyRing("work", clock.now, clock)
    ring.replace(dict(entries))
    return ring


def refusal(ring: KeyRing, shown: str) -> tuple[ProblemType, str]:
    with pytest.raises(ProblemError) as refused:
        ring.admit(shown)
    return refused.value.problem.type, refused.value.problem.detail


def test_a_key_says_who_it_is_and_what_they_may_do() -> None:
    ring = ring_of(record(CI, Scope.READ, name="ci-of-web", agent_types=["text"]), record(BOT))
    access, _ = ring.admit(CI)
    assert (access.client, access.key_id) == ("ci-of-web", "ci")
    assert access.may(Scope.READ)
    assert not any(access.may(other) for other in set(Scope) - {Scope.READ})
    assert access.sees("text")
    assert not access.sees("infra")
    everything, _ = ring.admit(BOT)
    assert all(everything.may(scope) for scope in Scope)
    assert everything.sees("anything")


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "x",
        "hb_ci",
        CI[:-1],
        f"{CI}0",
        CI.replace("ci", "bot"),
        CI.replace("hb_", "hc_"),
        key("other"),
        CI.upper(),
    ],
)
def test_what_is_no_key_is_refused_in_the_same_words(shown: str) -> None:
    ring = ring_of(record(CI), record(BOT))
    assert refusal(ring, shown) == (ProblemType.UNAUTHENTICATED, "the API key is not valid")


@pytest.mark.parametrize(
    ("members", "kind", "detail"),
    [
        ({"revoked": True}, ProblemType.UNAUTHENTICATED, "API key ci was revoked"),
        ({"expires_at": NOW}, ProblemType.UNAUTHENTICATED, "API key ci has expired"),
        (
            {"namespaces": ["other"]},
            ProblemType.SCOPE_NEEDED,
            "API key ci is not for namespace work, which is served here",
        ),
    ],
)
def test_a_key_that_is_not_good_is_told_why(members: dict[str, Any], kind: ProblemType, detail: str) -> None:
    ring = ring_of(record(CI, **members))
    assert refusal(ring, CI) == (kind, detail)
    assert ring.usable() == 0
    # Only who has the key is told.
    assert refusal(ring, key("ci", "x")) == (ProblemType.UNAUTHENTICATED, "the API key is not valid")


def test_a_key_expires_by_the_clock() -> None:
    clock = Clock()
    ring = ring_of(record(CI, expires_at=NOW + timedelta(seconds=5), namespaces=["work"]), clock=clock)
    ring.admit(CI)
    clock.seconds = 5
    assert refusal(ring, CI)[1] == "API key ci has expired"


def test_an_entry_that_cannot_be_used_does_not_harm_the_others(caplog: pytest.LogCaptureFixture) -> None:
    name, entry = record(BOT)
    broken = json.dumps({**json.loads(entry), "scope": "read"}).encode()
    with caplog.at_level(logging.ERROR):
        ring = ring_of(record(CI), (name, broken), ("old", b"old:plain-text-key"))
    assert [r.getMessage() for r in caplog.records] == [
        "API key bot is refused, its entry cannot be used: scope: Extra inputs are not permitted",
        "API key old is refused, its entry cannot be used: Invalid JSON: expected value at line 1 column 1",
    ]
    assert ring.admit(CI)[0].client == "ci"
    assert refusal(ring, BOT)[0] is ProblemType.UNAUTHENTICATED
    assert ring.usable() == 1


def test_rotation_with_an_overlap() -> None:
    old, new = record(CI, name="web"), record(BOT, name="web")
    ring = ring_of(old, new)
    assert {ring.admit(each)[0].client for each in (CI, BOT)} == {"web"}
    ring.replace(dict([new]))
    assert refusal(ring, CI)[0] is ProblemType.UNAUTHENTICATED
    assert ring.admit(BOT)[0].client == "web"


def test_what_did_not_change_is_not_read_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    ring = ring_of(record(CI), clock=clock)
    assert ring.fresh()
    clock.seconds = FRESH_SECONDS
    assert not ring.fresh()
    with caplog.at_level(logging.INFO):
        ring.replace(dict([record(CI)]))
    assert caplog.records == []
    assert ring.fresh()


def test_a_ring_that_was_never_filled_lets_nobody_in() -> None:
    ring = KeyRing("work")
    assert not ring.fresh()
    assert refusal(ring, CI)[0] is ProblemType.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ([], "API key ci was removed"),
        ([record(CI, revoked=True)], "API key ci was revoked"),
        ([record(CI, expires_at=NOW)], "API key ci has expired"),
        ([record(CI, Scope.DISPATCH)], "API key ci was changed"),
        ([record(CI, Scope.READ, agent_types=["text"])], "API key ci was changed"),
        ([("ci", b"broken")], "API key ci was removed"),
    ],
)
async def test_an_end_is_noticed_at_once(after: list[tuple[str, bytes]], why: str) -> None:
    ring = ring_of(record(CI, Scope.READ), record(BOT))
    _, granted = ring.admit(CI)
    ending = asyncio.ensure_future(ring.ended(granted))
    ring.replace(dict([record(CI, Scope.READ)]))  # another key went
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not ending.done()
    ring.replace(dict(after))
    async with asyncio.timeout(5):
        assert await ending == why


async def test_an_expiry_is_noticed_without_any_change() -> None:
    clock = Clock()
    ring = ring_of(record(CI, expires_at=NOW + timedelta(seconds=1)), clock=clock)
    clock.seconds = 0.95
    _, granted = ring.admit(CI)
    ending = asyncio.ensure_future(ring.ended(granted))
    await asyncio.sleep(0)
    clock.seconds = 1  # by the time the wait is over
    async with asyncio.timeout(5):
        assert await ending == "API key ci has expired"
