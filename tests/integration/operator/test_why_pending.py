"""Why a Task waits, as ``kubectl get tasks -o wide`` shows it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.gate import Gate
from tests.support.kubectl import Kubectl
from tests.support.processes import Processes
from tests.support.release import manifest
from tests.support.servers import Vhost
from tests.support.waiting import until
from yarl import URL

SECONDS = 90


@asynccontextmanager
async def gate_before(url: URL) -> AsyncIterator[tuple[Gate, str]]:
    """Yield a gate before the broker, and the URL that leads through it."""
    gate = Gate(url.host or "", url.port or 5672)
    server = await asyncio.start_server(gate.forward, "127.0.0.1", 0)
    through = url.with_host("127.0.0.1").with_port(server.sockets[0].getsockname()[1])
    try:
        yield gate, str(through)
    finally:
        gate.shut()
        server.close()


def shown(kubectl: Kubectl, kind: str, title: str) -> dict[str, str]:
    """Return one column of ``kubectl get -o wide`` by name, as far as it has a value."""
    heads, *rows = kubectl("get", kind, "-o", "wide").splitlines() or [title]
    # By position, because a value that is missing leaves its column empty.
    begin = heads.index(title)
    return {row.split()[0]: row[begin:].split(" ", 1)[0] for row in rows}


async def shows(kubectl: Kubectl, **reasons: str) -> None:
    def as_expected() -> bool:
        found = shown(kubectl, "tasks", "REASON")
        assert {name: found[name] for name in reasons} == reasons
        return True

    await asyncio.to_thread(until, f"the reasons {reasons}", as_expected, SECONDS)


@pytest.mark.timeout(300)
async def test_a_missing_type_a_pause_and_a_broker_that_is_away_are_named(
    start: Processes, kubectl: Kubectl, vhost: Vhost
) -> None:
    def apply(*names_and_types: tuple[str, str]) -> None:
        kubectl.apply(*(manifest(name, kind) for name, kind in names_and_types))

    async with gate_before(URL(vhost.operator_url)) as (gate, url):
        # Nobody is to be called offline for what the gate keeps away.
        start.operator(HAREBELL_AMQP_URL=url, HAREBELL_OFFLINE_SECONDS="60")
        start.agent("paused", "resting")
        pause = {
            "apiVersion": "harebell.dev/v1alpha1",
            "kind": "Announcement",
            "metadata": {"name": "rest"},
            "spec": {"kind": "Pause", "agentSelector": {"types": ["resting"]}},
        }
        await asyncio.to_thread(kubectl.apply, pause)
        await asyncio.to_thread(
            until,
            "the agent to be paused",
            lambda: shown(kubectl, "agents", "STATUS")["paused"] == "Paused",
            SECONDS,
        )
        await asyncio.to_thread(apply, ("missing", "nobody"), ("resting", "resting"))
        await shows(kubectl, missing="NoAgent", resting="AgentsPaused")

        gate.shut()
        await asyncio.to_thread(apply, ("new", "nobody"))
        await shows(
            kubectl, missing="BrokerUnreachable", resting="BrokerUnreachable", new="BrokerUnreachable"
        )

        gate.open()
        await asyncio.to_thread(kubectl, "delete", "announcement", "rest")
        await asyncio.to_thread(
            until,
            "the Task to be done",
            lambda: kubectl.get("task", "resting")["status"]["phase"] == "Succeeded",
            SECONDS,
        )
        await shows(kubectl, new="NoAgent")
