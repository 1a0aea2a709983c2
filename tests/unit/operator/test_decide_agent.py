"""Tables over the decision about an Agent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import AgentRef, Gpu, Heartbeat, HeartbeatReason, Memory, Resources
from harebell_bus.envelopes import Cpu as BusCpu
from harebell_crds.agent import AgentPhase, AgentStatus, CurrentTask
from harebell_crds.agent import Cpu as StatusCpu
from harebell_crds.agent import Gpu as StatusGpu
from harebell_crds.agent import Memory as StatusMemory
from harebell_crds.agent import Resources as StatusResources
from harebell_crds.conditions import find_condition
from harebell_crds.task import Attempt, AttemptOutcome, TaskPhase, TaskStatus
from harebell_operator.decide.agent import BUSY_SETTLES, AgentObservation, decide, summarize
from harebell_operator.decide.fencing import is_stale
from harebell_operator.decide.standing import Order, OrderKind

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ANNA = AgentRef(id="anna", instance="a1")
TASK = CurrentTask(namespace="ns", name="t", uid="u", attempt=1)
WINDOW = timedelta(seconds=180)
GIB = 2**30


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def beat(seconds: float = 0, **more: Any) -> Heartbeat:
    return Heartbeat(
        reason=HeartbeatReason.INTERVAL,
        agent=ANNA,
        agent_type="text",
        software_version="1",
        started_at=T0,
        at=at(seconds),
        resources=Resources(cpu=BusCpu(cores=2, utilization_percent=7), gpus=()),
        **more,
    )


def observed(status: AgentStatus | None = None, **changes: Any) -> AgentObservation:
    given: dict[str, Any] = {
        "generation": 1,
        "status": status or AgentStatus(),
        "heartbeat": beat(),
        "last_seen": T0,
        "tasks": (),
        "tasks_changed_at": T0,
        "gone": None,
        "offline_after": WINDOW,
        "hearing_since": T0,
    }
    return AgentObservation(**{**given, **changes})


def test_what_it_can_do_is_written() -> None:
    said = beat(actions=("b", "a", "c"), resumable=("c",), idempotent=("b", "a"))
    found = decide(observed(heartbeat=said), at(0)).status.capabilities
    assert (found.actions, found.resumable, found.idempotent) == (("a", "b", "c"), ("c",), ("a", "b"))


def test_a_first_heartbeat_is_written_at_once() -> None:
    decision = decide(observed(), at(0))
    assert decision.write
    assert (decision.status.phase, decision.status.instance) == (AgentPhase.ONLINE, "a1")
    assert decision.status.summary.cpu == "7%"
    assert decision.wake_at == T0 + WINDOW


def test_nothing_new_is_not_written() -> None:
    written = decide(observed(), at(0)).status
    assert not decide(observed(written), at(10)).write


@pytest.mark.parametrize(
    ("changes", "seconds", "reason"),
    [
        ({}, 180, "HeartbeatMissed"),
        ({"gone": "PodGone"}, 1, "PodGone"),
        ({"gone": "Left"}, 1, "Left"),
        ({"heartbeat": None}, 180, "HeartbeatMissed"),
    ],
)
def test_offline_is_written_at_once(changes: dict[str, Any], seconds: float, reason: str) -> None:
    written = decide(observed(), at(0)).status
    decision = decide(observed(written, **changes), at(seconds))
    assert decision.write
    assert (decision.status.phase, decision.status.reason) == (AgentPhase.OFFLINE, reason)
    assert decision.status.current_tasks == ()


def test_silence_counts_only_while_somebody_listens() -> None:
    written = decide(observed(), at(0)).status
    deaf = decide(observed(written, hearing_since=None), at(10_000))
    assert (deaf.status.phase, deaf.write, deaf.wake_at) == (AgentPhase.ONLINE, False, None)
    again = observed(written, hearing_since=at(10_000))
    early = decide(again, at(10_179))
    assert (early.status.phase, early.wake_at) == (AgentPhase.ONLINE, at(10_180))
    assert decide(again, at(10_180)).status.phase == AgentPhase.OFFLINE


def test_an_agent_from_before_a_restart_has_a_whole_window() -> None:
    written = decide(observed(), at(0)).status
    decision = decide(observed(written, heartbeat=None, last_seen=at(1000)), at(1179))
    assert not decision.write
    assert decision.status.phase == AgentPhase.ONLINE
    assert decision.wake_at == at(1000) + WINDOW


def test_short_work_does_not_show_as_busy() -> None:
    written = decide(observed(), at(0)).status
    busy = observed(written, tasks=(TASK,), tasks_changed_at=at(10))
    early = decide(busy, at(10))
    assert not early.write
    assert early.wake_at == at(10) + BUSY_SETTLES
    late = decide(busy, at(10) + BUSY_SETTLES)
    assert late.write
    assert late.status.phase == AgentPhase.BUSY
    assert late.status.summary.task == "t"


@pytest.mark.parametrize(
    ("tasks", "phase", "message"),
    [
        ((), AgentPhase.PAUSED, "takes no work, by upgrade"),
        ((TASK,), AgentPhase.BUSY, "finishes what it does, takes nothing new, by upgrade"),
    ],
)
def test_a_paused_agent_says_so_once_it_has_finished(
    tasks: tuple[CurrentTask, ...], phase: AgentPhase, message: str
) -> None:
    paused = observed(heartbeat=beat(paused=True), tasks=tasks, paused_by=("upgrade",))
    status = decide(paused, at(0)).status
    ready = status.conditions[0]
    assert (status.phase, status.reason, ready.status, ready.message) == (phase, "Paused", "True", message)


PAUSE = Order("u.2", "anna", OrderKind.PAUSE, T0)
DRAIN = Order("u.2", "anna", OrderKind.DRAIN, T0)


@pytest.mark.parametrize(
    ("order", "said", "tasks", "phase", "reason", "drained"),
    [
        (PAUSE, {"paused": True, "acknowledged": ("u.2",)}, (), "Paused", "PausedBySpec", "True"),
        (PAUSE, {"paused": True, "acknowledged": ("u.2",)}, (TASK,), "Busy", "PausedBySpec", "False"),
        (DRAIN, {"paused": True, "acknowledged": ("u.2",)}, (), "Draining", "DrainingBySpec", "True"),
        (DRAIN, {"paused": True, "acknowledged": ("u.2",)}, (TASK,), "Draining", "DrainingBySpec", "False"),
        # It has not said so yet; what it said of an earlier generation, or of a Pause, does not serve.
        (DRAIN, {}, (), "Online", "HeartbeatReceived", "False"),
        (DRAIN, {"paused": True, "acknowledged": ("u.1",)}, (), "Draining", "DrainingBySpec", "False"),
        (None, {"paused": True, "acknowledged": ("p",)}, (), "Paused", "Paused", None),
        (None, {}, (), "Online", "HeartbeatReceived", None),
    ],
)
def test_what_the_spec_asks_is_done_when_the_agent_says_so_and_has_no_task(
    order: Order | None,
    said: dict[str, Any],
    tasks: tuple[CurrentTask, ...],
    phase: str,
    reason: str,
    drained: str | None,
) -> None:
    status = decide(observed(heartbeat=beat(**said), tasks=tasks, order=order), at(0)).status
    condition = find_condition(status.conditions, "Drained")
    assert (status.phase, status.reason) == (phase, reason)
    assert (condition and condition.status) == drained


def test_what_an_agent_that_is_gone_has_finished_is_not_known() -> None:
    drained = observed(heartbeat=beat(paused=True, acknowledged=("u.2",)), order=DRAIN)
    before = decide(drained, at(0)).status
    gone = replace(drained, status=before, gone="PodGone")
    condition = find_condition(decide(gone, at(1)).status.conditions, "Drained")
    assert condition
    assert (condition.status, condition.reason) == ("Unknown", "PodGone")
    # And nobody asks any more.
    again = decide(replace(drained, status=before, order=None, heartbeat=beat()), at(1))
    assert find_condition(again.status.conditions, "Drained") is None


@pytest.mark.parametrize(
    ("gpus", "shown"),
    [
        (None, "unknown"),
        ((), "-"),
        ((StatusGpu(index=0, memory_used_bytes=GIB, memory_total_bytes=80 * GIB),), "1.0/80.0Gi"),
        ((StatusGpu(index=0, memory_total_bytes=80 * GIB),), "?/80.0Gi"),
    ],
)
def test_gpu_memory_never_reads_0_when_unknown(gpus: tuple[StatusGpu, ...] | None, shown: str) -> None:
    assert summarize(StatusResources(gpus=gpus), (), stale=False).gpu_memory == shown


def test_figures_that_cannot_be_are_unknown_and_keep_nothing_else_from_being_written() -> None:
    """As of a driver that has none: NVML's "not available" is the largest number of the field's size."""
    said = Resources(
        cpu=BusCpu(cores=-1, utilization_percent=7),
        memory=Memory(total_bytes=2**64 - 1, used_bytes=1),
        gpus=(
            Gpu(
                index=0,
                memory_total_bytes=2**64 - 1,
                memory_used_bytes=1,
                utilization_percent=2**32 - 1,
                mig=True,
            ),
            Gpu(index=-1),
        ),
    )
    heartbeat = beat(capacity=2**70).model_copy(update={"resources": said})
    status = decide(observed(heartbeat=heartbeat), at(0)).status
    assert (status.phase, status.capacity) == (AgentPhase.ONLINE, 2**63 - 1)
    assert status.resources == StatusResources(
        cpu=StatusCpu(utilization_percent=7),
        memory=StatusMemory(used_bytes=1),
        gpus=(StatusGpu(index=0, memory_used_bytes=1, mig=True),),
    )
    assert (
        decide(observed(status, heartbeat=heartbeat, gone="Left"), at(1)).status.phase == AgentPhase.OFFLINE
    )


def test_gpu_figures_pass_from_heartbeat_to_status() -> None:
    gpu = Gpu(index=1, uuid="GPU-1", name="H100", memory_total_bytes=80 * GIB, mig=False)
    heartbeat = beat().model_copy(update={"resources": Resources(gpus=(gpu,))})
    status = decide(observed(heartbeat=heartbeat), at(0)).status
    assert status.resources.gpus is not None
    assert status.resources.gpus[0].model_dump() == gpu.model_dump()


@pytest.mark.parametrize(
    ("status", "attempt", "stale"),
    [
        (None, 1, True),
        (TaskStatus(), 1, False),
        (TaskStatus(phase=TaskPhase.QUEUED, attempt=1), 1, False),
        (TaskStatus(phase=TaskPhase.QUEUED, attempt=2), 1, True),
        (TaskStatus(phase=TaskPhase.PENDING, attempt=1), 1, True),
        (TaskStatus(phase=TaskPhase.PENDING, attempt=1), 2, False),
        (TaskStatus(phase=TaskPhase.RUNNING, attempt=1, agent_name="anna", agent_instance="a1"), 1, False),
        (TaskStatus(phase=TaskPhase.RUNNING, attempt=1, agent_name="anna", agent_instance="a0"), 1, True),
        (TaskStatus(phase=TaskPhase.RUNNING, attempt=1, agent_name="bert", agent_instance="b1"), 1, True),
        (TaskStatus(phase=TaskPhase.SUCCEEDED, attempt=1, agent_name="anna", agent_instance="a1"), 1, True),
    ],
)
def test_who_is_told_to_stop(status: TaskStatus | None, attempt: int, stale: bool) -> None:
    assert (is_stale(status, attempt, ANNA, at(0)) is not None) == stale


@pytest.mark.parametrize(
    ("outcome", "agent", "said", "stale"),
    [
        (AttemptOutcome.SUCCEEDED, "anna", 9, False),
        (AttemptOutcome.FAILED, "anna", 10, False),
        (AttemptOutcome.SUCCEEDED, "anna", 12, False),  # The broker had not confirmed it.
        (AttemptOutcome.SUCCEEDED, "anna", 16, True),  # She began it once more.
        (AttemptOutcome.SUCCEEDED, "bert", 9, True),
        (AttemptOutcome.LOST, "anna", 9, True),
    ],
)
def test_what_an_agent_said_before_it_said_the_end_is_no_reason(
    outcome: AttemptOutcome, agent: str, said: int, stale: bool
) -> None:
    record = Attempt(attempt=1, agent_name=agent, started_at=at(0), completed_at=at(10), outcome=outcome)
    status = TaskStatus(phase=TaskPhase.SUCCEEDED, attempt=1, attempts=(record,))
    assert (is_stale(status, 1, ANNA, at(said)) is not None) == stale
