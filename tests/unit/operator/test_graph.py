"""Whole graphs of Tasks: index and decisions together, in a world that runs them in any order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harebell_crds.task import Priority, TaskPhase, TaskSpec, TaskStatus
from harebell_operator.decide.observation import Sighting, Supply, TaskObservation
from harebell_operator.decide.prerequisite import Prospect
from harebell_operator.decide.task import decide
from harebell_operator.graph import Graph
from harebell_operator.store import TaskEntry

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ENDS = (TaskPhase.SUCCEEDED, TaskPhase.FAILED, TaskPhase.CANCELLED, TaskPhase.DEAD_LETTERED)


def entry(name: str, *needs: str, finish: bool = False, uid: str = "", **spec: Any) -> TaskEntry:
    condition = "Finished" if finish else "Succeeded"
    return TaskEntry(
        namespace="ns",
        name=name,
        uid=uid or f"uid-{name}",
        generation=1,
        created_at=T0,
        spec=TaskSpec.model_validate(
            {
                "agentType": "t",
                "action": "a",
                "dependsOn": [{"name": n, "condition": condition} for n in needs],
                **spec,
            }
        ),
        status=TaskStatus(),
        written=TaskStatus(),
    )


class World:
    """Tasks, the operator's index of them, and its queue; agents do what they are told."""

    def __init__(self) -> None:
        self.now = T0
        self.tasks: dict[str, TaskEntry] = {}
        """By UID."""
        self.started: list[str] = []
        self.inputs: dict[str, tuple[Any, ...]] = {}
        self.steps = 0
        self._begin()

    def _begin(self) -> None:
        self.queue: dict[str, None] = {}
        self.graph = Graph(lambda uid: self.queue.setdefault(uid), lambda: self.now)

    def add(self, *entries: TaskEntry) -> None:
        for new in entries:
            self.tasks[new.uid] = new
            self.graph.add(new)
            self.queue.setdefault(new.uid)

    def restart(self) -> None:
        """Know no more than what is written."""
        self._begin()
        for known in self.tasks.values():
            known.status = known.written
        self.add(*self.tasks.values())

    def delete(self, gone: TaskEntry) -> None:
        del self.tasks[gone.uid]
        self.graph.drop(gone)
        self.queue.pop(gone.uid, None)

    def settle(self) -> None:
        """Look at Tasks until none is left to look at."""
        while self.queue:
            uid = next(iter(self.queue))
            del self.queue[uid]
            if uid in self.tasks:
                self.look(self.tasks[uid])

    def look(self, seen: TaskEntry) -> None:
        self.steps += 1
        prerequisites = self.graph.prerequisites(seen)
        decision = decide(
            TaskObservation(
                uid=seen.uid,
                generation=1,
                created_at=seen.created_at,
                spec=seen.spec,
                status=seen.status,
                replies=(),
                sighting=Sighting.UNKNOWN,
                heard_until=None,
                supply=Supply(1, 1),
                broker_error=None,
                published_at=None,
                queued_as=Priority.NORMAL,
                messages_waiting=None,
                message_lost=False,
                payload_problem=None,
                cancel_sent_at=None,
                prerequisites=prerequisites,
                cycle=self.graph.cycle(seen),
                needed=self.graph.needed(seen),
            ),
            self.now,
        )
        if decision.delete:
            self.delete(seen)
            return
        if decision.publish:
            assert all(p.prospect is Prospect.MET for p in prerequisites)
            self.started.append(seen.name)
            self.inputs[seen.name] = tuple(p.result for p in prerequisites)
        seen.status = decision.status
        if seen.status != seen.written:
            self.write(seen)

    def write(self, seen: TaskEntry) -> None:
        was, seen.written = seen.written, seen.status
        if not ended(was) and ended(seen.written):
            self.graph.finished(seen)

    def end(self, running: TaskEntry, phase: TaskPhase) -> None:
        """Have an agent finish a Task that was started."""
        running.status = running.status.model_copy(
            update={"phase": phase, "reason": phase, "completed_at": self.now, "result": running.name}
        )
        self.write(running)

    def find(self, name: str) -> TaskEntry:
        return next(t for t in self.tasks.values() if t.name == name)

    def reason(self, name: str) -> str | None:
        return self.find(name).status.reason


def ended(status: TaskStatus) -> bool:
    return status.phase is not None and status.phase.terminal


@st.composite
def plans(draw: st.DrawFn) -> list[TaskEntry]:
    """Tasks that need one another at random, in the order in which they are applied."""
    size = draw(st.integers(1, 8))
    acyclic = draw(st.booleans())
    tasks = []
    for n in range(size):
        others = st.integers(0, n - 1 if acyclic else size - 1)
        needs = draw(st.sets(others, max_size=3)) if n or not acyclic else set()
        finish = draw(st.booleans())
        tasks.append(entry(f"t{n}", *[f"t{o}" for o in sorted(needs)], finish=finish))
    return draw(st.permutations(tasks))


def on_cycle(name: str, needs: dict[str, list[str]]) -> bool:
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        for other in needs[ahead.pop()]:
            if other == name:
                return True
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return False


