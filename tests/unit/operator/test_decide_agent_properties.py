"""What holds of every decision about an agent, and that faulty ones would be noticed."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harebell_bus.envelopes import AgentRef, Heartbeat, HeartbeatReason
from harebell_crds.agent import AgentPhase, AgentStatus, CurrentTask
from harebell_crds.conditions import find_condition
from harebell_operator.decide.agent import AgentDecision, AgentObservation, decide

T0 = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = timedelta(seconds=180)
TASKS = tuple(CurrentTask(namespace="ns", name=f"t{n}", uid=f"u{n}", attempt=1) for n in range(3))
RUNS = 300
STEPS = 40

Decide = Callable[[AgentObservation, datetime], AgentDecision]


def heartbeat(rng: random.Random, now: datetime) -> Heartbeat:
    return Heartbeat(
        reason=HeartbeatReason.INTERVAL,
        agent=AgentRef(id="a", instance=f"i{rng.randrange(2)}"),
        agent_type="t",
        software_version="1",
        started_at=T0,
        at=now,
        paused=rng.random() < 0.3,
    )


class World:
    """An agent that comes, goes and works as chance has it, and the operator that writes its status."""

    def __init__(self, seed: int, decide: Decide) -> None:
        self.rng = random.Random(seed)
        self.decide = decide
        self.now = T0
        self.obs = AgentObservation(
            generation=1,
            status=AgentStatus(),
            heartbeat=None,
            last_seen=T0,
            tasks=(),
            tasks_changed_at=T0,
            gone=None,
            offline_after=WINDOW,
            hearing_since=T0,
        )

    def happen(self) -> None:
        """Let one thing happen."""
        self.now += timedelta(seconds=self.rng.choice((0, 0.3, 2, 60, 200)))
        match self.rng.randrange(6):
            case 0 | 1:
                beat = heartbeat(self.rng, self.now)
                self.obs = replace(self.obs, heartbeat=beat, last_seen=self.now, gone=None)
            case 2 | 3:
                some = TASKS[: self.rng.randrange(4)]
                self.obs = replace(self.obs, tasks=some, tasks_changed_at=self.now)
            case 4:
                hearing = None if self.rng.random() < 0.5 else self.now
                self.obs = replace(self.obs, hearing_since=hearing)
            case _:
                self.obs = replace(self.obs, gone=self.rng.choice(("PodGone", "Left")))

    def look(self) -> AgentDecision:
        """Decide and write. :raises AssertionError: the decision is not as it has to be."""
        obs, now = self.obs, self.now
        decision = self.decide(obs, now)
        silent = obs.hearing_since is not None and now >= max(obs.last_seen, obs.hearing_since) + WINDOW
        offline = decision.status.phase == AgentPhase.OFFLINE
        if obs.gone is not None or silent:
            assert offline, "gone, and not Offline"
            assert decision.write or obs.status.phase == AgentPhase.OFFLINE, "Offline, and not written"
        elif obs.heartbeat is not None:
            assert not offline, "called Offline though it may still be heard of"
        if not decision.write:
            settled = now >= obs.tasks_changed_at + timedelta(seconds=1)
            heard = obs.heartbeat is not None or offline
            assert decision.status == obs.status or not (settled and heard), "a settled change is not written"
        elif (before := find_condition(obs.status.conditions, "Ready")) is not None:
            after = find_condition(decision.status.conditions, "Ready")
            assert after is not None
            moved = after.last_transition_time != before.last_transition_time
            assert not moved or after.status != before.status, "a transition that was none"
        if decision.write:
            self.obs = replace(obs, status=decision.status)
            assert not self.decide(self.obs, now).write, "the same is written again"
        return decision

    def fall_silent(self) -> None:
        """Hear nothing more: looking again when it was said must lead to Offline, and then end."""
        self.obs = replace(self.obs, hearing_since=self.now)
        for _ in range(10):
            wake_at = self.look().wake_at
            if wake_at is None:
                break
            assert wake_at > self.now, "looked again at once, for ever"
            self.now = wake_at
        assert self.obs.status.phase == AgentPhase.OFFLINE, "silent for ever, and not Offline"


def run(decide: Decide) -> None:
    """Run all interleavings. :raises AssertionError: after one, something does not hold."""
    for seed in range(RUNS):
        world = World(seed, decide)
        for _ in range(STEPS):
            world.happen()
            world.look()
        world.fall_silent()


def test_the_rules_hold_whatever_happens() -> None:
    run(decide)


def silence_is_overlooked(obs: AgentObservation, now: datetime) -> AgentDecision:
    return decide(replace(obs, last_seen=now), now)


def the_brokers_absence_counts(obs: AgentObservation, now: datetime) -> AgentDecision:
    return decide(replace(obs, hearing_since=T0), now)


def nothing_is_written_until_a_heartbeat(obs: AgentObservation, now: datetime) -> AgentDecision:
    decision = decide(obs, now)
    same = decision.status.last_heartbeat_time == obs.status.last_heartbeat_time
    return replace(decision, write=decision.write and not same)


def everything_is_written(obs: AgentObservation, now: datetime) -> AgentDecision:
    return replace(decide(obs, now), write=True)


def nobody_looks_again(obs: AgentObservation, now: datetime) -> AgentDecision:
    return replace(decide(obs, now), wake_at=None)


def transitions_are_always_now(obs: AgentObservation, now: datetime) -> AgentDecision:
    return decide(replace(obs, status=obs.status.model_copy(update={"conditions": ()})), now)


@pytest.mark.parametrize(
    "faulty",
    [
        silence_is_overlooked,
        the_brokers_absence_counts,
        nothing_is_written_until_a_heartbeat,
        everything_is_written,
        nobody_looks_again,
        transitions_are_always_now,
    ],
    ids=lambda faulty: faulty.__name__,
)
def test_a_faulty_decision_is_caught(faulty: Decide) -> None:
    with pytest.raises(AssertionError):
        run(faulty)
