"""Places in the queue, estimates, and the list of queues, from the cache alone."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.cache import Cache
from harebell_api.models import QueueList, TaskStatusDocument
from harebell_api.queues import Queues
from harebell_api.records import AgentRecord, TaskRecord, agent_record, task_record
from harebell_api.runtimes import KEPT, RunTimes
from harebell_crds.task import Priority

from .fakes import FakeStore, agent, task

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> str:
    return (T0 + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def queued(name: str, seconds: float, version: int = 1, **spec: Any) -> TaskRecord:
    return task_record(task(name, version, phase="Queued", status={"queuedAt": at(seconds)}, spec=spec))


def running(name: str, seconds: float, agent_name: str = "a", **spec: Any) -> TaskRecord:
    status = {"startedAt": at(seconds), "agentName": agent_name, "queuedAt": at(seconds)}
    return task_record(task(name, 2, phase="Running", status=status, spec=spec))


def done(name: str, took: float, phase: str = "Succeeded", ended: float = 0, **spec: Any) -> TaskRecord:
    status = {"startedAt": at(ended - took), "completedAt": at(ended)}
    return task_record(task(name, 3, phase=phase, status=status, spec=spec))


def worker(name: str = "a", phase: str = "Online", **status: Any) -> AgentRecord:
    return agent_record(agent(name, status={"phase": phase, "reason": "HeartbeatReceived", **status}))


DEAF = [
    {
        "type": "Consuming",
        "status": "False",
        "reason": "NotListening",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
]


class World:
    """A cache of Tasks and the queues that follow it."""

    def __init__(self, *agents: AgentRecord) -> None:
        self.now = T0
        self.cache: Cache[TaskRecord] = Cache(lambda t: (t.uid,))
        self.agents = list(agents)
        self.queues = Queues(lambda: self.agents, lambda: self.now)
        self.cache.follow(self.queues.changed)

    def put(self, *tasks: TaskRecord) -> None:
        for each in tasks:
            self.cache.put(each)

    def position(self, name: str) -> int | None:
        place = self.place(name)
        return int(place["position"]) if place else None

    def place(self, name: str) -> dict[str, Any] | None:
        found = self.cache.get(name)
        assert found
        return self.queues.place(found)

    def estimate(self, name: str) -> int | None:
        place = self.place(name)
        assert place
        seconds: int | None = place["estimatedStartSeconds"]
        return seconds


def test_the_most_urgent_is_first_and_then_who_came_first() -> None:
    world = World()
    world.put(
        queued("late", 2),
        queued("early", 1),
        queued("urgent", 3, priority="critical"),
        queued("other", 0, agentType="infra"),
        running("runs", 0),
    )
    positions = {name: world.position(name) for name in ("urgent", "early", "late", "other", "runs")}
    assert positions == {"urgent": 1, "early": 2, "late": 3, "other": 1, "runs": None}
    place = world.place("late")
    assert place
    assert (place["ahead"], place["estimatedStartSeconds"]) == (2, None)


def test_places_follow_what_happens() -> None:
    world = World()
    world.put(queued("a", 1), queued("b", 2), queued("c", 3))
    world.put(queued("c", 3, 4, priority="high"))
    assert [world.position(n) for n in "abc"] == [2, 3, 1]
    world.put(task_record(task("a", 5, phase="Cancelled")))
    assert [world.position(n) for n in "abc"] == [None, 2, 1]
    world.cache.remove(queued("c", 3, 6, priority="high"))
    assert world.position("b") == 1
    world.cache.replace([queued("d", 0, 8)], 9)
    assert world.position("d") == 1
    world.cache.replace([], 20)
    assert world.queues.overview(lambda _: True) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from(["Queued", "Running", "Succeeded", "Pending", "gone"]),
            st.sampled_from([p.value for p in Priority]),
            st.integers(0, 5),
        )
    )
)
def test_places_are_those_of_a_sorted_list(steps: list[tuple[str, str, str, int]]) -> None:
    world = World()
    for version, (name, phase, priority, seconds) in enumerate(steps, 1):
        changed = task(
            name, version, phase=phase, status={"queuedAt": at(seconds)}, spec={"priority": priority}
        )
        (world.cache.remove if phase == "gone" else world.cache.put)(task_record(changed))
    order = list(Priority)
    waiting = sorted(
        (t for t in world.cache.values() if t.phase == "Queued"),
        key=lambda t: (order.index(Priority(t.priority)), t.queued_at, t.name),
    )
    assert [world.position(t.name) for t in waiting] == list(range(1, len(waiting) + 1))


def test_what_is_there_already_counts_for_who_follows_later() -> None:
    world = World()
    world.put(queued("a", 1))
    late = Queues(lambda: [])
    world.cache.follow(late.changed)
    place = late.place(queued("b", 2))
    assert place
    assert place["position"] == 2


@pytest.mark.parametrize(
    ("agents", "seconds"),
    [
        ([worker(capacity=2)], 0),
        ([worker(capacity=1)], 10),
        ([worker(), worker("b", "Offline")], 10),
        ([worker(), worker("b", reason="Paused", phase="Busy")], 10),
        ([worker(), worker("b", conditions=DEAF)], 10),
        ([worker("b", "Offline")], None),
        ([worker(conditions=DEAF)], None),
        ([], None),
    ],
)
def test_who_counts_as_taking_work(agents: list[AgentRecord], seconds: int | None) -> None:
    world = World(*agents)
    world.put(done("past", 10), running("now", 0), queued("next", 0))
    assert world.estimate("next") == seconds


def test_an_estimate_is_as_long_as_the_means_of_what_comes_before() -> None:
    world = World(worker(capacity=2))
    world.put(done("p1", 20), done("p2", 40), done("p3", 5, action="quick"), done("p4", 900, "Failed"))
    world.put(running("r1", 0), running("r2", -10))
    world.put(queued("w1", 1, action="quick"), queued("w2", 2), queued("w3", 3))
    # Slots are free after 20 and 30 s; w1 takes 5 s of the first.
    assert [world.estimate(n) for n in ("w1", "w2", "w3")] == [20, 25, 30]
    world.now += timedelta(seconds=15)
    assert [world.estimate(n) for n in ("w1", "w2", "w3")] == [5, 10, 15]
    # r2 is over its time: it may end at any moment, but has not.
    world.now += timedelta(seconds=6)
    assert world.estimate("w1") == 1


def test_an_action_that_never_succeeded_gives_no_estimate_to_who_waits_behind_it() -> None:
    world = World(worker())
    world.put(done("past", 10), running("now", 0), queued("a", 1, action="new"), queued("b", 2))
    assert (world.estimate("a"), world.estimate("b")) == (10, None)


def test_the_newest_run_times_count_in_whatever_order_they_are_listed() -> None:
    times = RunTimes()
    assert times.mean("text", "echo") is None
    for n in reversed(range(KEPT * 2)):
        ended = T0 + timedelta(minutes=n)
        times.ended("text", "echo", ended - timedelta(seconds=100 if n < KEPT else 10), ended)
    assert times.mean("text", "echo") == 10
    assert times.mean("infra", "echo") is None


def test_a_task_that_changes_after_it_finished_counts_once() -> None:
    world = World(worker())
    world.put(done("a", 10), done("b", 40), running("now", 0), queued("next", 1))
    assert world.estimate("next") == 25
    finished = task("b", 9, phase="Succeeded", status={"startedAt": at(-40), "completedAt": at(0)})
    world.put(task_record(finished))
    assert world.estimate("next") == 25


def test_the_overview() -> None:
    world = World(
        worker(capacity=2, currentTasks=[{"uid": "u"}]),
        worker("b", "Busy", currentTasks=[{"uid": "u"}]),
        worker("c", "Draining", reason="DrainingBySpec"),
        worker("d", conditions=DEAF),
        worker("e", "Offline"),
        agent_record(agent("f", type="infra", status={"phase": "Online"})),
    )
    world.put(queued("w1", 5), queued("w2", 2, priority="low"), queued("w3", 3, priority="low"))
    world.put(running("r", 0), queued("x", 0, agentType="nobody"))
    world.now += timedelta(seconds=12)
    infra, nobody, text = world.queues.overview(lambda _: True)
    assert text == {
        "agentType": "text",
        "waiting": {"critical": 0, "high": 0, "normal": 1, "low": 2, "background": 0},
        "running": 1,
        "oldestWaitingSeconds": 10,
        "agents": {"online": 4, "idle": 1, "paused": 1, "notConsuming": 1},
    }
    assert (infra["agentType"], infra["oldestWaitingSeconds"], infra["agents"]["idle"]) == ("infra", None, 1)
    assert (nobody["agentType"], nobody["agents"]["online"], nobody["oldestWaitingSeconds"]) == (
        "nobody",
        0,
        12,
    )


def test_routes(client: TestClient, parts: Dependencies, store: FakeStore) -> None:
    parts.agent_cache.replace([worker()], 1)
    parts.task_cache.replace([queued("w", 1), running("r", 0)], 1)
    answer = client.get("/api/v1/status/w").json()
    TaskStatusDocument.model_validate(answer)
    assert answer["queue"] == {"position": 1, "ahead": 0, "estimatedStartSeconds": None}
    assert client.get("/api/v1/status/r").json()["queue"] is None
    queues = client.get("/api/v1/queues").json()
    QueueList.model_validate(queues)
    assert [q["agentType"] for q in queues["items"]] == ["text"]
    assert store.calls == []


def test_the_last_of_ten_thousand_is_answered_quickly() -> None:
    world = World(*(worker(f"a{n}") for n in range(100)))
    world.put(done("past", 10), *(running(f"r{n}", 0, f"a{n}") for n in range(100)))
    world.cache.replace([*world.cache.values(), *(queued(f"w{n}", n) for n in range(10_000))], 10)
    begun = time.process_time()
    assert world.estimate("w9999") == 1000
    assert time.process_time() - begun < 0.25
