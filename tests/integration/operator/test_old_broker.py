"""A broker that is too old is refused, by operator and agents, with the reason."""

import asyncio
import re

from tests.integration.agent.harness import Wire
from tests.support.processes import Processes
from tests.support.servers import Vhost


def aged(chunk: bytes) -> bytes:
    """Have the broker's greeting name the last version before the one that is needed."""
    return re.sub(
        rb"(?s)(\x07versionS.{3}(.))(4\.\d+\.\d+)", lambda m: m[1] + b"4.2.".ljust(len(m[3]), b"9"), chunk
    )


async def test_operator_and_agent_end_with_the_reason(start: Processes, vhost: Vhost) -> None:
    wires = [Wire(url, aged) for url in (vhost.operator_url, vhost.agent_url("old"))]
    for wire in wires:
        await wire.join()
    operator, agent = (wire.url for wire in wires)
    processes = [
        start.operator(HAREBELL_AMQP_URL=operator),
        start.agent("early", "old", HAREBELL_AMQP_URL=agent),
    ]
    for process in processes:
        assert await asyncio.to_thread(process.popen.wait, 60) == 1
        assert re.search(
            r"RabbitMQ 4\.2\.9+ is too old: harebell needs 4\.3 or later", process.log.read_text()
        )
    for wire in wires:
        await wire.cut()
