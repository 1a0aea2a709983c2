"""GPUs by type of agent: each counted once, and none that is away."""

from datetime import UTC, datetime

from harebell_crds.agent import AgentPhase, AgentStatus, Gpu, Resources
from harebell_operator.gpus import Fleet, by_type
from harebell_operator.store import AgentEntry

T0 = datetime(2026, 11, 1, tzinfo=UTC)
GIB = 2**30


def agent(name: str, kind: str, *gpus: Gpu, phase: AgentPhase = AgentPhase.ONLINE) -> AgentEntry:
    status = AgentStatus(phase=phase, resources=Resources(gpus=gpus))
    return AgentEntry(name, kind, True, 1, status, T0, T0, {})


def gpu(index: int, uuid: str | None, used: int | None = GIB) -> Gpu:
    return Gpu(index=index, uuid=uuid, memory_total_bytes=80 * GIB, memory_used_bytes=used)


def test_each_gpu_counts_once_for_each_type() -> None:
    found = by_type(
        [
            agent("a", "train", gpu(0, "u0"), gpu(1, "u1", used=None)),
            agent("b", "train", gpu(0, "u0"), gpu(2, None)),
            agent("c", "train", gpu(2, None)),  # without a name of its own a GPU is its agent's
            agent("d", "train", gpu(7, "u7"), phase=AgentPhase.OFFLINE),
            agent("e", "infer", gpu(0, "u0")),
            agent("f", "text"),
        ]
    )
    assert found == {
        "train": Fleet(4, 320 * GIB, 3 * GIB),
        "infer": Fleet(1, 80 * GIB, GIB),
        "text": Fleet(),
    }


def test_agents_that_have_told_nothing_yet() -> None:
    assert by_type([AgentEntry("new", "text", True, 1, AgentStatus(), T0, T0, {})]) == {}
    unreadable = AgentStatus(phase=AgentPhase.ONLINE, resources=Resources(gpus_reason="no driver"))
    assert by_type([AgentEntry("a", "text", True, 1, unreadable, T0, T0, {})]) == {"text": Fleet()}
