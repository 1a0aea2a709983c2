"""Tokens that Kubernetes vouches for: who it is, what they may do, and how seldom that is asked."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.testclient import TestClient

from harebell_api import tokens
from harebell_api.app import Dependencies, create_app
from harebell_api.auth import Door
from harebell_api.keyring import KeyRing
from harebell_api.kube import Object
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_api.permissions import Access, Scope
from harebell_api.problems import ProblemError, ProblemType
from harebell_api.tokens import AT_ONCE, KEPT_SECONDS, KEPT_TOKENS, RIGHTS, Tokens

from .fakes import KEY

USER = "system:serviceaccount:work:ci"
TOKEN = "aaaa.bbbb.cccc"
EVERYTHING = frozenset(right for rights in RIGHTS.values() for right in rights)


@dataclass
class FakeReviewer:
    """An API server that knows some tokens, by their users, and what every user may do."""

    users: dict[str, str] = field(default_factory=lambda: {TOKEN: USER})
    allowed: frozenset[tuple[str, str]] = EVERYTHING
    audience: str | None = "harebell"
    failure: Exception | None = None
    asked: list[str] = field(default_factory=list)
    specs: list[Object] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def review(self, group: str, kind: str, spec: Object) -> Object:
        self.asked.append(kind)
        self.specs.append(spec)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if kind == "TokenReview":
            assert group == "authentication.k8s.io"
            assert spec["audiences"] == ["harebell"]
            user = self.users.get(spec["token"])
            if user is None:
                return {"authenticated": False, "error": "unknown"}
            audiences = {} if self.audience is None else {"audiences": [self.audience]}
            known = {"username": user, "uid": "u", "groups": ["g"], "extra": {"e": ["1"]}}
            return {"authenticated": True, "user": known, **audiences}
        assert (group, kind) == ("authorization.k8s.io", "SubjectAccessReview")
        wanted = spec["resourceAttributes"]
        assert (wanted["group"], wanted["namespace"]) == ("harebell.dev", "work")
        return {"allowed": (wanted["verb"], wanted["resource"]) in self.allowed}

    @property
    def token_reviews(self) -> int:
        return self.asked.count("TokenReview")


class Time:
    """Passes while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)

    async def reach(self, seconds: float) -> None:
        for _ in range(1000):
            if self.seconds >= seconds:
                return
            await asyncio.sleep(0)
        raise AssertionError("nobody sleeps")


def vouching(reviewer: FakeReviewer, time: Time | None = None) -> Tokens:
    time = time or Time()
    return Tokens(reviewer, "work", "harebell", time, time.sleep)


async def refusal(asking: Tokens, token: str) -> ProblemType:
    with pytest.raises(ProblemError) as refused:
        await asking.admit(token)
    return refused.value.problem.type


async def test_a_token_is_whose_kubernetes_says() -> None:
    reviewer = FakeReviewer()
    access, _ = await vouching(reviewer).admit(TOKEN)
    assert access == Access(USER, frozenset(Scope))
    assert access.key_id is None
    about = {k: reviewer.specs[1][k] for k in ("user", "groups", "uid", "extra")}
    assert about == {"user": USER, "groups": ["g"], "uid": "u", "extra": {"e": ["1"]}}


READING = frozenset(RIGHTS[Scope.READ])


@pytest.mark.parametrize(
    ("allowed", "scopes"),
    [
        ((), set()),
        (READING, {Scope.READ}),
        (READING - {("list", "agents")}, set()),
        ({("create", "tasks")}, {Scope.DISPATCH}),
        ({("patch", "tasks")}, {Scope.CANCEL}),
        (READING | {("patch", "tasks")}, {Scope.READ, Scope.CANCEL}),
        # Admin includes everything, so it takes the rights to everything.
        (RIGHTS[Scope.ADMIN], set()),
        (EVERYTHING - {("create", "tasks")}, {Scope.READ, Scope.CANCEL}),
        (READING - {("get", "announcements")}, set()),
        (EVERYTHING - {("create", "announcements")}, {Scope.READ, Scope.DISPATCH, Scope.CANCEL}),
        (EVERYTHING - {("delete", "announcements")}, {Scope.READ, Scope.DISPATCH, Scope.CANCEL}),
        (EVERYTHING, set(Scope)),
    ],
)
async def test_rights_in_kubernetes_are_scopes(
    allowed: Iterable[tuple[str, str]], scopes: set[Scope]
) -> None:
    access, _ = await vouching(FakeReviewer(allowed=frozenset(allowed))).admit(TOKEN)
    assert access.scopes == scopes
    assert {scope for scope in Scope if access.may(scope)} == scopes


