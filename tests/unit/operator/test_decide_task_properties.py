"""Random interleavings of replies, losses, restarts and time against the decision about a Task.

The world below delivers what agents said in any order, twice or never, kills agents, restarts the operator
with the status it last wrote, and lets time pass. Whatever it does, the invariants hold; once it stops
interfering, the Task finishes.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harebell_bus.envelopes import AgentRef, Failed, Interrupted, Started, Succeeded, TaskRef
from harebell_crds.task import CancelMode, Priority, TaskPhase, TaskSpec, TaskStatus
from harebell_operator.decide.lanes import MessageNumber, newest_message
from harebell_operator.decide.observation import Report, Sighting, Supply, TaskObservation, Undelivered
from harebell_operator.decide.task import decide

T0 = datetime(2026, 1, 1, tzinfo=UTC)
REF = TaskRef(namespace="ns", name="t", uid="uid")
AGENTS = [AgentRef(id=f"agent-{n}", instance=f"i{n}") for n in range(3)]


class World(RuleBasedStateMachine):
    """A Task, its operator, three agents and an unreliable network between them."""

    @initialize(retries=st.integers(0, 3))
    def begin(self, retries: int) -> None:
        self.spec = TaskSpec(agent_type="t", action="a", retry_policy={"maxRetries": retries})
        self.now = T0
        self.status = TaskStatus()
        self.written = TaskStatus()
        self.published: list[int] = []
        self.generation = 1
        self.queued_as: Priority | None = None
        self.newest: tuple[MessageNumber, Priority] | None = None
        """The message published last, and its priority."""
        self.said: list[Report] = []
        self.inbox: list[Report] = []
        self.gone: set[str] = set()
        self.final: TaskStatus | None = None
        self.owners: dict[int, tuple[str | None, str | None]] = {}
        self.reconcile()

    def observe(self) -> TaskObservation:
        owner = self.status.agent_instance
        return TaskObservation(
            uid="uid",
            generation=self.generation,
            created_at=T0,
            spec=self.spec,
            status=self.status,
            replies=tuple(self.inbox),
            sighting=Sighting.GONE if owner in self.gone else Sighting.WORKING,
            supply=Supply(3, 3),
            broker_error=None,
            published_at=None,
            queued_as=self.queued_as,
            messages_waiting=None,
            message_lost=False,
            payload_problem=None,
            cancel_sent_at=None,
        )

    def reconcile(self) -> None:
        decision = decide(self.observe(), self.now)
        if decision.publish:
            self.published.append(decision.status.attempt)
            number = MessageNumber(decision.status.attempt, decision.status.dispatch)
            self.newest, self.queued_as = (number, self.spec.priority), self.spec.priority
            # What agents were told to drop is never what was published last.
            assert (newest_message(decision.status) or number) <= number
        before, self.status = self.status, decision.status
        self.inbox.clear()
        if self.spec.suspend:
            assert not decision.publish
            assert self.status.phase != TaskPhase.QUEUED
        if self.status.phase == TaskPhase.QUEUED:
            assert self.newest is not None
            # What is asked to run can still be begun.
            assert (newest_message(self.status) or self.newest[0]) == self.newest[0]
            assert self.newest[1] == self.spec.priority
        # Nobody but its own operator changes who has an attempt.
        if self.status.attempt == before.attempt and before.agent_instance is not None:
            assert self.status.agent_instance == before.agent_instance

    def say(self, reply: Report) -> None:
        self.said.append(reply)
        self.inbox.append(reply)

    @precondition(lambda self: self.published)
    @rule(agent=st.sampled_from(AGENTS), which=st.integers(0, 9))
    def an_agent_starts(self, agent: AgentRef, which: int) -> None:
        attempt = self.published[which % len(self.published)]
        self.say(Started(task=REF, attempt=attempt, agent=agent, at=self.now))

    @precondition(lambda self: self.published)
    @rule(
        agent=st.sampled_from(AGENTS),
        which=st.integers(0, 9),
        kind=st.sampled_from(["ok", "error", "final", "interrupted"]),
    )
    def an_agent_ends(self, agent: AgentRef, which: int, kind: str) -> None:
        about = {
            "task": REF,
            "attempt": self.published[which % len(self.published)],
            "agent": agent,
            "at": self.now,
        }
        match kind:
            case "ok":
                self.say(Succeeded.model_validate({**about, "result": {"by": agent.id}}))
            case "interrupted":
                self.say(Interrupted.model_validate(about))
            case _:
                self.say(
                    Failed.model_validate(
                        {**about, "code": "Boom", "message": "no", "retryable": kind == "error"}
                    )
                )

    @precondition(lambda self: self.published)
    @rule(which=st.integers(0, 9))
    def the_broker_gives_up(self, which: int) -> None:
        self.say(Undelivered(REF, self.published[which % len(self.published)]))

    @precondition(lambda self: self.said)
    @rule(which=st.integers(0, 99))
    def a_reply_comes_again(self, which: int) -> None:
        self.inbox.append(self.said[which % len(self.said)])

    @precondition(lambda self: len(self.inbox) > 1)
    @rule()
    def replies_change_order(self) -> None:
        self.inbox.reverse()

    @rule(agent=st.sampled_from(AGENTS))
    def an_agent_dies(self, agent: AgentRef) -> None:
        self.gone.add(agent.instance)

    @rule(agent=st.sampled_from(AGENTS))
    def it_was_only_away(self, agent: AgentRef) -> None:
        self.gone.discard(agent.instance)

    @rule(seconds=st.sampled_from([0.1, 1, 10, 400]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.reconcile()

    @rule()
    def the_status_is_written(self) -> None:
        self.written = self.status

    @rule()
    def the_operator_restarts(self) -> None:
        """Replies whose effect was not written were not acknowledged: they come again."""
        self.status = self.written
        self.inbox = list(self.said)
        known = self.written.observed_generation == self.generation
        self.queued_as = self.spec.priority if known else None
        self.reconcile()

    @rule(mode=st.sampled_from(list(CancelMode)))
    def somebody_cancels(self, mode: CancelMode) -> None:
        if self.spec.cancel != CancelMode.IMMEDIATE:
            self.spec = self.spec.model_copy(update={"cancel": mode})
            self.generation += 1

    @precondition(lambda self: self.written.phase in (None, TaskPhase.PENDING, TaskPhase.QUEUED))
    @rule(priority=st.sampled_from(list(Priority)))
    def somebody_changes_the_priority(self, priority: Priority) -> None:
        if priority != self.spec.priority:
            self.spec = self.spec.model_copy(update={"priority": priority})
            self.generation += 1

    @rule()
    def somebody_suspends_or_resumes(self) -> None:
        self.spec = self.spec.model_copy(update={"suspend": not self.spec.suspend})
        self.generation += 1

    @invariant()
    def what_was_written_as_final_stays(self) -> None:
        if self.final is None and self.written.phase and self.written.phase.terminal:
            self.final = self.written
        if self.final is not None and self.status.phase and self.status.phase.terminal:
            assert self.status.phase == self.final.phase
            assert self.status.result == self.final.result

    @invariant()
    def attempts_are_bounded_and_counted(self) -> None:
        assert self.status.failures <= self.spec.retry_policy.max_retries + 1
        assert [a.attempt for a in self.status.attempts] == sorted({a.attempt for a in self.status.attempts})
        still_open = [a for a in self.status.attempts if a.outcome is None]
        assert len(still_open) <= 1
        if self.status.phase == TaskPhase.RUNNING:
            assert still_open == [self.status.attempts[-1]]
        else:
            assert not still_open

    def teardown(self) -> None:
        """The world calms down: an agent takes whatever is published and succeeds. The Task must finish."""
        if not hasattr(self, "status"):
            return
        fresh = AgentRef(id="fresh", instance="fresh")
        self.spec = self.spec.model_copy(update={"suspend": False})
        self.generation += 1
        self.gone = {a.instance for a in AGENTS}
        for _ in range(50):
            self.now += timedelta(seconds=600)
            self.reconcile()
            if self.status.phase and self.status.phase.terminal:
                return
            if self.status.phase == TaskPhase.QUEUED:
                self.say(Started(task=REF, attempt=self.status.attempt, agent=fresh, at=self.now))
                self.say(Succeeded(task=REF, attempt=self.status.attempt, agent=fresh, at=self.now, result=1))
        raise AssertionError(f"no progress: {self.status}")


World.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestWorld = World.TestCase


def test_the_world_can_see_a_broken_decision() -> None:
    """A decision that lets a finished Task change must be caught, or the machine above proves nothing."""
    done = TaskStatus(phase=TaskPhase.SUCCEEDED, attempt=1, completed_at=T0, result=1)
    world = World()
    world.begin(0)
    world.status = world.written = done
    world.what_was_written_as_final_stays()
    world.status = done.model_copy(update={"phase": TaskPhase.FAILED})
    try:
        world.what_was_written_as_final_stays()
    except AssertionError:
        return
    raise AssertionError("the invariant did not notice")
