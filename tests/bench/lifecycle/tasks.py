"""Tasks through harebell, and the same writes without it."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from tests.support.processes import Process, Processes
from tests.support.release import manifest
from tests.support.waiting import eventually

from .figures import Life
from .server import Seen, Server, each

AGENT_TYPE = "bench"
READY_SECONDS = 120.0
STOP_SECONDS = 60.0
PAYLOAD = {"number": 1}
_numbers = itertools.count(1)


def collection(namespace: str, plural: str = "tasks") -> str:
    """Return the path of harebell's objects of a kind."""
    return f"/apis/harebell.dev/v1alpha1/namespaces/{namespace}/{plural}"


def bodies(count: int) -> list[dict[str, Any]]:
    """Return Tasks that do nothing, under names that were not there before."""
    return [manifest(f"task-{next(_numbers)}", AGENT_TYPE, payload=PAYLOAD) for _ in range(count)]


def done(task: dict[str, Any]) -> bool:
    """Return whether a Task has succeeded. :raises RuntimeError: it ended otherwise."""
    status = task.get("status", {})
    if "completedAt" in status and status["phase"] != "Succeeded":
        raise RuntimeError(f"Task {task['metadata']['name']} ended {status['phase']}: {status}")
    return "completedAt" in status


def life(sent: float, seen: Seen) -> Life:
    """Return the times of a Task that is done."""
    status = seen.body["status"]
    queued, started, completed = (
        datetime.fromisoformat(status[name]).timestamp() for name in ("queuedAt", "startedAt", "completedAt")
    )
    return Life(sent, queued, started, completed, seen.at)


@asynccontextmanager
async def agents(server: Server, processes: Processes, count: int) -> AsyncIterator[Sequence[Process]]:
    """Have so many agents online, of one slot each, for the time of the block."""
    names = {f"bench-{next(_numbers)}" for _ in range(count)}
    started = [processes.agent(name, AGENT_TYPE) for name in sorted(names)]

    async def online() -> bool:
        found = (await server.get(collection(processes.namespace, "agents")))["items"]
        return names <= {a["metadata"]["name"] for a in found if a.get("status", {}).get("phase") == "Online"}

    try:
        await eventually(f"{count} agents to be online", online, READY_SECONDS)
        yield started
    finally:
        await stop(started)


async def stop(started: Sequence[Process]) -> None:
    """End processes as Kubernetes would, all at once."""
    for process in started:
        process.popen.send_signal(signal.SIGTERM)
    await asyncio.gather(*(asyncio.to_thread(process.popen.wait, STOP_SECONDS) for process in started))


async def write(
    server: Server, namespace: str, planned: Sequence[int], at_once: int, example: dict[str, Any]
) -> float:
    """Create a Task for each number and write its status as often; return the seconds that took.

    Every status is as large as ``example``.
    """
    path = collection(namespace)

    async def both(planned: tuple[dict[str, Any], int]) -> None:
        body, times = planned
        await server.create(path, body)
        for number in range(times):
            # One that changes nothing would not be written.
            status = {**example, "observedGeneration": number + 1}
            await server.patch(
                f"{path}/{body['metadata']['name']}/status",
                [{"op": "add", "path": "/status", "value": status}],
            )

    begun = time.monotonic()
    await each(zip(bodies(len(planned)), planned, strict=True), at_once, both)
    return time.monotonic() - begun
