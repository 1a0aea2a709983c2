"""What an operator says about the work it found when it took over."""

import asyncio
import re

from tests.support.kubectl import Kubectl
from tests.support.processes import UNHEARD, Processes, free_port
from tests.support.release import manifest
from tests.support.scripted_agent import ScriptedAgent, scripted_agent
from tests.support.servers import Vhost
from tests.support.waiting import eventually

from harebell_bus.envelopes import CancelTask, CurrentTask, HeartbeatReason, Started, TaskRef

from .observing import metric, running

WINDOW = {"HAREBELL_OFFLINE_SECONDS": "8"}


async def begin(agent: ScriptedAgent, kubectl: Kubectl, name: str) -> TaskRef:
    """Have the agent begin a Task of its type, and wait until the status says so."""
    await agent.register()
    await asyncio.to_thread(kubectl.apply, manifest(name, agent.agent_type))
    work, message = await agent.take()
    await agent.say(Started, work)
    await message.ack()
    await asyncio.to_thread(running, kubectl, name)
    return work.task


async def takeovers(kubectl: Kubectl) -> list[str]:
    """Return what the Events on the Bus say, as ``kubectl describe bus`` shows them."""
    about = "involvedObject.kind=Bus,involvedObject.name=harebell,reason=TookOver"
    return [e["message"] for e in await asyncio.to_thread(kubectl.items, "events", "--field-selector", about)]


async def test_an_operator_reports_once_what_it_found(
    start: Processes, kubectl: Kubectl, vhost: Vhost
) -> None:
    first = start.operator(**UNHEARD)
    nothing = "Tasks found running: 0 adopted, 0 lost; attempts fenced: 0"
    assert await eventually("the first report", lambda: takeovers(kubectl), 60) == [nothing]
    stayer, leaver = vhost.agent_url("stayer"), vhost.agent_url("leaver")
    async with scripted_agent(stayer, "stayer", "stayer") as agent:
        kept = CurrentTask(task=await begin(agent, kubectl, "kept"), attempt=1)
        async with scripted_agent(leaver, "leaver", "leaver") as other:
            await begin(other, kubectl, "left-behind")
        first.kill()

        port = free_port()
        start.operator(HAREBELL_PORT=str(port), **WINDOW)
        ghost = TaskRef(namespace=kubectl.namespace, name="ghost", uid="00000000-0000-0000-0000-000000000000")
        finished = False

        async def beat() -> None:
            while not finished:
                await agent.heartbeat(HeartbeatReason.INTERVAL, kept, CurrentTask(task=ghost, attempt=1))
                await asyncio.sleep(0.5)

        async with asyncio.TaskGroup() as group:
            group.create_task(beat())
            order = await agent.command()
            assert isinstance(order, CancelTask)
            assert (order.task, order.reason) == (ghost, "the Task was deleted")

            async def second() -> str | None:
                return next((said for said in await takeovers(kubectl) if said != nothing), None)

            said = await eventually("the second report", second, 90)
            finished = True
        assert [int(n) for n in re.findall(r"\d+", said)] == [1, 1, 1]
        assert len(await takeovers(kubectl)) == 2
        for outcome in ("adopted", "lost", "fenced"):
            found = await asyncio.to_thread(metric, port, f'harebell_adoption_tasks{{outcome="{outcome}"}}')
            assert found == 1, outcome
