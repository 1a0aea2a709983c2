"""Operator and agents while nodes of the broker are killed, and while their passwords are changed."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aiormq.exceptions import AMQPConnectionError
from tests.support.broker_nodes import BrokerNodes
from tests.support.kubectl import Kubectl
from tests.support.processes import Process, Processes
from tests.support.release import manifest
from tests.support.servers import Vhost, define, granted
from tests.support.waiting import until
from yarl import URL

from harebell_bus.permissions import operator_permissions

# Nodes of the broker start in here, on however busy a machine.
pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]


def finished(kubectl: Kubectl, names: list[str], seconds: float = 240) -> dict[str, dict[str, Any]]:
    """Wait until every one of the Tasks is finished, and return their status."""

    def all_of_them() -> dict[str, dict[str, Any]]:
        found = {t["metadata"]["name"]: t.get("status", {}) for t in kubectl.items("tasks")}
        still = {name: found[name].get("phase") for name in names if not found[name].get("completedAt")}
        assert not still, still
        return {name: found[name] for name in names}

    return until("every Task to finish", all_of_them, seconds, interval=1)


def test_every_task_is_done_while_the_nodes_are_killed_one_after_the_other(
    start: Processes, kubectl: Kubectl, broker_nodes: BrokerNodes
) -> None:
    # Agents are not to be called offline because the machine is slow.
    start.operator(HAREBELL_OFFLINE_SECONDS="30")
    for name in ("k1", "k2", "k3"):
        start.agent(name, "killed")
    names: list[str] = []
    for node in broker_nodes.names:
        batch = [f"{node}-{n}" for n in range(10)]
        tasks = [manifest(name, "killed", "sleep", payload={"seconds": 0.5}) for name in batch]
        kubectl.apply(*tasks[:8])
        broker_nodes.kill(node)
        killed = time.monotonic()
        kubectl.apply(*tasks[8:])
        names += batch
        finished(kubectl, batch[8:])
        print(f"{node} killed; a Task that came after it was done {time.monotonic() - killed:.1f} s later")
        broker_nodes.whole()
    done = finished(kubectl, names)
    assert {status["phase"] for status in done.values()} == {"Succeeded"}
    print(f"{sum(s['attempt'] > 1 for s in done.values())} of {len(done)} Tasks took a second attempt")


class Credentials:
    """A user of the broker, and the file that tells a component its URL."""

    def __init__(self, vhost: Vhost, folder: Path, url: str) -> None:
        self._vhost, self.file, self.url = vhost, folder / uuid4().hex, URL(url)
        self.write()

    def write(self) -> None:
        self.file.write_text(str(self.url))

    def change(self) -> URL:
        """Change the password in the broker, as its definitions do, and return the URL as it was."""
        old, self.url = self.url, self.url.with_password(uuid4().hex)
        define(
            self._vhost.kubectl,
            users=[{"name": self.url.user, "password": self.url.password, "tags": []}],
        )
        return old

    @property
    def environment(self) -> dict[str, str]:
        return {"HAREBELL_AMQP_URL": "", "HAREBELL_AMQP_URL_FILE": str(self.file)}


@pytest.fixture
def credentials(vhost: Vhost, tmp_path: Path) -> tuple[Credentials, Credentials]:
    """An operator's, whose user no other suite has, and an agent's."""
    user, password = f"{vhost.name}-rotated", uuid4().hex
    permissions = granted(vhost.name, user, operator_permissions())
    define(vhost.kubectl, users=[{"name": user, "password": password, "tags": []}], **permissions)
    operator = URL(vhost.operator_url).with_user(user).with_password(password)
    return (
        Credentials(vhost, tmp_path, str(operator)),
        Credentials(vhost, tmp_path, vhost.agent_url("rotated")),
    )


def told(process: Process, text: str, times: int = 1) -> None:
    """Wait until a component has logged something so often."""
    what = f"{process.log.name} to say {text!r} {times} times"
    until(what, lambda: process.log.read_text().count(text) >= times, 60)


async def refused(url: URL) -> bool:
    try:
        async with await aio_pika.connect(url):
            return False
    except AMQPConnectionError as error:
        return "ACCESS_REFUSED" in str(error)


async def test_passwords_change_while_work_is_in_flight(
    start: Processes,
    kubectl: Kubectl,
    vhost: Vhost,
    broker_nodes: BrokerNodes,
    credentials: tuple[Credentials, Credentials],
    tmp_path: Path,
) -> None:
    operator, agent = credentials
    processes = [start.operator(HAREBELL_OFFLINE_SECONDS="60", **operator.environment)]
    for name in ("r1", "r2"):
        allowed = {"HAREBELL_COMMAND_ALLOW": json.dumps([["sh", "-c"]])}
        processes.append(start.agent(name, "rotated", **agent.environment, **allowed))
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    script = f'echo "$0" >> {begun}; while [ ! -e {gate} ]; do sleep 0.2; done'
    names = [f"rotated-{n}" for n in range(6)]
    kubectl.apply(
        *(
            manifest(name, "rotated", "command", payload={"argv": ["sh", "-c", script, name]})
            for name in names
        )
    )

    def begun_names() -> list[str]:
        return begun.read_text().split() if begun.exists() else []

    until("both agents to work", lambda: len(begun_names()) == 2, 60)

    # The broker first: who is connected stays so, and who lost the connection is refused for the time being.
    for each in credentials:
        assert await refused(each.change())
    kubectl.apply(manifest("meanwhile", "rotated"))
    until(
        "a Task to be published over the old connection",
        lambda: kubectl.get("task", "meanwhile").get("status", {}).get("phase") == "Queued",
        60,
    )
    for each in credentials:
        broker_nodes.ctl("close_all_user_connections", str(each.url.user), "rotated")
    told(processes[0], "CONNECTION_FORCED - rotated")
    for process in processes:
        told(process, "ACCESS_REFUSED")
    for each in credentials:
        each.write()
    for process in processes:
        told(process, "connected to the broker", times=2)
    gate.touch()
    done = finished(kubectl, [*names, "meanwhile"])
    assert {(status["phase"], status["attempt"]) for status in done.values()} == {("Succeeded", 1)}
    assert sorted(begun_names()) == names, "a Task was begun twice"
