import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies, create_app
from harebell_api.models import MessageDocument
from harebell_api.past import Page, PastFilter, Spot, message_document, requirements
from harebell_api.permissions import Scope
from harebell_api.problems import ProblemError, ProblemType
from harebell_api.queries import encode_spot
from harebell_api.records import task_record
from harebell_api.selector import parse_selector

from .conftest import Become
from .fakes import AUTH, FakePast, FakeStore, task, uid_of

PATH = "/api/v1/history"
T0 = datetime(2026, 1, 1, 0, 0, 0, 500, UTC)
SPOT = Spot(T0, 1, 17)
ONE = Page([b'{"id":"1-17"}'], None)


def _kind(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def test_messages_of_a_task_in_the_cluster(client: TestClient, past: FakePast, parts: Dependencies) -> None:
    parts.task_cache.put(task_record(task("t", uid=uid_of(1))))
    assert client.get(f"{PATH}/t").json() == {"items": [], "nextCursor": None}
    past.page = Page([b'{"id":"1-17"}'], SPOT)
    first = client.get(f"{PATH}/t?limit=1").json()
    assert first["items"] == [{"id": "1-17"}]
    client.get(f"{PATH}/{uid_of(1)}", params={"cursor": first["nextCursor"]})
    assert past.asked == [
        ("messages", uid_of(1), 50, None),
        ("messages", uid_of(1), 1, None),
        ("messages", uid_of(1), 50, SPOT),
    ]


def test_messages_of_one_that_was_deleted(client: TestClient, past: FakePast) -> None:
    past.uids["gone"], past.types[uid_of(2)], past.page = uid_of(2), "text", ONE
    assert client.get(f"{PATH}/gone").json()["items"] == [{"id": "1-17"}]
    assert client.get(f"{PATH}/{uid_of(2)}").status_code == 200
    assert [call[:2] for call in past.asked] == [
        ("uid_of", "gone"),
        ("messages", uid_of(2)),
        ("agent_type_of", uid_of(2)),
        ("messages", uid_of(2)),
    ]


def test_messages_of_one_whose_name_looks_like_a_uid(client: TestClient, past: FakePast) -> None:
    past.uids[uid_of(3)], past.page = uid_of(2), ONE
    assert client.get(f"{PATH}/{uid_of(3)}").json()["items"] == [{"id": "1-17"}]
    assert past.asked[-1][:2] == ("messages", uid_of(2))


@pytest.mark.parametrize("task_id", ["unknown", uid_of(9), "UPPER", "%00", "a" * 300])
def test_unknown_tasks(client: TestClient, task_id: str) -> None:
    assert _kind(client.get(f"{PATH}/{task_id}")) == (404, "not-found")


def test_which_of_those_deleted_are_asked_for(client: TestClient, past: FakePast) -> None:
    past.page = Page([b"{}"], SPOT)
    query = "agent_type=text&phase=failed&phase=DeadLettered&label_selector=team%3Dweb&limit=7"
    times = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00%2B01:00"
    first = client.get(f"{PATH}?{query}&{times}").json()
    assert client.get(PATH, params={"cursor": first["nextCursor"]}).status_code == 200
    wanted = PastFilter(
        frozenset({"text"}),
        frozenset({"Failed", "DeadLettered"}),
        parse_selector("team=web"),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 31, 23, tzinfo=UTC),
    )
    assert past.asked == [("removed", wanted, 7, None), ("removed", PastFilter(), 50, SPOT)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("cursor=x", (400, "invalid-cursor")),
        ("cursor=", (400, "invalid-cursor")),
        ("cursor=" + encode_spot(T0, 2**31, 1), (400, "invalid-cursor")),
        ("cursor=" + encode_spot(T0, 1, -1), (400, "invalid-cursor")),
        ("cursor=" + encode_spot(datetime.min, 1, 1), (400, "invalid-cursor")),
        ("cursor=" + encode_spot(datetime.max.replace(tzinfo=UTC), 1, 1), (400, "invalid-cursor")),
        ("from=yesterday", (422, "invalid")),
        ("from=2026-01-01T00:00:00", (422, "invalid")),
        ("from=0001-01-01T00:00:00%2B14:00", (422, "invalid")),
        ("to=9999-12-31T23:59:59-14:00", (422, "invalid")),
        ("label_selector=(", (422, "invalid")),
        ("agent_type=%00", (422, "invalid")),
        ("phase=Unknown", (422, "invalid")),
        ("limit=101", (422, "invalid")),
        ("&".join(["phase=Failed"] * 51), (422, "invalid")),
    ],
)
def test_wrong_parameters(client: TestClient, past: FakePast, query: str, expected: Any) -> None:
    assert _kind(client.get(f"{PATH}?{query}")) == expected
    assert past.asked == []


