from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.kube_errors import ApiServerError
from harebell_api.permissions import Scope
from harebell_api.records import agent_record, announcement_record

from .conftest import Become
from .fakes import FakeStore, agent, announcement

PATH = "/api/v1/announcements"
TEXT = {"agentSelector": {"types": ["text"]}}
KNOWN = {
    "phase": "Active",
    "targeted": 2,
    "acknowledged": 1,
    "acknowledgements": [{"agent": "a", "at": "2026-01-01T00:00:00.000001Z"}],
    "pending": ["b"],
}


def _kind(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def _add(store: FakeStore, parts: Dependencies, *announcements: dict[str, Any]) -> None:
    for each in announcements:
        store.announcements[each["metadata"]["name"]] = each
        parts.announcement_cache.put(announcement_record(each))


def test_it_is_made_as_asked_for_and_found_at_once(client: TestClient, store: FakeStore) -> None:
    asked = {
        "kind": "Pause",
        "agentSelector": {"types": ["text"], "matchLabels": {"zone": "east"}},
        "message": "upgrade",
        "expiresAt": "2026-01-02T00:00:00Z",
        "generateName": "upgrade-",
    }
    answer = client.post(PATH, json=asked)
    assert answer.status_code == 201
    name = answer.json()["name"]
    assert name.startswith("upgrade-")
    assert answer.headers["Location"] == f"{PATH}/{name}"
    assert store.announcements[name]["spec"] == {
        "kind": "Pause",
        "agentSelector": {"types": ["text"], "names": [], "matchLabels": {"zone": "east"}},
        "message": "upgrade",
        "expiresAt": "2026-01-02T00:00:00Z",
    }
    assert client.get(answer.headers["Location"]).json() == answer.json()
    assert answer.json()["phase"] is None
    assert store.calls == ["create"]


def test_names_are_taken_once(client: TestClient) -> None:
    body = {"kind": "Notice", "name": "n"}
    assert client.post(PATH, json=body).status_code == 201
    assert _kind(client.post(PATH, json=body)) == (409, "already-exists")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"kind": "Holiday"}, "/kind"),
        ({"message": "x" * 4097}, "/message"),
        ({"expiresAt": "soon"}, "/expiresAt"),
        ({"expiresAt": "0001-01-01T00:00:00+14:00"}, "/expiresAt"),
        ({"expiresAt": "9999-12-31T23:59:59-14:00"}, "/expiresAt"),
        ({"agentSelector": {"type": ["text"]}}, "/agentSelector/type"),
        ({"agentSelector": {"types": ["Not a type"]}}, "/agentSelector/types/0"),
        ({"agentSelector": {"matchLabels": {str(n): "" for n in range(21)}}}, "/agentSelector/matchLabels"),
        ({"name": "UPPER"}, "/name"),
        ({"name": "n", "generateName": "n-"}, ""),
        ({"spec": {}}, "/spec"),
    ],
)
def test_what_is_wrong_is_named(
    client: TestClient, store: FakeStore, changed: dict[str, Any], pointer: str
) -> None:
    answer = client.post(PATH, json={"kind": "Notice", **changed})
    assert _kind(answer) == (422, "invalid")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert store.calls == []


def test_who_knows_is_shown(client: TestClient, store: FakeStore, parts: Dependencies) -> None:
    _add(store, parts, announcement("n", status=KNOWN))
    shown = client.get(f"{PATH}/n").json()
    assert {k: shown[k] for k in KNOWN} == KNOWN
    assert store.calls == []


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "cba"),
        ("?kind=pause", "b"),
        ("?kind=Pause&kind=NOTICE", "cba"),
        ("?phase=active", "a"),
        ("?kind=Resume", ""),
    ],
)
def test_list(client: TestClient, store: FakeStore, parts: Dependencies, query: str, names: str) -> None:
    _add(
        store,
        parts,
        announcement("a", created="2026-01-01T00:00:01Z", status={"phase": "Active"}),
        announcement("b", 2, created="2026-01-01T00:00:02Z", spec={"kind": "Pause"}),
        announcement("c", 3, created="2026-01-01T00:00:03Z"),
    )
    assert "".join(item["name"] for item in client.get(PATH + query).json()["items"]) == names
    first = client.get(f"{PATH}?limit=2").json()
    rest = client.get(PATH, params={"limit": 2, "cursor": first["nextCursor"]}).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == ["c", "b", "a"]
    assert rest["nextCursor"] is None
    assert _kind(client.get(f"{PATH}?cursor=x")) == (400, "invalid-cursor")


