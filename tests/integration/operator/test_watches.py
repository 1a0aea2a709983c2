"""Watches that end without a word, and an API server that is away, as the liveness probe tells them apart."""

import asyncio
import time
from datetime import datetime
from pathlib import Path

from tests.support.gate import gate_before
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes, free_port
from tests.support.waiting import eventually

from .observing import health, metric

PATIENCE = 6.0
"""Seconds; less than Kopf takes to make a silent watch anew."""


async def test_the_liveness_probe_fails_for_a_silent_watch_and_not_for_an_api_server_that_is_away(
    start: Processes, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    port = free_port()

    async def heard() -> datetime | None:
        items = await asyncio.to_thread(kubectl.items, "agents")
        told = items[0].get("status", {}).get("lastHeartbeatTime") if items else None
        return datetime.fromisoformat(told) if told else None

    async def written() -> None:
        """Wait until the operator has written a heartbeat from after this call."""
        before = await eventually("a heartbeat", heard, 60)

        async def newer() -> bool:
            now = await heard()
            return now is not None and now > before

        await eventually("a newer heartbeat", newer, 60)

    async def healthy() -> bool:
        return await asyncio.to_thread(health, port) == (200, "ok")

    async with gate_before(kubeconfig, tmp_path) as (gate, through):
        # Every heartbeat is a status write, which the watch of Agents has to bring.
        start.operator(
            KUBECONFIG=str(through),
            HAREBELL_PORT=str(port),
            HAREBELL_WATCH_SECONDS=str(PATIENCE),
            HAREBELL_OFFLINE_SECONDS="3600",
        )
        start.agent("witness", "watched")
        await written()
        assert await healthy()

        gate.shut()
        away = time.monotonic()
        while time.monotonic() - away < PATIENCE * 1.5:
            assert await healthy()
            await asyncio.sleep(0.2)
        gate.open()
        await written()
        await eventually("its watches to be back", healthy, 60)

        gate.mute_watches()

        async def failing() -> str | None:
            code, said = await asyncio.to_thread(health, port)
            return said if code == 503 else None

        said = await eventually("the probe to fail", failing, 90)
        assert "these watches have not brought what the API server has" in said
        assert said.endswith(": agents")
        assert await asyncio.to_thread(metric, port, 'harebell_missed_by_watch_total{kind="agents"}') >= 1
        # It is the watch alone: whatever else the operator does goes on.
        await written()
