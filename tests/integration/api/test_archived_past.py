"""What the archive's queries find, in a real PostgreSQL, of messages of all shapes."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from harebell_api import archive
from harebell_api.archive import PostgreSQL
from harebell_api.past import ArchivedPast, PastFilter, Spot
from harebell_api.problems import ProblemError, ProblemType
from harebell_api.selector import parse_selector

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

T0 = datetime.now(UTC).replace(hour=0, minute=0, second=1, microsecond=0)
RECORDS, REPLIES, WORK = "harebell.records", "harebell.replies", "harebell.work"
INSERT = """
INSERT INTO harebell.messages (
    epoch, stream_offset, time, exchange, routing_key, correlation_id, kind, task_namespace, task_name,
    attempt, agent_type, headers, body, raw
) VALUES (1, $1, $2, $3, '', $4, $5, 'ns', $6, 1, $7, '{}', $8, $9)
"""


def removed(phase: str | None, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Removed",
        "createdAt": "2026-01-01T00:00:00Z",
        "labels": labels,
        "spec": {"agentType": "text", "action": "echo", "idempotencyKey": "secret", **spec},
        "status": {"phase": phase, "checkpoint": {"attempt": 1, "savedAt": "x", "data": "secret"}}
        if phase
        else {},
    }


def work(**more: Any) -> dict[str, Any]:
    return {
        "kind": "Work",
        "attempt": 1,
        "agentType": "text",
        "action": "a",
        "inputs": {"x": "secret"},
        **more,
    }


def reply(**more: Any) -> dict[str, Any]:
    return {"attempt": 1, "agent": {"id": "anna"}, "at": "2026-01-01T00:00:00Z", **more}


ROWS: list[tuple[Any, ...]] = [
    # offset, seconds, exchange, uid, kind, name, type, body
    (
        1,
        0,
        WORK,
        "u1",
        "Work",
        "one",
        "text",
        {"payload": "secret", "inputs": "secret", "action": "a"},
    ),
    (2, 1, REPLIES, "u1", "Checkpointed", "one", None, {"data": "secret", "attempt": 1}),
    (3, 2, REPLIES, "u1", "Succeeded", "one", None, None),
    (4, 2, REPLIES, "u1", "Succeeded", "one", None, ["no", "object"]),
    (5, 2, REPLIES, "u1", "Failed", "one", None, "text"),
    (6, 2, REPLIES, "u1", "Heartbeat", "one", None, {}),
    (7, 9, RECORDS, "u1", "Removed", "one", "text", removed("Succeeded", {"team": "web", "n": "1"})),
    # At the same moment, so that the offset decides.
    (8, 9, RECORDS, "u2", "Removed", "two", "infra", removed("Failed", {"team": "db"}, agentType="infra")),
    (9, 9, RECORDS, "u3", "Removed", "three", "text", removed(None, {})),
    (10, 20, RECORDS, "u4", "Removed", "one", "text", removed("Cancelled", {"team": ""})),
    (11, 21, REPLIES, "u5", "Removed", "forged", "text", removed("Succeeded", {})),
    (12, 22, RECORDS, "u6", "Removed", "torn", "text", None),
    # Of one whose deletion was not recorded. What agents call work is none.
    (
        13,
        30,
        REPLIES,
        "u7",
        "Work",
        "seven",
        "forged",
        {"action": "forged", "agentType": "forged", "attempt": 9},
    ),
    (14, 31, WORK, "u7", "Work", "seven", "text", work(payload="secret", checkpoint="secret")),
    (15, 32, REPLIES, "u7", "Started", "seven", None, reply()),
    (16, 33, REPLIES, "u7", "Started", "seven", None, 5),
    (17, 34, REPLIES, "u7", "Started", "seven", None, {"attempt": [], "agent": "x"}),
    (18, 35, REPLIES, "u7", "Succeeded", "seven", None, reply(result="\u00e4")),
    (19, 36, "harebell.dead-letters", "u7", "Succeeded", "seven", None, "unread"),
    (20, 37, REPLIES, "u8", "Work", "eight", "forged", {"action": "forged", "agentType": "forged"}),
    (21, 38, WORK, "u9", "Work", "nine", "text", work()),
    (22, 39, REPLIES, "u9", "Started", "nine", None, reply()),
    (23, 40, "harebell.dead-letters", "u9", "Work", "nine", "text", None),
]


@pytest.fixture
async def past(archive_owner_url: str, archive_url: str) -> AsyncIterator[ArchivedPast]:
    connection = await asyncpg.connect(archive_owner_url, timeout=20)
    try:
        await connection.execute("SELECT harebell.make_partition($1)", T0.date())
        await connection.execute("TRUNCATE harebell.messages")
        for offset, seconds, exchange, uid, kind, name, agent_type, body in ROWS:
            time = T0 + timedelta(seconds=seconds)
            text = json.dumps(body) if body is not None else None
            raw = b'{"a": "\\u0000"}' if body is None else None
            await connection.execute(INSERT, offset, time, exchange, uid, kind, name, agent_type, text, raw)
    finally:
        await connection.close(timeout=5)
    reader = PostgreSQL(lambda: archive_url)
    yield ArchivedPast(reader)
    reader.close()


async def test_messages_in_order_and_page_by_page(past: ArchivedPast) -> None:
    whole = await past.messages("ns", "u1", 100, None)
    found = [json.loads(item) for item in whole.items]
    assert [item["id"] for item in found] == ["1-1", "1-2", "1-3", "1-4", "1-5", "1-7"]
    assert whole.follows is None
    assert found[0]["content"] == {"action": "a"}
    assert found[1]["content"] == {"attempt": 1}
    assert [item["content"] for item in found[2:5]] == [None, None, None]
    assert "secret" not in b"".join(whole.items).decode()
    after: Spot | None = None
    paged: list[bytes] = []
    for _ in range(3):
        page = await past.messages("ns", "u1", 2, after)
        paged, after = paged + page.items, page.follows
    assert (paged, after) == (whole.items, None)
    assert (await past.messages("other", "u1", 100, None)).items == []
    assert (await past.messages("ns", "unknown", 100, None)).items == []


async def names(past: ArchivedPast, wanted: PastFilter) -> list[str]:
    page = await past.removed("ns", wanted, 100, None)
    return [json.loads(item)["uid"] for item in page.items]


async def test_tasks_that_were_deleted(past: ArchivedPast) -> None:
    everything = PastFilter()
    assert await names(past, everything) == ["u4", "u3", "u2", "u1"]
    after: Spot | None = None
    paged: list[str] = []
    for _ in range(4):
        page = await past.removed("ns", everything, 1, after)
        paged += [json.loads(item)["uid"] for item in page.items]
        after = page.follows
        assert (after is None) == (len(paged) == 4)
    assert paged == ["u4", "u3", "u2", "u1"]
    for wanted, uids in (
        (replace(everything, agent_types=frozenset({"infra"})), ["u2"]),
        (replace(everything, agent_types=frozenset({"infra", "text"})), ["u4", "u3", "u2", "u1"]),
        (replace(everything, agent_types=frozenset()), []),
        (replace(everything, phases=frozenset({"Pending"})), ["u3"]),
        (replace(everything, phases=frozenset({"Failed", "Succeeded"})), ["u2", "u1"]),
        (replace(everything, since=T0 + timedelta(seconds=20)), ["u4"]),
        (replace(everything, until=T0 + timedelta(seconds=20)), ["u3", "u2", "u1"]),
    ):
        assert await names(past, wanted) == uids, wanted


@pytest.mark.parametrize(
    ("selector", "uids"),
    [
        ("team", ["u4", "u2", "u1"]),
        ("!team", ["u3"]),
        ("team=web", ["u1"]),
        ("team==", ["u4"]),
        ("team!=web", ["u4", "u3", "u2"]),
        ("team in (web,db)", ["u2", "u1"]),
        ("team notin (web,db)", ["u4", "u3"]),
        ("team=web,n=1", ["u1"]),
        ("team=web,n!=1", []),
    ],
)
async def test_labels_are_compared_as_in_the_cluster(
    past: ArchivedPast, selector: str, uids: list[str]
) -> None:
    labels = parse_selector(selector)
    assert await names(past, PastFilter(labels=labels)) == uids
    by_uid = {row[3]: row[7]["labels"] for row in ROWS if row[2] == RECORDS and row[7]}
    assert [uid for uid in ("u4", "u3", "u2", "u1") if labels.matches(by_uid[uid])] == uids


async def test_what_a_name_and_a_type_lead_to(past: ArchivedPast) -> None:
    assert await past.uid_of("ns", "one") == "u4"  # deleted last
    assert await past.uid_of("ns", "forged") is None
    assert await past.uid_of("other", "one") is None
    assert await past.agent_type_of("ns", "u2") == "infra"
    assert await past.agent_type_of("ns", "unknown") is None
    assert await past.agent_type_of("ns", "u7") == "text"
    assert await past.agent_type_of("ns", "u8") is None


async def found(past: ArchivedPast, task_id: str, *, is_uid: bool = True) -> dict[str, Any] | None:
    document = await past._archive.find("ns", task_id, is_uid=is_uid)
    return json.loads(document) if document is not None else None


async def test_a_task_by_name_and_by_uid(past: ArchivedPast) -> None:
    for task_id, is_uid in (("u1", True), ("u4", True), ("one", False)):
        task = await found(past, task_id, is_uid=is_uid)
        assert task is not None
        assert (task["name"], task["phase"]) == ("one", "Succeeded" if task_id == "u1" else "Cancelled")
    for nobody in ("u5", "u8", "unknown"):
        assert await found(past, nobody) is None
    assert await found(past, "seven", is_uid=False) is None


async def test_a_task_of_whose_deletion_there_is_no_record(past: ArchivedPast) -> None:
    task = await found(past, "u7")
    assert task is not None
    assert (task["phase"], task["result"], task["attempt"], task["action"]) == ("Succeeded", "\u00e4", 1, "a")
    assert [a["agentName"] for a in task["attempts"]] == ["anna"]
    buried = await found(past, "u9")
    assert buried is not None
    assert buried["phase"] == "DeadLettered"


async def test_one_task_costs_a_bounded_amount_of_memory(past: ArchivedPast, archive_owner_url: str) -> None:
    """Whatever was said of it, and however often."""
    large = "x" * 300_000
    said = [
        *(("harebell.work", "Work", work(payload=large, attempt=n)) for n in range(1, 40)),
        *(("harebell.replies", "Work", {"payload": large, "result": large}) for _ in range(40)),
        *(("harebell.dead-letters", "Work", {"payload": large, "result": large}) for _ in range(40)),
        *(("harebell.replies", "Succeeded", reply(result=large)) for _ in range(40)),
        ("harebell.replies", "Started", reply(attempt=39)),
        ("harebell.replies", "Succeeded", reply(attempt=39, result="y")),
    ]
    connection = await asyncpg.connect(archive_owner_url, timeout=20)
    try:
        for number, (exchange, kind, body) in enumerate(said, 100):
            time = T0 + timedelta(seconds=number)
            given = (exchange, "u10", kind, "ten", "text", json.dumps(body), None)
            await connection.execute(INSERT, number, time, *given)
        await connection.execute(
            INSERT,
            999,
            T0 + timedelta(seconds=999),
            REPLIES,
            "u10",
            "Failed",
            "ten",
            None,
            None,
            b"x" * 10_000,
        )
    finally:
        await connection.close(timeout=5)
    rows = await past._archive.rows("", archive._WITHOUT_RECORD, "ns", "u10")
    fetched = sum(len(row["body"] or "") + len(row["raw"] or b"") for row in rows)
    assert archive.MAX_BYTES - 2 * len(large) < fetched < archive.MAX_BYTES + 1000
    task = await found(past, "u10")
    assert task is not None
    assert (task["phase"], task["attempt"], task["result"]) == ("Succeeded", 39, "y")


async def test_one_that_takes_too_long_is_given_up(
    past: ArchivedPast, archive_owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "ANSWER_SECONDS", 0.5)
    locking = await asyncpg.connect(archive_owner_url, timeout=20)
    try:
        async with locking.transaction():
            await locking.execute("LOCK TABLE harebell.messages")
            with pytest.raises(ProblemError) as given_up:
                await past.removed("ns", PastFilter(), 1, None)
    finally:
        await locking.close(timeout=5)
    assert given_up.value.problem.type is ProblemType.UNAVAILABLE
    assert "less between from and to" in given_up.value.problem.detail
    assert await names(past, PastFilter()) == ["u4", "u3", "u2", "u1"]
