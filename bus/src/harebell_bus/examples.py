"""One message of each kind, as the AsyncAPI document shows it."""

from datetime import UTC, datetime
from typing import Final

from .envelopes import (
    AgentRef,
    Announcement,
    ArchiveReport,
    ArchiverState,
    Cancelled,
    CancelMode,
    CancelTask,
    Checkpointed,
    Cpu,
    CurrentTask,
    Failed,
    Gpu,
    Heartbeat,
    HeartbeatReason,
    Interrupted,
    Memory,
    Message,
    Newest,
    PodRef,
    Proceed,
    Progressed,
    Query,
    Removed,
    Resources,
    Standing,
    Started,
    Succeeded,
    Superseded,
    SuspendTask,
    TaskRef,
    Welcome,
    Work,
    WorkQueues,
)
from .lanes import Tier, lane_of, work_queue_names

_AT: Final = datetime(2026, 1, 19, 12, 0, 0, 250000, UTC)
_TASK: Final = TaskRef(namespace="team-a", name="count-words", uid="7d5c2f0e-3a41-4c19-9f0b-7a5d0c1e2b3f")
_AGENT: Final = AgentRef(id="text-7c9-x2x", instance="0b9f5a3c-5d43-4c8e-8f0e-6a1d2c3b4e5f")
_OPERATOR: Final = "5e0c7d1b-2f6a-4b8e-9a3d-1c4f6e8b0a2d"
_NOTICE_UID: Final = "c2a1b0d9-8e7f-4a6b-9c5d-4e3f2a1b0c9d"
_GIB: Final = 2**30
_IN_USE: Final = work_queue_names("text", (lane_of("critical", Tier.DISK), lane_of("normal", Tier.MEMORY)))

EXAMPLES: tuple[Message, ...] = (
    Work(
        task=_TASK,
        attempt=1,
        agent_type="text",
        action="text.stats",
        payload={"textFrom": "fetch-page", "top": 3},
        inputs={"fetch-page": {"text": "the quick brown fox"}},
        priority="normal",
        active_deadline_seconds=300,
        published_at=_AT,
        operator=_OPERATOR,
    ),
    Started(task=_TASK, attempt=1, agent=_AGENT, at=_AT, resumable=True),
    Progressed(task=_TASK, attempt=1, agent=_AGENT, at=_AT, percent=40, message="2 of 5 chapters"),
    Checkpointed(task=_TASK, attempt=1, agent=_AGENT, at=_AT, data={"chapters": 2}),
    Succeeded(task=_TASK, attempt=1, agent=_AGENT, at=_AT, result={"words": 4}),
    Failed(
        task=_TASK,
        attempt=1,
        agent=_AGENT,
        at=_AT,
        code="InvalidPayload",
        message="text: a string is expected",
        retryable=False,
    ),
    Cancelled(task=_TASK, attempt=1, agent=_AGENT, at=_AT),
    Interrupted(task=_TASK, attempt=1, agent=_AGENT, at=_AT, message="the agent is shut down"),
    Removed(
        task=_TASK,
        at=_AT,
        agent_type="text",
        attempt=1,
        created_at=_AT,
        labels={"team": "a"},
        spec={"agentType": "text", "action": "text.stats", "priority": "normal"},
        status={"phase": "Succeeded", "reason": "Succeeded", "attempt": 1, "result": {"words": 4}},
    ),
    Heartbeat(
        reason=HeartbeatReason.INTERVAL,
        agent=_AGENT,
        agent_type="text",
        software_version="0.1.0",
        started_at=_AT,
        at=_AT,
        actions=("echo", "text.stats"),
        consuming=True,
        last_delivery_at=_AT,
        idempotent=("echo", "text.stats"),
        current_tasks=(CurrentTask(task=_TASK, attempt=1),),
        resources=Resources(
            cpu=Cpu(cores=4, utilization_percent=35),
            memory=Memory(total_bytes=8 * _GIB, used_bytes=3 * _GIB),
            gpus=(Gpu(index=0, name="a GPU", memory_total_bytes=80 * _GIB, memory_used_bytes=20 * _GIB),),
        ),
        pod=PodRef(
            namespace="team-a", name=_AGENT.id, uid="e4d3c2b1-a0f9-4e8d-8c7b-6a5f4e3d2c1b", node_name="node-1"
        ),
    ),
    ArchiveReport(
        archiver=AgentRef(id="harebell-archiver-5d8-q7k", instance="5f0c7d6e-1b2a-4c3d-8e9f-0a1b2c3d4e5f"),
        at=_AT,
        state=ArchiverState.ARCHIVING,
        lag_messages=0,
        archived_messages=1204,
        gap_messages=0,
        last_archived_time=_AT,
    ),
    Welcome(instance=_AGENT.instance, work_queues=_IN_USE[1:], heartbeat_seconds=60, operator=_OPERATOR),
    WorkQueues(work_queues=_IN_USE),
    CancelTask(task=_TASK, attempt=1, mode=CancelMode.GRACEFUL, reason="the Task was cancelled"),
    SuspendTask(task=_TASK, attempt=1, reason="the Task was suspended"),
    Proceed(task=_TASK, attempt=1),
    Query(operator=_OPERATOR),
    Superseded(newest=(Newest(uid=_TASK.uid, attempt=1, dispatch=1),)),
    Standing(
        instance=_AGENT.instance,
        paused=True,
        in_force=(_NOTICE_UID,),
        announcements=(
            Announcement(
                uid=_NOTICE_UID,
                name="database-upgrade",
                kind="Pause",
                message="the database is upgraded tonight",
                issued_at=_AT,
            ),
        ),
    ),
)
