"""What the feed costs: ``python -m tests.bench.feed`` serves many WebSockets while Tasks change.

No cluster is needed. The server is the API's own, in this process, so that its CPU time and memory can be
told from those of the clients, which are another process and throw away what they read.
"""

import argparse
import asyncio
import base64
import gc
import json
import multiprocessing
import os
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import psutil
import uvloop
from tests.support.keys import key, record
from tests.support.waiting import eventually

from harebell_api import server
from harebell_api.app import Dependencies, create_app
from harebell_api.keyring import KeyRing
from harebell_api.kube import Kind, Object
from harebell_api.records import task_record

KEY = key("measurement")
AROUND_BYTES = 156
"""Of a message without the Task: its type, its cursor, its frame."""


class NoStore:
    """Nothing is written, and nothing is read but by the watch."""

    async def create(self, kind: Kind, manifest: Object) -> Object:
        raise NotImplementedError

    async def read(self, kind: Kind, name: str) -> Object:
        raise NotImplementedError

    async def patch(self, kind: Kind, name: str, patch: Object) -> Object:
        raise NotImplementedError

    async def delete(self, kind: Kind, name: str, uid: str) -> None:
        raise NotImplementedError

    async def current_version(self) -> int:
        raise NotImplementedError


def _task(number: int, version: int, body_bytes: int) -> dict[str, Any]:
    metadata = {
        "name": f"task-{number}",
        "namespace": "bench",
        "uid": f"00000000-0000-0000-0000-{number:012d}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    status = {"phase": "Running", "attempt": 1, "result": "x" * body_bytes}
    return {"metadata": metadata, "spec": {"agentType": "text", "action": "echo"}, "status": status}


class _Sink(asyncio.Protocol):
    """A WebSocket client as far as this needs one."""

    received = 0

    def __init__(self, path: str) -> None:
        self._path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        nonce = base64.b64encode(os.urandom(16)).decode()
        cast(asyncio.Transport, transport).write(
            f"GET {self._path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n"
            f"Authorization: Bearer {KEY}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        _Sink.received += len(data)


def clients(port: int, number: int, path: str, received: Any, ended: Any) -> None:
    """Keep so many WebSockets open, and tell how many bytes came, until told to end."""

    async def follow() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(number):
            await loop.create_connection(lambda: _Sink(path), "127.0.0.1", port)
        while not ended.is_set():
            received.value = _Sink.received
            await asyncio.sleep(0.02)

    uvloop.run(follow())


@asynccontextmanager
async def serving(parts: Dependencies) -> AsyncIterator[int]:
    """Serve the API, and yield its port."""
    listener = server.listen("127.0.0.1", 0)
    api = server.build(create_app(parts), ping_seconds=20)
    running = asyncio.ensure_future(api.serve(sockets=[listener]))
    try:
        yield int(listener.getsockname()[1])
    finally:
        parts.sessions.shut_down()
        api.should_exit = True
        await running


async def measure(options: argparse.Namespace, parts: Dependencies, body_bytes: int) -> dict[str, Any]:
    """Measure with bodies of one size."""
    cache, version = parts.task_cache, options.tasks
    cache.replace([task_record(_task(n, n + 1, body_bytes)) for n in range(options.tasks)], version)
    process, context = psutil.Process(), multiprocessing.get_context("spawn")
    async with serving(parts) as port:
        gc.collect()
        before = process.memory_info().rss
        received, ended = context.Value("q", 0), context.Event()
        arguments = (port, options.clients, options.path, received, ended)
        child = context.Process(target=clients, args=arguments, daemon=True)
        child.start()
        open_streams = parts.metrics.streams._value.get

        async def all_open() -> bool:
            return bool(open_streams() >= options.clients)

        await eventually("all streams to be open", all_open)
        await _quiet(received)
        gc.collect()
        per_client = (process.memory_info().rss - before) / options.clients
        got, cpu, began = received.value, time.process_time(), time.perf_counter()
        for _ in range(options.changes):
            version += 1
            cache.put(task_record(_task(version % options.tasks, version, body_bytes)))
            await asyncio.sleep(options.every)
        await _quiet(received)
        cpu = time.process_time() - cpu
        got = received.value - got
        ended.set()
        await asyncio.to_thread(child.join)
    told = got / (len(task_record(_task(0, version, body_bytes)).body) + AROUND_BYTES)
    return {
        "body_bytes": body_bytes,
        "clients": options.clients,
        "changes": options.changes,
        "messages": round(told),
        "cpu_seconds": round(cpu, 2),
        "cpu_us_per_message": round(cpu / max(told, 1) * 1e6, 1),
        "seconds": round(time.perf_counter() - began, 2),
        "kib_per_client": round(per_client / 1024, 1),
    }


async def _quiet(received: Any) -> None:
    """Wait until nothing comes any more."""
    last = -1
    while received.value != last:
        last = received.value
        await asyncio.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.feed", description=__doc__)
    parser.add_argument("--clients", type=int, default=900)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--every", type=float, default=0.1, help="seconds between changes")
    parser.add_argument("--bodies", type=int, nargs="+", default=[1000, 50_000])
    parser.add_argument("--path", default="/api/v1/ws")
    options = parser.parse_args()
    wanted = 2 * options.clients + 100
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
    for body_bytes in options.bodies:
        # Made anew: what is waited for belongs to the event loop of one run.
        ring = KeyRing("bench")
        ring.replace(dict([record(KEY)]))
        parts = Dependencies("bench", NoStore(), ring)
        print(json.dumps(uvloop.run(measure(options, parts, body_bytes))), flush=True)


if __name__ == "__main__":
    main()