@given(plan=plans(), data=st.data())
@settings(max_examples=300, deadline=None)
def test_every_task_ends_and_none_starts_too_early(plan: list[TaskEntry], data: st.DataObject) -> None:
    world = World()
    needs = {t.name: [d.name for d in t.spec.depends_on] for t in plan}
    pending = list(plan)
    at_once = data.draw(st.booleans())
    if at_once:
        world.add(*pending)
        pending.clear()
    while True:
        moves = ["apply"] if pending else []
        running = [t for t in world.tasks.values() if t.status.phase == TaskPhase.QUEUED]
        moves += ["end"] if running else []
        if not moves and all(ended(t.status) for t in world.tasks.values()):
            break
        match data.draw(st.sampled_from([*moves, "restart"] if moves else ["settle"])):
            case "apply":
                world.add(pending.pop())
            case "end":
                world.end(data.draw(st.sampled_from(running)), data.draw(st.sampled_from(ENDS)))
            case "restart":
                world.restart()
            case "settle":
                assert world.queue, {t.name: t.status.reason for t in world.tasks.values()}
        if not moves or data.draw(st.booleans()):
            world.settle()
    assert sorted(world.started) == sorted(set(world.started))
    for name in needs:
        reason = world.reason(name)
        assert (name in world.started) == (reason in ENDS)
        # One that ended before its cycle was closed is in none, nor are those that needed it.
        if at_once:
            assert (reason == "DependencyCycle") == on_cycle(name, needs)
        else:
            assert reason != "DependencyCycle" or on_cycle(name, needs)


def test_members_of_a_cycle_are_told_when_it_closes() -> None:
    world = World()
    world.add(entry("a", "b", finish=True), entry("b", "c"), entry("tail", "a"))
    world.settle()
    assert [world.reason(n) for n in "ab"] == ["WaitingForDependencies", "DependencyMissing"]
    world.add(entry("c", "a", "b"))
    world.settle()
    assert {world.reason(n) for n in "abc"} == {"DependencyCycle"}
    assert world.reason("tail") == "DependencyFailed"


def test_a_cycle_is_still_one_when_the_operator_died_between_two_of_its_members() -> None:
    world = World()
    world.add(entry("a", "b", finish=True), entry("b", "a", finish=True))
    world.look(world.find("a"))
    assert world.reason("a") == "DependencyCycle"
    world.restart()
    world.settle()
    assert world.reason("b") == "DependencyCycle"


class TestDeletion:
    def test_an_end_that_was_seen_counts_on(self) -> None:
        world = World()
        world.add(entry("a"), entry("slow"), entry("b", "a", "slow"))
        world.settle()
        world.end(world.find("a"), TaskPhase.SUCCEEDED)
        world.delete(world.find("a"))
        # Another Task of the name is another Task.
        world.add(entry("a", uid="uid-new"))
        world.settle()
        world.end(world.find("slow"), TaskPhase.SUCCEEDED)
        world.settle()
        assert world.inputs["b"] == ("a", "slow")

    def test_one_that_had_not_finished_is_missing(self) -> None:
        world = World()
        world.add(entry("a"), entry("b", "a"))
        world.settle()
        world.delete(world.find("a"))
        world.settle()
        assert world.reason("b") == "DependencyMissing"
        world.add(entry("a", uid="uid-new"))
        world.settle()
        assert world.reason("b") == "WaitingForDependencies"

    def test_a_successor_that_is_seen_before_its_end_takes_the_name(self) -> None:
        world = World()
        old = entry("a")
        world.add(old, entry("b", "a"))
        world.settle()
        world.add(entry("a", uid="uid-new"))
        world.delete(old)
        world.settle()
        world.end(world.find("a"), TaskPhase.SUCCEEDED)
        world.settle()
        assert world.started == ["a", "a", "b"]

    def test_an_old_list_does_not_take_the_name_back(self) -> None:
        world = World()
        new = entry("a", uid="uid-new")
        new.created_at = T0 + timedelta(seconds=60)
        world.add(new, entry("b", "a"))
        world.settle()
        world.add(entry("a", uid="uid-old"))
        world.end(new, TaskPhase.SUCCEEDED)
        world.settle()
        assert "b" in world.started

    @pytest.mark.parametrize("end", ["finished", "deleted"])
    def test_a_ttl_that_is_over_is_kept_to_when_nobody_needs_the_task(self, end: str) -> None:
        world = World()
        world.add(entry("a", ttlSecondsAfterFinished=5), entry("slow"), entry("b", "a", "slow"))
        world.settle()
        world.end(world.find("a"), TaskPhase.SUCCEEDED)
        world.now += timedelta(seconds=6)
        world.look(world.find("a"))
        assert "uid-a" in world.tasks
        if end == "deleted":
            world.delete(world.find("b"))
        else:
            world.end(world.find("slow"), TaskPhase.FAILED)
        world.settle()
        assert "uid-a" not in world.tasks


def test_a_large_graph_costs_what_its_edges_cost() -> None:
    world, layers, width, edges = World(), 10, 100, 5
    plan = [
        entry(f"{a}-{b}", *[f"{a - 1}-{(b + 7 * k) % width}" for k in range(edges)] if a else [])
        for a in range(layers)
        for b in range(width)
    ]
    world.add(*plan)
    world.settle()
    while running := [t for t in plan if t.status.phase == TaskPhase.QUEUED]:
        for task in running:
            world.end(task, TaskPhase.SUCCEEDED)
        world.settle()
    assert len(world.started) == layers * width
    assert world.steps <= 2 * layers * width * edges