@pytest.mark.parametrize("audience", [None, "https://kubernetes.default.svc"])
async def test_a_token_for_others_is_not_taken(audience: str | None) -> None:
    assert await refusal(vouching(FakeReviewer(audience=audience)), TOKEN) is ProblemType.UNAUTHENTICATED


@pytest.mark.parametrize(
    "failure",
    [
        ApiServerUnreachableError("down"),
        ApiServerError(403, "Forbidden", "cannot create tokenreviews"),
        ApiServerError(500, "InternalError", "m"),
    ],
)
async def test_while_nobody_can_say_it_is_neither_let_in_nor_called_wrong(failure: Exception) -> None:
    reviewer = FakeReviewer(failure=failure)
    asking = vouching(reviewer)
    assert await refusal(asking, TOKEN) is ProblemType.UNAVAILABLE
    reviewer.failure = None
    assert (await asking.admit(TOKEN))[0].client == USER  # the failure is not kept


async def test_an_answer_is_kept_for_some_seconds() -> None:
    reviewer, time = FakeReviewer(), Time()
    asking = vouching(reviewer, time)
    for _ in range(100):
        await asking.admit(TOKEN)
    assert reviewer.token_reviews == 1
    time.seconds += KEPT_SECONDS - 0.1
    reviewer.users.clear()
    await asking.admit(TOKEN)
    time.seconds += 0.1
    assert await refusal(asking, TOKEN) is ProblemType.UNAUTHENTICATED
    assert await refusal(asking, TOKEN) is ProblemType.UNAUTHENTICATED
    assert reviewer.token_reviews == 2
    assert KEPT_SECONDS <= 10


async def test_the_age_of_an_answer_counts_from_the_question() -> None:
    reviewer, time = FakeReviewer(gate=asyncio.Event()), Time()
    asking = vouching(reviewer, time)
    admitting = asyncio.ensure_future(asking.admit(TOKEN))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.seconds += KEPT_SECONDS
    assert reviewer.gate is not None
    reviewer.gate.set()
    await admitting
    await asking.admit(TOKEN)
    assert reviewer.token_reviews == 2


async def test_those_who_ask_at_once_share_one_answer() -> None:
    reviewer = FakeReviewer()
    asking = vouching(reviewer)
    await asyncio.gather(*(asking.admit(TOKEN) for _ in range(50)))
    assert reviewer.token_reviews == 1


