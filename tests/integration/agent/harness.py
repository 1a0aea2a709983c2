"""The operator's side of the bus, an agent process, and a wire between agent and broker that can be cut."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from tests.support.waiting import eventually
from yarl import URL

from harebell_bus import topology
from harebell_bus.codec import decode_heartbeat, decode_reply
from harebell_bus.declare import declare
from harebell_bus.envelopes import (
    CancelMode,
    CancelTask,
    Envelope,
    Heartbeat,
    HeartbeatReason,
    Message,
    Query,
    Reply,
    TaskRef,
    Welcome,
    Work,
)
from harebell_bus.lanes import LANES, Lane, Tier, lane_of, work_queue_names
from harebell_bus.publisher import Publisher

AGENT_TYPE = "lab"
SECONDS = 30.0

_R = TypeVar("_R", bound=Envelope)


class Operator:
    """Hears everything agents say, and says what it is told to."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self.publisher = Publisher()
        self.publisher.attach(channel)
        self.heartbeats: list[Heartbeat] = []
        self.replies: list[Reply] = []
        self.letters: list[AbstractIncomingMessage] = []
        self.welcoming = True
        self.heartbeat_seconds = 60.0
        self.lanes: Collection[Lane] = LANES
        """Those that agents look into."""

    async def open(self) -> None:
        """Declare everything, without what an earlier test left in it, and listen."""
        queues = await declare(self.channel, topology.base_topology())
        for queue in queues.values():
            await queue.purge()
        await self.delete_lanes()
        for lane in LANES:
            await declare(self.channel, topology.lane_topology(AGENT_TYPE, lane))
        await queues[topology.HEARTBEATS_QUEUE].consume(self._heartbeat, no_ack=True)
        await queues[topology.REPLIES_QUEUE].consume(self._reply, no_ack=True)
        await queues[topology.DEAD_LETTERS_QUEUE].consume(self._letter, no_ack=True)

    async def delete_lanes(self) -> None:
        for name in work_queue_names(AGENT_TYPE):
            await self.channel.queue_delete(name)

    async def _heartbeat(self, message: AbstractIncomingMessage) -> None:
        heartbeat = decode_heartbeat(message.body)
        self.heartbeats.append(heartbeat)
        if heartbeat.reason is HeartbeatReason.REGISTERED and self.welcoming:
            welcome = Welcome(
                instance=heartbeat.agent.instance,
                work_queues=work_queue_names(AGENT_TYPE, self.lanes),
                heartbeat_seconds=self.heartbeat_seconds,
            )
            await self.tell(heartbeat.agent.id, welcome)

    async def _reply(self, message: AbstractIncomingMessage) -> None:
        reply = decode_reply(message.body)
        assert message.correlation_id == reply.task.uid
        self.replies.append(reply)

    async def _letter(self, message: AbstractIncomingMessage) -> None:
        self.letters.append(message)

    async def tell(self, agent_id: str, command: Message) -> None:
        await self.publisher.publish(
            topology.COMMANDS_EXCHANGE,
            command,
            message_id=str(uuid4()),
            routing_key=topology.command_key(AGENT_TYPE, agent_id),
            persistent=False,
        )

    async def cancel(self, agent_id: str, task: TaskRef, mode: CancelMode = CancelMode.GRACEFUL) -> None:
        await self.tell(agent_id, CancelTask(task=task, attempt=1, mode=mode, reason="not needed"))

    async def query_all(self) -> None:
        await self.publisher.publish(
            topology.ANNOUNCEMENTS_EXCHANGE, Query(), message_id=str(uuid4()), persistent=False
        )

    async def dispatch(self, action: str, payload: dict[str, Any] | None = None, **more: Any) -> TaskRef:
        """Publish work; return its Task."""
        task = TaskRef(namespace="lab", name=f"t-{uuid4().hex[:6]}", uid=str(uuid4()))
        priority, tier = more.pop("priority", "normal"), more.pop("tier", Tier.DISK)
        work = Work(
            task=task,
            attempt=1,
            agent_type=AGENT_TYPE,
            action=action,
            payload=payload or {},
            priority=priority,
            published_at=datetime.now(UTC),
            **more,
        )
        await self.send(work, task, priority, tier)
        return task

    async def send(
        self, body: Work | bytes, task: TaskRef, priority: str = "normal", tier: Tier = Tier.DISK
    ) -> None:
        await self.publisher.publish(
            topology.WORK_EXCHANGE,
            body,
            message_id=str(uuid4()),
            correlation_id=task.uid,
            priority=topology.PRIORITIES[priority],
            persistent=tier is Tier.DISK,
            headers={
                topology.AGENT_TYPE_HEADER: AGENT_TYPE,
                topology.LANE_HEADER: lane_of(priority, tier).name,
                topology.TASK_NAMESPACE_HEADER: task.namespace,
                topology.TASK_NAME_HEADER: task.name,
                topology.ATTEMPT_HEADER: 1,
            },
        )

    async def ready(self) -> int:
        """How many messages wait for agents of the type."""
        queues = [
            await self.channel.declare_queue(name, passive=True) for name in work_queue_names(AGENT_TYPE)
        ]
        return sum(queue.declaration_result.message_count or 0 for queue in queues)

    async def listened_to(self, consumers: int) -> None:
        """Wait until so many consumers are at each of the queues of work."""

        async def check() -> bool:
            names = work_queue_names(AGENT_TYPE)
            queues = [await self.channel.declare_queue(name, passive=True) for name in names]
            return {queue.declaration_result.consumer_count for queue in queues} == {consumers}

        await eventually(f"{consumers} consumers of each queue", check, SECONDS)

    def said(self, task: TaskRef) -> list[str]:
        """The kinds of all replies about a task, progress aside."""
        return [r.kind for r in self.replies if r.task == task and r.kind != "Progressed"]

    async def hears(self, what: str, condition: Callable[[], object], seconds: float = SECONDS) -> None:
        """Wait for a condition on what was heard."""

        async def check() -> bool:
            return bool(condition())

        await eventually(what, check, seconds)

    async def outcome(self, task: TaskRef, kind: type[_R]) -> _R:
        """Wait for the one outcome of a task."""
        name = kind.__name__
        await self.hears(f"{name} of {task.uid}", lambda: name in self.said(task))
        assert self.said(task) == ["Started", name]
        (found,) = [r for r in self.replies if r.task == task and isinstance(r, kind)]
        return found

    async def registered(self, agent_id: str, times: int = 1) -> None:
        """Wait until an agent registered, and may take work."""

        def count() -> int:
            registrations = [h for h in self.heartbeats if h.reason is HeartbeatReason.REGISTERED]
            return sum(h.agent.id == agent_id for h in registrations)

        await self.hears(f"registration {times} of {agent_id}", lambda: count() >= times)


