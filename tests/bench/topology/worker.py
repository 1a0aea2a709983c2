"""A process of agents that do nothing but take messages. Told what to do by lines on its standard input:
``run SECONDS`` to take messages and spend so long on each, ``halt``. Its standard output says what it took.
"""

import asyncio
import json
import sys
import time

import aio_pika
import uvloop

from .candidates import CANDIDATES, Place


def say(**what: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Agents:
    """The agents of this process."""

    def __init__(self, url: str, candidate: str, count: int) -> None:
        self._url, self._candidate, self._count = url, CANDIDATES[candidate], count
        self._seconds = 0.0
        self._go = asyncio.Event()
        self._halt = asyncio.Event()
        self._idle = asyncio.Barrier(count + 1)

    async def run(self) -> None:
        """Obey until the input ends."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async with asyncio.TaskGroup() as group:
            agents = [group.create_task(self._agent()) for _ in range(self._count)]
            await self._idle.wait()
            say(state="ready")
            while line := (await reader.readline()).split():
                if line[0] == b"run":
                    self._seconds = float(line[1])
                    self._halt.clear()
                    self._go.set()
                else:
                    self._go.clear()
                    self._halt.set()
                    await self._idle.wait()
                    say(state="ready")
            for agent in agents:
                agent.cancel()

    async def _agent(self) -> None:
        while True:
            # Anew each time: not every candidate can be told to stop waiting.
            async with (
                await aio_pika.connect(self._url) as connection,
                self._candidate.place(connection, self._candidate.queues) as place,
            ):
                await self._idle.wait()
                await self._go.wait()
                await self._take(place)

    async def _take(self, place: Place) -> None:
        halt = asyncio.ensure_future(self._halt.wait())
        try:
            while not halt.done():
                begun = time.monotonic()
                claiming = asyncio.ensure_future(place.claim())
                await asyncio.wait({claiming, halt}, return_when=asyncio.FIRST_COMPLETED)
                if not claiming.done():
                    claiming.cancel()
                    await asyncio.gather(claiming, return_exceptions=True)
                    return
                message = claiming.result()
                await message.ack()
                say(id=message.message_id, begun=begun, acknowledged=time.monotonic())
                if self._seconds:
                    await asyncio.sleep(self._seconds)
        finally:
            halt.cancel()


if __name__ == "__main__":
    uvloop.run(Agents(sys.argv[1], sys.argv[2], int(sys.argv[3])).run())
