"""Replies that come twice, in another order or too late, and when they are acknowledged."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from tests.support.gate import gate_before
from tests.support.kubectl import Kubectl
from tests.support.processes import UNHEARD, Processes, free_port
from tests.support.release import manifest
from tests.support.scripted_agent import ScriptedAgent, scripted_agent
from tests.support.servers import Vhost
from tests.support.waiting import eventually

from harebell_bus.envelopes import CurrentTask, Failed, HeartbeatReason, Progressed, Started, Succeeded, Work
from harebell_bus.topology import PRIORITIES, REPLIES_QUEUE

from .observing import finished, metric, running, status

pytestmark = pytest.mark.timeout(240, func_only=True)  # an operator takes seconds to start on a busy machine

AT_ONCE = {"maxRetries": 3, "backoff": {"initialSeconds": 0}}


async def begin(agent: ScriptedAgent) -> tuple[Work, AbstractIncomingMessage]:
    """Take the next work and start it as an agent does, with a heartbeat that lists it."""
    work, message = await agent.take(60)
    await agent.say(Started, work)
    await message.ack()
    await agent.heartbeat(HeartbeatReason.INTERVAL, CurrentTask(task=work.task, attempt=work.attempt))
    return work, message


async def test_every_reply_three_times_is_as_good_as_once(
    start: Processes, kubectl: Kubectl, vhost: Vhost
) -> None:
    port = free_port()
    start.operator(HAREBELL_PORT=str(port), **UNHEARD)
    async with scripted_agent(vhost.agent_url("thrice"), "thrice", "thrice") as agent:
        await agent.register()
        await asyncio.to_thread(kubectl.apply, manifest("thrice", "thrice"))
        work, message = await agent.take(60)
        for _ in range(3):
            await agent.say(Started, work)
        await message.ack()
        for _ in range(3):
            await agent.say(Progressed, work, percent=50)
        for n in range(3):
            await agent.say(Succeeded, work, result=n)
        await heard(port, "Succeeded", 3)
        done = await asyncio.to_thread(finished, kubectl, "thrice")
        assert (done["phase"], done["result"], done["attempt"], len(done["attempts"])) == (
            "Succeeded", 0, 1, 1,
        )  # fmt: skip
        assert metric(port, "harebell_stale_replies_total") == 2
        assert (await asyncio.to_thread(status, kubectl, "thrice")) == done


async def test_replies_in_another_order_give_the_same_end(
    start: Processes, kubectl: Kubectl, vhost: Vhost
) -> None:
    port = free_port()
    start.operator(HAREBELL_PORT=str(port), **UNHEARD)
    async with scripted_agent(vhost.agent_url("order"), "order", "order") as agent:
        await agent.register()
        await asyncio.to_thread(kubectl.apply, manifest("backwards", "order"))
        work, message = await agent.take(60)
        await agent.say(Succeeded, work, result="right")
        await agent.say(Progressed, work, percent=10)
        await agent.say(Started, work)
        await message.ack()
        await heard(port, "Started", 1)
        done = await asyncio.to_thread(finished, kubectl, "backwards")
        assert (done["phase"], done["result"], done["attempt"], len(done["attempts"])) == (
            "Succeeded", "right", 1, 1,
        )  # fmt: skip
        assert metric(port, "harebell_stale_replies_total") == 2


async def test_late_words_of_an_older_attempt_change_nothing(
    start: Processes, kubectl: Kubectl, vhost: Vhost
) -> None:
    port = free_port()
    start.operator(HAREBELL_PORT=str(port), **UNHEARD)
    url = vhost.agent_url("late")
    async with scripted_agent(url, "old", "late") as old, scripted_agent(url, "new", "late") as new:
        await old.register()
        await asyncio.to_thread(kubectl.apply, manifest("overtaken", "late", retryPolicy=AT_ONCE))
        first, _ = await begin(old)
        await old.say(Failed, first, code="Boom", message="no")
        await new.register()
        second, _ = await begin(new)
        assert second.attempt == 2
        assert await asyncio.to_thread(running, kubectl, "overtaken", 2) == "new"
        await old.say(Started, first)
        await old.say(Progressed, first, percent=99)
        await old.say(Failed, first, code="Boom", message="no", retryable=False)
        await old.say(Succeeded, first, result="wrong")
        # Replies are heard in order: when this is seen, so were those before.
        await new.say(Progressed, second, percent=7)

        async def seen() -> dict[str, Any] | None:
            now = await asyncio.to_thread(status, kubectl, "overtaken")
            return now if now.get("progress", {}).get("percent") == 7 else None

        now = await eventually("the progress of the new attempt", seen, 60)
        assert (now["phase"], now["attempt"], now["agentName"], now["failures"]) == ("Running", 2, "new", 1)
        assert metric(port, "harebell_stale_replies_total") == 4
        await new.say(Succeeded, second, result="right")
        done = await asyncio.to_thread(finished, kubectl, "overtaken")
        await old.say(Succeeded, first, result="wrong")
        await heard(port, "Succeeded", 3)
        assert (done["result"], [a["outcome"] for a in done["attempts"]]) == (
            "right",
            ["Failed", "Succeeded"],
        )
        assert await asyncio.to_thread(status, kubectl, "overtaken") == done


async def test_a_retry_is_as_urgent_as_its_task(start: Processes, kubectl: Kubectl, vhost: Vhost) -> None:
    start.operator(**UNHEARD)
    async with scripted_agent(vhost.agent_url("urgent"), "urgent", "urgent") as agent:
        await agent.register()
        alarm = manifest("alarm", "urgent", priority="critical", retryPolicy=AT_ONCE)
        await asyncio.to_thread(kubectl.apply, alarm)
        work, _ = await begin(agent)
        # While it runs, other work comes; its retry overtakes all of it.
        names = [f"routine-{n}" for n in range(3)]
        await asyncio.to_thread(kubectl.apply, *[manifest(n, "urgent") for n in names])
        await asyncio.to_thread(kubectl.apply, manifest("pressing", "urgent", priority="high"))
        for name in (*names, "pressing"):
            await queued(kubectl, name, 1)
        await agent.say(Failed, work, code="Boom", message="no")
        await queued(kubectl, "alarm", 2)
        again, message = await agent.take(60)
        assert (again.task.name, again.attempt, again.priority) == ("alarm", 2, "critical")
        assert message.priority == PRIORITIES["critical"]


async def test_a_reply_is_acknowledged_only_when_its_effect_is_written(
    start: Processes, kubectl: Kubectl, vhost: Vhost, kubeconfig: Path, tmp_path: Path
) -> None:
    port = free_port()
    async with gate_before(kubeconfig, tmp_path) as (gate, through):
        given = {"KUBECONFIG": str(through), "HAREBELL_PORT": str(port), **UNHEARD}
        operator = start.operator(**given)
        async with scripted_agent(vhost.agent_url("ack"), "ack", "ack") as agent:
            await agent.register()
            for name in ("kept", "kept-by-the-next"):
                await asyncio.to_thread(kubectl.apply, manifest(name, "ack"))
                work, _ = await begin(agent)
                await asyncio.to_thread(running, kubectl, name)
                await eventually("nothing to be open", lambda: settled(vhost), 60)

                gate.shut()
                await agent.say(Succeeded, work, result="written")
                await eventually("the reply to be held", lambda: held(vhost, 1), 60)
                assert (await asyncio.to_thread(status, kubectl, name))["phase"] == "Running"
                if name == "kept-by-the-next":
                    operator.kill()
                    await eventually("the reply to be back", lambda: ready(vhost, 1), 60)
                    start.operator(**given)
                gate.open()
                done = await asyncio.to_thread(finished, kubectl, name, 90)
                assert (done["phase"], done["result"], done["attempt"]) == ("Succeeded", "written", 1)
                await eventually("the reply to be acknowledged", lambda: settled(vhost), 60)


async def heard(port: int, kind: str, count: int) -> None:
    """Wait until an operator has heard so many replies of a kind, and dealt with them."""

    async def check() -> bool:
        return await asyncio.to_thread(metric, port, f'harebell_replies_total{{kind="{kind}"}}') >= count

    await eventually(f"{count} times {kind}", check, 60)


async def queued(kubectl: Kubectl, name: str, attempt: int) -> None:
    async def check() -> bool:
        now = await asyncio.to_thread(status, kubectl, name)
        return (now.get("phase"), now.get("attempt")) == ("Queued", attempt)

    await eventually(f"attempt {attempt} of {name} to be queued", check, 60)


async def counts(vhost: Vhost) -> tuple[int, int]:
    """Return how many replies wait, and how many are held without being acknowledged."""
    listed = await asyncio.to_thread(
        vhost.kubectl,
        *("exec", "rabbit-rabbitmq-0", "--", "rabbitmqctl", "-q", "list_queues", "-p", vhost.name),
        *("name", "messages_ready", "messages_unacknowledged", "--formatter", "json"),
    )
    (queue,) = (q for q in json.loads(listed) if q["name"] == REPLIES_QUEUE)
    return queue["messages_ready"], queue["messages_unacknowledged"]


async def settled(vhost: Vhost) -> bool:
    return await counts(vhost) == (0, 0)


async def held(vhost: Vhost, number: int) -> bool:
    return await counts(vhost) == (0, number)


async def ready(vhost: Vhost, number: int) -> bool:
    return await counts(vhost) == (number, 0)