def test_without_an_archive(parts: Dependencies) -> None:
    app = create_app(Dependencies(parts.namespace, parts.store, parts.keys))
    with TestClient(app, headers=AUTH) as client:
        for path in (PATH, f"{PATH}/t"):
            answer = client.get(path)
            assert _kind(answer) == (503, "unavailable")
            assert "HAREBELL_ARCHIVE_URL" in answer.json()["detail"]


def test_while_the_archive_is_away(client: TestClient, past: FakePast, store: FakeStore) -> None:
    past.failure = ProblemError(ProblemType.UNAVAILABLE, "away", headers={"Retry-After": "10"})
    store.add(task("t"))
    for path in (PATH, f"{PATH}/t", f"{PATH}/gone"):
        assert _kind(client.get(path)) == (503, "unavailable")


def test_what_a_client_of_some_types_sees(
    client: TestClient, past: FakePast, store: FakeStore, become: Become
) -> None:
    store.add(task("t"), task("other", spec={"agentType": "infra"}))
    past.uids.update({"gone": uid_of(1), "other-gone": uid_of(2), "untold": uid_of(3)})
    past.types.update({uid_of(1): "text", uid_of(2): "infra"})
    past.page = ONE
    become(Scope.READ, types=frozenset({"text"}))
    for name in ("t", "gone", uid_of(1)):
        assert client.get(f"{PATH}/{name}").status_code == 200
    for name in ("other", "other-gone", uid_of(2), "untold", uid_of(4)):
        assert _kind(client.get(f"{PATH}/{name}")) == (404, "not-found")
    past.asked.clear()
    client.get(PATH)
    client.get(f"{PATH}?agent_type=text&agent_type=infra")
    client.get(f"{PATH}?agent_type=infra")
    assert [call[1].agent_types for call in past.asked] == [{"text"}, {"text"}, frozenset()]
    become(Scope.CANCEL)
    assert _kind(client.get(PATH)) == _kind(client.get(f"{PATH}/t")) == (403, "scope-needed")


ROW: dict[str, Any] = {
    "epoch": 1,
    "stream_offset": 17,
    "time": T0,
    "sent_at": None,
    "kind": "Started",
    "exchange": "harebell.replies",
    "attempt": 1,
    "agent_id": "a",
    "reason": None,
    "body": None,
}


@pytest.mark.parametrize("body", ['{"kind":"Started"}', None, "[" * 5000 + "]" * 5000])
def test_message_documents_are_as_described(body: str | None) -> None:
    text = message_document({**ROW, "body": body})
    if body is None or len(body) < 100:
        MessageDocument.model_validate_json(text)
        shown = json.loads(text)
        assert set(shown) == {f.alias for f in MessageDocument.model_fields.values()}
        assert (shown["id"], shown["time"]) == ("1-17", "2026-01-01T00:00:00.000500Z")
    else:  # deeper than anything here could read: it is passed on as it is
        assert text.endswith(b'"content":' + body.encode() + b"}")


@pytest.mark.parametrize(
    ("sent_at", "shown"),
    [
        (datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC), "0001-01-01T00:00:01.000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59.000000Z"),
        # The infinities, as the driver reads them.
        (datetime.min, None),
        (datetime.max, None),
    ],
)
def test_whatever_time_a_sender_says_is_shown_or_none(sent_at: datetime, shown: str | None) -> None:
    text = message_document({**ROW, "sent_at": sent_at})
    MessageDocument.model_validate_json(text)
    assert json.loads(text)["sentAt"] == shown


def test_a_selector_as_the_query_takes_it() -> None:
    assert json.loads(requirements(parse_selector("a=1,b notin (x,y),!c,d"))) == [
        {"key": "a", "allowed": ["1"], "negated": False},
        {"key": "b", "allowed": ["x", "y"], "negated": True},
        {"key": "c", "allowed": None, "negated": True},
        {"key": "d", "allowed": None, "negated": False},
    ]
    assert requirements(parse_selector("")) == "[]"