async def test_who_gives_up_does_not_take_the_answer_from_others() -> None:
    reviewer = FakeReviewer(gate=asyncio.Event())
    asking = vouching(reviewer)
    first, second = (asyncio.ensure_future(asking.admit(TOKEN)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert reviewer.gate is not None
    reviewer.gate.set()
    assert (await second)[0].client == USER


async def test_few_tokens_are_kept_and_those_in_use_longest() -> None:
    reviewer = FakeReviewer(users={f"t.{n}.s": str(n) for n in range(KEPT_TOKENS + 1)})
    asking = vouching(reviewer)
    for n in range(KEPT_TOKENS):
        await asking.admit(f"t.{n}.s")
    await asking.admit("t.0.s")
    await asking.admit(f"t.{KEPT_TOKENS}.s")
    before = reviewer.token_reviews
    await asking.admit("t.0.s")
    assert reviewer.token_reviews == before
    await asking.admit("t.1.s")
    assert reviewer.token_reviews == before + 1
    assert len(asking._answers) == KEPT_TOKENS
    assert not any(b"t.0.s" in each for each in asking._answers)


async def test_made_up_tokens_do_not_flood_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_WAITING", 20)
    reviewer = FakeReviewer(users={}, gate=asyncio.Event())
    asking = vouching(reviewer)
    waiting = [asyncio.ensure_future(refusal(asking, f"x.{n}.z")) for n in range(30)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert reviewer.token_reviews == AT_ONCE
    assert reviewer.gate is not None
    reviewer.gate.set()
    kinds = await asyncio.gather(*waiting)
    assert kinds.count(ProblemType.UNAVAILABLE) == 10
    assert kinds.count(ProblemType.UNAUTHENTICATED) == 20


async def test_made_up_tokens_lock_out_nobody_whose_token_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_WAITING", 20)
    reviewer, time = FakeReviewer(), Time()
    asking = vouching(reviewer, time)
    await asking.admit(TOKEN)
    reviewer.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(refusal(asking, f"x.{n}.z")) for n in range(30)]
    for _ in range(5):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert (await asking.admit(TOKEN))[0].client == USER
    assert await refusal(asking, "new.new.new") is ProblemType.UNAVAILABLE
    # When it has to be reviewed again it is at once, while the others wait.
    time.seconds += KEPT_SECONDS
    again = asyncio.ensure_future(asking.admit(TOKEN))
    for _ in range(5):
        await asyncio.sleep(0)
    assert [spec["token"] for spec in reviewer.specs if "token" in spec].count(TOKEN) == 2
    reviewer.gate.set()
    assert (await again)[0].client == USER
    await asyncio.gather(*waiting)


async def test_made_up_tokens_drive_no_good_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "KEPT_TOKENS", 5)
    reviewer = FakeReviewer()
    asking = vouching(reviewer)
    await asking.admit(TOKEN)
    for n in range(20):
        assert await refusal(asking, f"x.{n}.z") is ProblemType.UNAUTHENTICATED
    before = reviewer.token_reviews
    assert await refusal(asking, "x.19.z") is ProblemType.UNAUTHENTICATED  # kept, too
    await asking.admit(TOKEN)
    assert reviewer.token_reviews == before
    assert await refusal(asking, "x.1.z") is ProblemType.UNAUTHENTICATED
    assert reviewer.token_reviews == before + 1  # no more than so many are


async def test_a_token_is_as_it_was_found_last() -> None:
    reviewer, time = FakeReviewer(), Time()
    asking = vouching(reviewer, time)
    for users in ({TOKEN: USER}, {}, {TOKEN: USER}, {}):
        reviewer.users = dict(users)
        for _ in range(2):
            if users:
                assert (await asking.admit(TOKEN))[0].client == USER
            else:
                assert await refusal(asking, TOKEN) is ProblemType.UNAUTHENTICATED
        time.seconds += KEPT_SECONDS
    assert reviewer.token_reviews == 4


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"users": {}}, "the token is not good any more"),
        ({"allowed": READING}, f"what {USER} may do was changed"),
    ],
)
async def test_what_ends_is_noticed_while_a_websocket_is_open(change: dict[str, Any], why: str) -> None:
    reviewer, time = FakeReviewer(), Time()
    asking = vouching(reviewer, time)
    _, ended = await asking.admit(TOKEN)
    ending = asyncio.ensure_future(ended())
    begun = time.seconds
    await time.reach(begun + 60)
    assert not ending.done()
    # Nobody can say for a while: it stays.
    reviewer.failure = ApiServerUnreachableError("down")
    await time.reach(begun + 120)
    assert not ending.done()
    reviewer.failure = None
    for name, value in change.items():
        setattr(reviewer, name, value)
    changed = time.seconds
    async with asyncio.timeout(5):
        assert await ending == why
    assert time.seconds - changed <= 10


@pytest.mark.parametrize(
    ("presented", "taken"),
    [
        (TOKEN, True),
        ("hb_ci_0000", False),
        ("a.b", False),
        ("a.b.c.d", False),
        ("a..c", False),
        ("a.b." + "c" * 20_000, False),
    ],
)
async def test_what_looks_like_a_token(presented: str, taken: bool) -> None:
    reviewer = FakeReviewer()
    asking = vouching(reviewer)
    assert asking.takes(presented) is taken
    if not taken:
        with pytest.raises(ProblemError):
            await Door(KeyRing("work"), asking).admit(presented)
        assert reviewer.asked == []


def test_tokens_beside_keys(parts: Dependencies) -> None:
    reviewer = FakeReviewer(allowed=READING)
    given = Dependencies(parts.namespace, parts.store, parts.keys, vouching=vouching(reviewer))
    client = TestClient(create_app(given))

    def status(method: str, shown: str) -> int:
        body = {"agentType": "text", "action": "echo"} if method == "POST" else None
        path = "/api/v1/dispatch" if body else "/api/v1/tasks"
        return client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {shown}"}
        ).status_code

    assert [status(method, TOKEN) for method in ("GET", "POST")] == [200, 403]
    assert status("GET", "x.y.z") == 401
    reviewer.failure = ApiServerUnreachableError("down")
    assert status("GET", "other.other.other") == 503


def test_tokens_alone(parts: Dependencies) -> None:
    given = Dependencies(parts.namespace, parts.store, None, vouching=vouching(FakeReviewer()))
    client = TestClient(create_app(given))
    assert client.get("/api/v1/tasks", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    refused = client.get("/api/v1/tasks", headers={"Authorization": f"Bearer {KEY}"})
    assert (refused.status_code, refused.json()["detail"]) == (
        401,
        "this is no token, and API keys are not taken here",
    )


def test_without_them_a_token_is_no_key(parts: Dependencies) -> None:
    client = TestClient(create_app(parts))
    assert client.get("/api/v1/tasks", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401