@asynccontextmanager
async def operating(url: str) -> AsyncIterator[Operator]:
    """An operator with its own connection."""
    async with await aio_pika.connect(url) as connection:
        yield Operator(await connection.channel(publisher_confirms=True, on_return_raises=True))


class Wire:
    """Passes bytes to the broker and back, until cut or frozen. ``alter`` changes what the broker says."""

    def __init__(self, url: str, alter: Callable[[bytes], bytes] = lambda chunk: chunk) -> None:
        self._target = URL(url)
        self._alter = alter
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def url(self) -> str:
        return str(self._target.with_host("127.0.0.1").with_port(self._port))

    async def join(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop every connection without a word, and refuse new ones until joined again."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        self._writers.clear()

    def freeze(self) -> None:
        """Keep all bytes and close nothing, as when a machine hangs or a firewall drops its packets."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again, what was kept too."""
        self._flowing.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection(self._target.host, self._target.port or 5672)
        self._writers |= {writer, here}
        for source, sink, alter in ((reader, here, bytes), (there, writer, self._alter)):
            pipe = asyncio.create_task(_pipe(source, sink, alter, self._flowing))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)


async def _pipe(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    alter: Callable[[bytes], bytes],
    flowing: asyncio.Event,
) -> None:
    try:
        while chunk := await reader.read(65536):
            await flowing.wait()
            writer.write(alter(chunk))
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()


class AgentProcess:
    """An agent started from the command line."""

    def __init__(self, process: asyncio.subprocess.Process, agent_id: str, log: Path) -> None:
        self._process = process
        self.id = agent_id
        self.log = log

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def begun(self, attempts: int = 1) -> None:
        """Wait until it works on so many, their messages acknowledged: before, the broker would give them to
        another agent if the connection were lost."""

        async def enough() -> bool:
            return self.log.read_text().count('"message": "started ') >= attempts

        await eventually("the work to begin", enough, SECONDS)

    async def ended(self, seconds: float = SECONDS) -> int:
        async with asyncio.timeout(seconds):
            return await self._process.wait()


@asynccontextmanager
async def agent(url: str, folder: Path, **environment: str) -> AsyncIterator[AgentProcess]:
    """Run the lab's agent (``lab.py``) with its log in ``folder``."""
    agent_id = environment.pop("agent_id", f"lab-{uuid4().hex[:6]}")
    with (folder / f"{agent_id}.log").open("a") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "harebell_agent",
            cwd=Path(__file__).parent,
            stdout=log,
            stderr=log,
            env={
                "PATH": os.environ["PATH"],
                "HAREBELL_AMQP_URL": url,
                "HAREBELL_AGENT_TYPE": AGENT_TYPE,
                "HAREBELL_AGENT_ID": agent_id,
                "HAREBELL_AGENT_MODULE": "lab:agent",
                "HAREBELL_PORT": "0",
                "HAREBELL_LOG_LEVEL": "DEBUG",
                **environment,
            },
        )  # fmt: skip
    try:
        yield AgentProcess(process, agent_id, folder / f"{agent_id}.log")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
