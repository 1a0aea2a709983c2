"""Measures everything once for each repeat, the rivals between the subjects."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.cluster.api import Cluster
from tests.support.environments import environment
from tests.support.kubectl import Kubectl
from tests.support.processes import Process, Processes, processes
from tests.support.servers import Servers, Vhost, deploy_rabbitmq

from harebell_bus.permissions import Permissions

from . import cpu, jobs, messages, tasks
from .figures import Pass, Subject, spread
from .progress import Progress
from .rival import running as rival
from .server import Server, Watched, connected
from .simulated import raised_limits, simulated_nodes

RIVALS = ("jobs", "writes", "celery")
EVERYTHING = Permissions(configure=".*", write=".*", read=".*")
LABEL = "harebell.dev/bench=lifecycle"
WARM_UP = 50


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    tasks: int
    jobs: int
    agents: Sequence[int]
    repeats: int
    at_once: int
    """Creations and writes at a time."""
    against: Sequence[str]
    """Of :data:`RIVALS`."""
    celery_pool: str
    broker_nodes: int

    def steps(self) -> int:
        """Return the number of measurements."""
        with_agents = 3 if "celery" in self.against else 1
        once = len({"jobs", "writes"} & {*self.against})
        return self.repeats * (len(self.agents) * with_agents + once)


@dataclass
class Bench:
    """What the measurements use."""

    scale: Scale
    progress: Progress
    server: Server
    kubectl: Kubectl
    """For the namespace with an operator."""
    unserved: str
    """A namespace without one."""
    broker: Servers
    operator: Process
    served: Processes
    """Starts agents of that operator."""
    lab: Processes
    """Starts agents of a virtual host without an operator."""
    celery_url: str
    celery: Path | None
    """The Python that has it."""
    simulator: Process | None = None
    last: dict[str, Any] = field(default_factory=dict)
    """The status of the Task that was seen done last."""
    writes: float = 1
    """Status writes of one Task in the last pass."""

    async def repeat(self, number: int) -> AsyncIterator[Pass]:
        """Measure everything once."""
        for index, agents in enumerate(self.scale.agents):
            yield await self._tasks(number, agents)
            if index == 0 and "writes" in self.scale.against:
                yield await self._writes(number)
            if index == len(self.scale.agents) // 2 and "jobs" in self.scale.against:
                yield await self._jobs(number)
            if self.celery is not None:
                yield await self._messages(number, agents)
                yield await self._celery(number, agents, self.celery)

    async def _meter(self, **processes: Sequence[int]) -> cpu.Meter:
        """Begin to count the CPU time of these, the broker and the control plane."""
        control_plane = await asyncio.to_thread(cpu.of_control_plane, self.kubectl)
        broker = await asyncio.to_thread(
            cpu.of_pods, self.broker.kubectl, "-l", "app.kubernetes.io/component=rabbitmq"
        )
        return cpu.Meter.start({**processes, "broker": broker, **control_plane})

    def _passed(
        self, meter: cpu.Meter, subject: Subject, repeat: int, count: int, seconds: float, **more: Any
    ) -> Pass:
        """Return what was measured since the meter was started."""
        self.progress.end(count / seconds)
        return Pass(subject, repeat, count, seconds, cpu=meter.used(), busy=meter.busy(), **more)

    async def _tasks(self, repeat: int, agents: int) -> Pass:
        count = self.scale.tasks
        path = tasks.collection(self.kubectl.namespace)
        async with tasks.agents(self.server, self.served, agents) as started:
            warm = Watched(self.server, path, tasks.done)
            await warm.run(tasks.bodies(WARM_UP), self.scale.at_once, lambda _: None)
            self.progress.begin(f"{count} Tasks, agents: {agents}", count)
            meter = await self._meter(
                operator=[self.operator.popen.pid],
                agents=[p.popen.pid for p in started],
                client=[os.getpid()],
            )
            watched = Watched(self.server, path, tasks.done)
            seconds = await watched.run(tasks.bodies(count), self.scale.at_once, self.progress.told)
            lives = tuple(tasks.life(watched.sent[name], seen) for name, seen in watched.seen.items())
            self.last = next(iter(watched.seen.values())).body["status"]
            self.writes = watched.changes / count
            found = self._passed(
                meter, Subject.TASKS, repeat, count, seconds, agents=agents, writes=self.writes, lives=lives
            )
        await self.server.clear(path)
        return found

    async def _writes(self, repeat: int) -> Pass:
        count = self.scale.tasks
        self.progress.begin(f"the writes of {count} Tasks alone", count)
        planned = spread(count, self.writes)
        meter = await self._meter(client=[os.getpid()])
        seconds = await tasks.write(self.server, self.unserved, planned, self.scale.at_once, self.last)
        found = self._passed(meter, Subject.WRITES, repeat, count, seconds, writes=sum(planned) / count)
        await self.server.clear(tasks.collection(self.unserved))
        return found

    async def _jobs(self, repeat: int) -> Pass:
        count = self.scale.jobs
        path = jobs.collection(self.unserved)
        await Watched(self.server, path, jobs.done).run(
            jobs.bodies(WARM_UP), self.scale.at_once, lambda _: None
        )
        self.progress.begin(f"{count} Kubernetes Jobs", count)
        meter = await self._meter(
            KWOK=[self.simulator.popen.pid] if self.simulator else [], client=[os.getpid()]
        )
        watched = Watched(self.server, path, jobs.done)
        seconds = await watched.run(jobs.bodies(count), self.scale.at_once, self.progress.told)
        found = self._passed(meter, Subject.JOBS, repeat, count, seconds, writes=watched.changes / count)
        await self.server.clear(path)
        await self.server.clear(f"/api/v1/namespaces/{self.unserved}/pods")
        return found

    async def _messages(self, repeat: int, agents: int) -> Pass:
        count = self.scale.tasks
        async with (
            messages.calling(self.lab.amqp_url) as caller,
            messages.agents(caller, self.lab, agents) as started,
        ):
            await caller.run(WARM_UP, self.scale.at_once, lambda _: None)
            self.progress.begin(f"{count} messages, agents: {agents}", count)
            meter = await self._meter(agents=[p.popen.pid for p in started], client=[os.getpid()])
            seconds = await caller.run(count, self.scale.at_once, self.progress.told)
            return self._passed(meter, Subject.MESSAGES, repeat, count, seconds, agents=agents)

    async def _celery(self, repeat: int, agents: int, python: Path) -> Pass:
        count, url, pool = self.scale.tasks, self.celery_url, self.scale.celery_pool
        log = self.lab.folder / f"celery-{repeat}-{agents}.log"
        async with (
            rival.workers(python, url, pool, agents, log) as worker,
            rival.client(python, url, count, WARM_UP) as client,
        ):
            self.progress.begin(f"{count} calls of Celery, {pool}: {agents}", count)
            meter = await self._meter(agents=cpu.family(worker.pid), client=[client.pid])
            seconds = await client.run()
            return self._passed(meter, Subject.CELERY, repeat, count, seconds, agents=agents)


@asynccontextmanager
async def opened(
    cluster: Cluster, scale: Scale, namespace: str, folder: Path, progress: Progress
) -> AsyncIterator[Bench]:
    """Set everything up; take it down afterwards, except for the broker in ``namespace``."""
    async with AsyncExitStack() as stack:
        admin = Kubectl(cluster, "default")
        # What a run left that was killed.
        admin("delete", "namespace", "-l", LABEL, "--wait=true", seconds=300)
        broker = await asyncio.to_thread(deploy_rabbitmq, cluster, namespace, scale.broker_nodes)
        python = await asyncio.to_thread(environment, "bench") if "celery" in scale.against else None
        name = f"{namespace}-{uuid4().hex[:6]}"
        for each in (name, f"{name}-unserved"):
            admin("create", "namespace", each)
            admin("label", "namespace", each, LABEL)
            stack.callback(admin, "delete", "namespace", each, "--wait=false")
        simulator = None
        if "jobs" in scale.against:
            stack.enter_context(raised_limits(cluster))
            simulator = stack.enter_context(simulated_nodes(cluster, folder / "kwok.log"))
        vhosts = [
            await asyncio.to_thread(broker.vhost, f"{name}-{what}") for what in ("tasks", "lab", "celery")
        ]
        stack.callback(drop, broker, vhosts)
        served, lab = [
            stack.enter_context(processes(folder, v.operator_url, v.agent_url, name, cluster.kubeconfig))
            for v in vhosts[:2]
        ]
        # As often as an installed one, not as in tests.
        operator = served.operator(HAREBELL_HEARTBEAT_SECONDS="60", HAREBELL_OFFLINE_SECONDS="180")
        yield Bench(
            scale=scale,
            progress=progress,
            server=await stack.enter_async_context(connected(cluster.kubeconfig)),
            kubectl=Kubectl(cluster, name),
            unserved=f"{name}-unserved",
            broker=broker,
            operator=operator,
            served=served,
            lab=lab,
            celery_url=vhosts[2].user_url("celery", EVERYTHING),
            celery=python,
            simulator=simulator,
        )


def drop(broker: Servers, vhosts: Sequence[Vhost]) -> None:
    """Remove virtual hosts with all that is in them."""
    for vhost in vhosts:
        broker.drop(vhost.name)
