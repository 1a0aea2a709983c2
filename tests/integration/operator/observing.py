"""What tests of the operator look at."""

import asyncio
import re
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import aio_pika
from tests.support.kubectl import Kubectl
from tests.support.waiting import until

from harebell_bus.topology import DEAD_LETTERS_QUEUE, REASON_HEADER, TASK_NAME_HEADER


def status(kubectl: Kubectl, name: str) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get("task", name).get("status", {})
    return found


def finished(kubectl: Kubectl, name: str, seconds: float = 60) -> dict[str, Any]:
    return until(
        f"{name} to finish", lambda: s if (s := status(kubectl, name)).get("completedAt") else None, seconds
    )


def running(kubectl: Kubectl, name: str, attempt: int = 1, seconds: float = 60) -> str:
    """Wait until an attempt runs, and return the agent that has it."""

    def agent() -> str | None:
        found = status(kubectl, name)
        return (
            str(found["agentName"]) if found["phase"] == "Running" and found["attempt"] == attempt else None
        )

    return until(f"attempt {attempt} of {name} to run", agent, seconds)


def reasons(kubectl: Kubectl, name: str) -> list[str]:
    """Return the reasons of a Task's Events."""
    events = kubectl.items("events", "--field-selector", f"involvedObject.name={name}")
    return sorted(e["reason"] for e in events)


def metric(port: int, sample: str) -> float:
    """Return one sample of an operator's metrics, named as in the text format; 0 if it has none."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.search(rf"^{re.escape(sample)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found.group(1)) if found else 0


def health(port: int) -> tuple[int, str]:
    """Return what an operator's liveness probe is told: the status, and the words with it."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return answer.status, answer.read().decode().strip()
    except HTTPError as error:
        return error.code, error.read().decode().strip()


async def dead_letters(amqp_url: str) -> set[str]:
    """Take all dead letters there are, and return the names of their Tasks."""
    names = set()
    async with asyncio.timeout(60), await aio_pika.connect(amqp_url) as connection:
        queue = await (await connection.channel()).get_queue(DEAD_LETTERS_QUEUE, ensure=False)
        while (message := await queue.get(fail=False, timeout=10)) is not None:
            await message.ack()
            names.add(str(message.headers[TASK_NAME_HEADER]))
    return names


async def dead_letter(amqp_url: str, correlation_id: str | None = None) -> tuple[bytes, str]:
    """Take the next dead letter, and return its body and reason."""
    async with asyncio.timeout(30), await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(DEAD_LETTERS_QUEUE, ensure=False)
        while True:
            message = await queue.get(fail=False, timeout=5)
            if message is not None:
                await message.ack()
                if correlation_id in (None, message.correlation_id):
                    return message.body, str(message.headers[REASON_HEADER])
            await asyncio.sleep(0.1)