def test_delete(client: TestClient, store: FakeStore, parts: Dependencies) -> None:
    _add(store, parts, announcement("n"))
    answer = client.delete(f"{PATH}/n")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not store.announcements
    # The watch has not said so yet: asked again, it is gone all the same.
    assert _kind(client.delete(f"{PATH}/n")) == (404, "not-found")
    assert _kind(client.delete(f"{PATH}/unknown")) == (404, "not-found")
    assert _kind(client.get(f"{PATH}/%00")) == (404, "not-found")


def test_another_one_of_the_name_is_not_deleted(
    client: TestClient, store: FakeStore, parts: Dependencies
) -> None:
    _add(store, parts, announcement("n"))
    store.announcements["n"] = {**announcement("n", 2), "metadata": {"uid": "another"}}
    assert _kind(client.delete(f"{PATH}/n")) == (409, "conflict")
    assert store.announcements


def test_while_the_api_server_refuses(client: TestClient, store: FakeStore) -> None:
    store.failure = ApiServerError(403, "Forbidden", "exceeded quota")
    assert _kind(client.post(PATH, json={"kind": "Notice"})) == (403, "forbidden")
    store.failure = ApiServerError(500, "InternalError", "no")
    assert _kind(client.get(f"{PATH}/n")) == (503, "unavailable")


def test_who_may(client: TestClient, store: FakeStore, parts: Dependencies, become: Become) -> None:
    _add(store, parts, announcement("n"))
    become(Scope.READ)
    assert client.get(f"{PATH}/n").status_code == client.get(PATH).status_code == 200
    for answer in (client.post(PATH, json={"kind": "Notice"}), client.delete(f"{PATH}/n")):
        assert _kind(answer) == (403, "scope-needed")
    become(Scope.CANCEL)
    assert _kind(client.get(f"{PATH}/n")) == _kind(client.get(PATH)) == (403, "scope-needed")


def test_what_a_client_of_some_types_sees(
    client: TestClient, store: FakeStore, parts: Dependencies, become: Become
) -> None:
    parts.agent_cache.replace([agent_record(agent("a")), agent_record(agent("b", type="infra"))], 1)
    _add(
        store,
        parts,
        announcement("for-all", status=KNOWN),
        announcement("for-text", spec=TEXT),
        announcement("for-infra", spec={"agentSelector": {"types": ["infra"]}}),
        announcement("for-both", spec={"agentSelector": {"types": ["infra", "text"]}}),
        announcement("for-a-and-b", spec={"agentSelector": {"names": ["a", "b"]}}),
        announcement("for-b", spec={"agentSelector": {"names": ["b"]}}),
    )
    become(Scope.ADMIN, types=frozenset({"text"}))
    shown = {item["name"]: item for item in client.get(PATH).json()["items"]}
    assert set(shown) == {"for-all", "for-text", "for-both", "for-a-and-b"}
    assert shown["for-a-and-b"]["agentSelector"]["names"] == ["a"]
    assert [a["agent"] for a in shown["for-all"]["acknowledgements"]] == ["a"]
    assert shown["for-all"]["pending"] == []
    assert client.get(f"{PATH}/for-all").json() == shown["for-all"]
    for name in ("for-infra", "for-b"):
        assert _kind(client.get(f"{PATH}/{name}")) == (404, "not-found")
        assert _kind(client.delete(f"{PATH}/{name}")) == (404, "not-found")
    for name in ("for-all", "for-both", "for-a-and-b"):
        assert _kind(client.delete(f"{PATH}/{name}")) == (403, "scope-needed")
    assert client.delete(f"{PATH}/for-text").status_code == 204


@pytest.mark.parametrize(
    ("types", "status"), [(["text"], 201), ([], 403), (["infra"], 403), (["text", "infra"], 403)]
)
def test_what_a_client_of_some_types_makes(
    client: TestClient, store: FakeStore, become: Become, types: list[str], status: int
) -> None:
    become(Scope.ADMIN, types=frozenset({"text"}))
    answer = client.post(PATH, json={"kind": "Pause", "agentSelector": {"types": types}})
    assert answer.status_code == status
    assert bool(store.announcements) is (status == 201)
