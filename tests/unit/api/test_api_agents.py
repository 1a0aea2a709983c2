import httpx2
import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_api.permissions import Scope
from harebell_api.records import agent_record

from .conftest import Become
from .fakes import FakeStore, agent


def _kind(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


@pytest.fixture
def known(store: FakeStore, parts: Dependencies) -> None:
    store.agents["a"] = agent("a", 5, status={"phase": "Online"})
    parts.agent_cache.replace([agent_record(store.agents["a"])], 5)


@pytest.mark.usefixtures("known")
def test_one_is_shown_out_of_the_cache(client: TestClient, store: FakeStore) -> None:
    answer = client.get("/api/v1/agents/a")
    assert (answer.status_code, answer.json()["status"], answer.json()["paused"]) == (200, "Online", False)
    assert answer.json() == client.get("/api/v1/agents").json()["items"][0]
    assert store.calls == []


def test_one_that_registered_just_now_is_found(client: TestClient, store: FakeStore) -> None:
    store.agents["new"] = agent("new")
    assert client.get("/api/v1/agents/new").json()["name"] == "new"
    assert store.calls == ["read"]


@pytest.mark.parametrize("name", ["unknown", "UPPER", "a" * 300, "a%2Fb", "%00", "\u20ac"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_agents(client: TestClient, method: str, name: str) -> None:
    path = f"/api/v1/agents/{name}" + ("/pause" if method == "POST" else "")
    assert _kind(client.request(method, path)) == (404, "not-found")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("do", "undo", "member"), [("pause", "resume", "paused"), ("drain", "undrain", "drain")]
)
def test_orders_may_be_repeated(
    client: TestClient, store: FakeStore, do: str, undo: str, member: str
) -> None:
    for verb, wanted in [(do, True), (do, True), (undo, False), (undo, False)]:
        answer = client.post(f"/api/v1/agents/a/{verb}")
        assert (answer.status_code, answer.json()[member]) == (202, wanted)
        assert store.agents["a"]["spec"] == {"type": "text", member: wanted}
        assert client.get("/api/v1/agents/a").json()[member] is wanted


@pytest.mark.usefixtures("known")
def test_an_order_is_for_that_agent_and_no_other_of_the_name(client: TestClient, store: FakeStore) -> None:
    store.agents["a"]["metadata"]["uid"] = "another"
    assert _kind(client.post("/api/v1/agents/a/pause")) == (409, "conflict")
    del store.agents["a"]
    assert _kind(client.post("/api/v1/agents/a/pause")) == (404, "not-found")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("failure", [ApiServerUnreachableError("down"), ApiServerError(500, "", "no")])
def test_while_the_api_server_is_down(
    client: TestClient, store: FakeStore, failure: ApiServerError | ApiServerUnreachableError
) -> None:
    store.failure = failure
    assert _kind(client.post("/api/v1/agents/a/drain")) == (503, "unavailable")
    assert client.get("/api/v1/agents/a").status_code == 200


@pytest.mark.usefixtures("known")
def test_who_may(client: TestClient, become: Become) -> None:
    become(Scope.READ)
    assert client.get("/api/v1/agents/a").status_code == 200
    assert _kind(client.post("/api/v1/agents/a/pause")) == (403, "scope-needed")
    become(Scope.DISPATCH, Scope.CANCEL)
    assert _kind(client.get("/api/v1/agents/a")) == (403, "scope-needed")
    assert _kind(client.get("/api/v1/agents")) == (403, "scope-needed")
    become(Scope.ADMIN, types=frozenset({"infra"}))
    assert _kind(client.get("/api/v1/agents/a")) == (404, "not-found")
    assert _kind(client.post("/api/v1/agents/a/pause")) == (404, "not-found")
    assert client.get("/api/v1/agents").json()["items"] == []
