"""ETags, what is done with them, and how old an answer may be."""

from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.cache import Cache
from harebell_api.conditional import etag, is_known, wanted_versions
from harebell_api.kube_errors import ApiServerError
from harebell_api.problems import ProblemError
from harebell_api.records import agent_record, announcement_record, task_record
from harebell_api.routes.answers import freshness

from .fakes import FakeStore, agent, announcement, task

READS = [
    "/api/v1/status/t",
    "/api/v1/tasks",
    "/api/v1/agents",
    "/api/v1/agents/a",
    "/api/v1/announcements",
    "/api/v1/announcements/n",
]
CHANGES = [
    ("PATCH", "/api/v1/tasks/t", {"priority": "low"}),
    ("POST", "/api/v1/cancel/t", None),
    ("POST", "/api/v1/suspend/t", None),
    ("POST", "/api/v1/resume/t", None),
]


def _kind(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


@pytest.fixture
def filled(store: FakeStore, parts: Dependencies) -> None:
    store.add(task("t", 5, phase="Queued", status={"queuedAt": "2026-01-01T00:00:00.000000Z"}))
    parts.task_cache.replace([task_record(store.tasks["t"])], 5)
    parts.agent_cache.replace([agent_record(agent("a", 6))], 7)
    parts.announcement_cache.replace([announcement_record(announcement("n", 8))], 9)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("path", READS)
def test_who_has_it_already_is_told_so(client: TestClient, path: str) -> None:
    full = client.get(path)
    tag = full.headers["ETag"]
    assert full.status_code == 200
    assert tag.startswith('"')
    assert full.headers["Cache-Control"] == "private, no-cache"
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        answer = client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == tag
        assert "Age" in answer.headers
    for unknown in ('"other"', "nonsense", ""):
        assert client.get(path, headers={"If-None-Match": unknown}).content == full.content


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("path", "cache", "changed"),
    [
        ("/api/v1/status/t", "task_cache", task_record(task("t", 50))),
        ("/api/v1/tasks", "task_cache", task_record(task("t", 50))),
        ("/api/v1/agents", "agent_cache", agent_record(agent("a", 50))),
        ("/api/v1/agents/a", "agent_cache", agent_record(agent("a", 50))),
        ("/api/v1/announcements/n", "announcement_cache", announcement_record(announcement("n", 50))),
    ],
)
def test_a_change_changes_the_tag(
    client: TestClient, parts: Dependencies, path: str, cache: str, changed: Any
) -> None:
    tag = client.get(path).headers["ETag"]
    getattr(parts, cache).put(changed)
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.usefixtures("filled")
def test_so_does_what_is_not_in_the_resource(client: TestClient, parts: Dependencies) -> None:
    """Another Task is ahead in the queue: the document is another, of the same version."""
    before = client.get("/api/v1/status/t")
    earlier = {"queuedAt": "2025-01-01T00:00:00.000000Z"}
    parts.task_cache.put(task_record(task("u", 51, phase="Queued", status=earlier)))
    after = client.get("/api/v1/status/t", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert before.json()["resourceVersion"] == after.json()["resourceVersion"]
    assert before.headers["ETag"] != after.headers["ETag"]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_a_change_of_what_the_client_saw(
    client: TestClient, store: FakeStore, method: str, path: str, body: Any
) -> None:
    store.add(task("t", 5))
    tag = client.get("/api/v1/status/t").headers["ETag"]
    answer = client.request(method, path, json=body, headers={"If-Match": f'"1-00", {tag}'})
    assert answer.status_code < 300
    # The answer's own tag serves the next change.
    assert client.post("/api/v1/cancel/t", headers={"If-Match": answer.headers["ETag"]}).status_code == 202


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
@pytest.mark.parametrize("tag", ['"4-00"', 'W/"5-00"', '"other"', '"", "4"'])
def test_a_change_of_something_else(
    client: TestClient, store: FakeStore, method: str, path: str, body: Any, tag: str
) -> None:
    store.add(task("t", 5))
    before = dict(store.tasks["t"]["spec"])
    answer = client.request(method, path, json=body, headers={"If-Match": tag})
    assert _kind(answer) == (412, "precondition-failed")
    assert store.tasks["t"]["spec"] == before


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_what_changes_between_look_and_write(
    client: TestClient, store: FakeStore, method: str, path: str, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server compares again: the version is in the patch."""
    store.add(task("t", 5))
    patches = []

    async def refuse(kind: object, name: str, patch: Any) -> Any:
        patches.append(patch["metadata"])
        raise ApiServerError(409, "Conflict", "the object has been modified")

    monkeypatch.setattr(store, "patch", refuse)
    answer = client.request(method, path, json=body, headers={"If-Match": '"5"'})
    assert _kind(answer) == (412, "precondition-failed")
    assert patches == [{"uid": "uid-of-t", "resourceVersion": "5"}]


@pytest.mark.parametrize("tag", [None, "*"])
def test_without_a_condition_any_version_is_meant(
    client: TestClient, store: FakeStore, parts: Dependencies, tag: str | None
) -> None:
    store.add(task("t", 6))
    parts.task_cache.put(task_record(task("t", 5)))  # behind
    headers = {"If-Match": tag} if tag else {}
    assert client.post("/api/v1/suspend/t", headers=headers).status_code == 202


def test_what_the_cache_has_does_not_decide(
    client: TestClient, store: FakeStore, parts: Dependencies
) -> None:
    """The client may have seen a newer version through another replica."""
    store.add(task("t", 6))
    parts.task_cache.put(task_record(task("t", 5)))
    assert client.post("/api/v1/suspend/t", headers={"If-Match": '"6"'}).status_code == 202


@pytest.mark.parametrize("header", ["5", '"5', '"5" "6"', '"5";', "", "*,*", '"\u20ac"'])
def test_what_is_no_if_match(client: TestClient, store: FakeStore, header: str) -> None:
    store.add(task("t", 5))
    answer = client.post("/api/v1/cancel/t", headers={b"If-Match": header.encode()})
    if header == '"\u20ac"':  # octets above 127 may be in a tag, but ours have none
        assert _kind(answer) == (412, "precondition-failed")
        return
    assert _kind(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["parameter"] == "If-Match"


def test_tags() -> None:
    assert etag(b"a", 5).startswith('"5-')
    assert etag(b"a") != etag(b"b")
    assert etag(b"a", 5) != etag(b"b", 5)
    assert not is_known(None, '"a"')
    assert wanted_versions(None) is None
    assert wanted_versions('"5-0a", "6", W/"7", "x", "99999999999999999999"') == frozenset({5, 6})
    with pytest.raises(ProblemError):
        wanted_versions(",")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("path", "version"), [*zip(READS, "557799", strict=True), ("/api/v1/queues", "5")])
def test_reads_say_how_old_they_may_be(client: TestClient, path: str, version: str) -> None:
    answer = client.get(path)
    assert 0 <= int(answer.headers["Age"]) < 60
    assert answer.headers["Harebell-Resource-Version"] == version


def test_the_age_rises_while_the_watch_is_silent() -> None:
    now = 100.0
    first: Cache[Any] = Cache(lambda _: (), lambda: now)
    second: Cache[Any] = Cache(lambda _: (), lambda: now)
    assert first.age is None
    first.replace([], 5)
    # Nothing is said of what was never filled.
    assert freshness([first, second]) == {}
    now = 103.5
    second.replace([], 7)
    assert [first.age, first.watched] == [3.5, 5]
    assert freshness([first]) == {"Age": "3", "Harebell-Resource-Version": "5"}
    assert freshness([second]) == {"Age": "0", "Harebell-Resource-Version": "7"}
    assert freshness([first, second]) == {"Age": "3", "Harebell-Resource-Version": "5"}
    now = 1000.0
    assert freshness([first])["Age"] == "900"
    first.heard(9)
    assert freshness([first]) == {"Age": "0", "Harebell-Resource-Version": "9"}


def test_a_stale_cache_answers_still(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.replace([task_record(task("t", 5))], 5)
    parts.task_cache._clock = lambda: 1e9
    assert client.get("/readyz").status_code == 503
    answer = client.get("/api/v1/status/t")
    assert answer.status_code == 200
    assert int(answer.headers["Age"]) > 120
