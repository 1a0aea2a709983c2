"""What agents said counts, whenever it is heard; what nobody can take in holds nothing up."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest
from tests.support.kubectl import Kubectl
from tests.support.lanes import counts
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.servers import Vhost
from tests.support.tasks import all_in
from tests.support.waiting import until

from harebell_bus.codec import encode
from harebell_bus.envelopes import AgentRef, CurrentTask, Heartbeat, HeartbeatReason, TaskRef
from harebell_bus.lanes import Tier, lane_of
from harebell_bus.topology import HEARTBEATS_EXCHANGE
from harebell_operator.broker import HEARTBEATS_PREFETCH

from .conftest import diarist

DEADLINE = 5
STOPS = 20
"""Seconds within which an operator has ended; its Pod has 30."""
GRACE = 15
"""What the operator adds to the deadline that agents keep to."""


@pytest.mark.timeout(240)
def test_deadlines_that_were_kept_while_the_operator_was_away(
    start: Processes, kubectl: Kubectl, tmp_path: Path
) -> None:
    kind, diary, told = "kept", tmp_path / "diary", tmp_path / "told"
    first, second = f"{kind}-first", f"{kind}-second"
    operator = start.operator()
    diarist(start, kind, diary)
    payload = {"told": str(told)}
    kubectl.apply(manifest(first, kind, "until", payload=payload, activeDeadlineSeconds=DEADLINE))
    until("the first to run", lambda: all_in("Running", kubectl, [first]), 60)
    begun = time.monotonic()
    kubectl.apply(manifest(second, kind, "note", queueDeadlineSeconds=DEADLINE))
    until("the second to be queued", lambda: all_in("Queued", kubectl, [second]), 60)
    operator.kill()
    told.touch()
    until("both to be done", lambda: diary.read_text().split() == [first, second], DEADLINE)
    until("the deadlines to be over", lambda: time.monotonic() > begun + DEADLINE + GRACE + 1)
    start.operator()
    both = [first, second]
    until(
        "both to be finished", lambda: all(kubectl.get("task", n)["status"].get("completedAt") for n in both)
    )
    assert [kubectl.get("task", name)["status"]["phase"] for name in both] == ["Succeeded"] * 2


@pytest.mark.timeout(240)
def test_an_operator_that_is_told_to_stop_leaves_nothing_to_be_published_twice(
    start: Processes, kubectl: Kubectl, amqp_url: str
) -> None:
    kind, lane = "stopped", lane_of("normal", Tier.MEMORY)
    first, names = f"{kind}-first", [f"{kind}-{n}" for n in range(150)]
    operator = start.operator()
    kubectl.apply(manifest(first, kind))
    until("the first to be queued", lambda: all_in("Queued", kubectl, [first]), 60)
    kubectl.apply(*[manifest(name, kind) for name in names])
    begun = time.monotonic()
    assert operator.stop() == 0
    assert time.monotonic() - begun < STOPS, operator.log.read_text()
    published = asyncio.run(counts(amqp_url, kind, [lane]))[lane]
    assert published > 1
    found = [t for t in kubectl.items("tasks") if t["spec"]["agentType"] == kind]
    assert sum(t.get("status", {}).get("phase") == "Queued" for t in found) == published


async def test_an_agent_that_talks_nonsense_keeps_nobody_from_being_heard(
    start: Processes, kubectl: Kubectl, vhost: Vhost
) -> None:
    start.operator()
    start.agent("sound", "nonsense")

    def heartbeat_time() -> str:
        return str(kubectl.get("agent", "sound")["status"]["lastHeartbeatTime"])

    await asyncio.to_thread(until, "the agent to be heard of", heartbeat_time)
    now = datetime.now(UTC)
    beat = encode(
        Heartbeat(
            reason=HeartbeatReason.INTERVAL,
            agent=AgentRef(id="odd", instance="odd"),
            agent_type="nonsense",
            software_version="1",
            started_at=now,
            at=now,
            current_tasks=(CurrentTask(task=TaskRef(namespace="n", name="t", uid="u"), attempt=1),),
        )
    )
    nonsense = [beat.replace(b'"attempt":1', b'"attempt":0'), b"\xff", b"[]"]
    async with await aio_pika.connect(vhost.agent_url("nonsense")) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(HEARTBEATS_EXCHANGE, ensure=False)
        for _ in range(HEARTBEATS_PREFETCH // len(nonsense) + 1):
            await asyncio.gather(*(exchange.publish(aio_pika.Message(body), "") for body in nonsense))
    before = await asyncio.to_thread(heartbeat_time)
    await asyncio.to_thread(until, "it to be heard of again", lambda: heartbeat_time() > before, 90)
