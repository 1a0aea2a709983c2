import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harebell_api.queries import (
    CursorError,
    TaskFilter,
    agents_by_name,
    decode_cursor,
    encode_cursor,
    newest,
    place_of,
)
from harebell_api.records import AgentRecord, TaskRecord, agent_record, task_record
from harebell_api.selector import parse_selector

from .fakes import agent, task


def _task(name: str, second: int, phase: str = "Queued", **spec: str) -> TaskRecord:
    created = f"2026-01-01T00:00:{second:02d}Z"
    return task_record(task(name, created=created, phase=phase, labels={"name": name}, spec=spec))


TASKS = [
    _task("a", 1, "Succeeded"),
    _task("b", 2, "Queued", priority="high"),
    _task("c", 3, "Running", agentType="infra"),
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (TaskFilter(), "cba"),
        (TaskFilter(phases={"Running", "Queued"}), "cb"),
        (TaskFilter(agent_types={"infra"}), "c"),
        (TaskFilter(priorities={"high"}), "b"),
        (TaskFilter(priorities={"normal"}, agent_types={"text"}), "a"),
        (TaskFilter(labels=parse_selector("name in (a,b)")), "ba"),
        (TaskFilter(phases={"Failed"}), ""),
    ],
)
def test_filter_and_order(wanted: TaskFilter, names: str) -> None:
    found, place = newest(TASKS, wanted, 10, None)
    assert "".join(task.name for task in found) == names
    assert place is None


@given(seconds=st.lists(st.integers(0, 59), max_size=30), limit=st.integers(1, 7))
def test_pages_show_every_task_once_whatever_is_created_meanwhile(seconds: list[int], limit: int) -> None:
    tasks = [_task(f"t{number}", second) for number, second in enumerate(seconds)]
    expected = sorted(tasks, key=place_of, reverse=True)
    shown: list[TaskRecord] = []
    place = None
    while True:
        page, place = newest(tasks, TaskFilter(), limit, place)
        assert len(page) <= limit
        shown += page
        if place is None:
            break
        assert len(page) == limit
        place = decode_cursor(encode_cursor(place))
        newer = task_record(task(f"newer{len(tasks)}", created="2026-01-02T00:00:00Z"))
        tasks.append(newer)
    assert shown == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "!", "e30", base64.urlsafe_b64encode(json.dumps([1, 2]).encode()).decode(), "\u00e9", "W10"],
)
def test_not_a_cursor(text: str) -> None:
    with pytest.raises(CursorError):
        decode_cursor(text)


def _agent(name: str, type: str, phase: str | None) -> AgentRecord:
    return agent_record(agent(name, type=type, status={"phase": phase} if phase else None))


AGENTS = [
    _agent("c", "infra", "Online"),
    _agent("a", "text", "Busy"),
    _agent("b", "infra", "Offline"),
    _agent("d", "infra", None),
]


@pytest.mark.parametrize(
    ("types", "statuses", "names"),
    [
        ((), (), "abcd"),
        (("infra",), (), "bcd"),
        (("infra",), ("online",), "c"),
        ((), ("ONLINE", "busy"), "ac"),
        ((), ("offline",), "bd"),
        (("none",), (), ""),
    ],
)
def test_agents(types: tuple[str, ...], statuses: tuple[str, ...], names: str) -> None:
    assert "".join(a.name for a in agents_by_name(AGENTS, types, statuses)) == names
