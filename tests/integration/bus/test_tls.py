"""TLS to a real broker: whom a client trusts, and whom the broker."""

import asyncio
import base64
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
import trustme
from aio_pika.abc import AbstractConnection
from tests.cluster import api
from tests.integration.agent.harness import Wire
from tests.support.broker_nodes import BrokerNodes
from tests.support.kubectl import Kubectl
from tests.support.processes import processes
from tests.support.release import manifest
from tests.support.servers import AMQP_SECRET, NODES, apply_chart, node_address, outside
from tests.support.waiting import eventually, until

from harebell_bus.declare import declare
from harebell_bus.link import Link
from harebell_bus.settings import BrokerSettings
from harebell_bus.topology import base_topology

TLS_SECRET = "rabbit-rabbitmq-tls"
AGENT_SECRET = "rabbit-amqp-agent-text"

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class TlsBroker:
    """One node with TLS, as the chart deploys it."""

    kubectl: Kubectl
    address: str
    folder: Path

    def apply(self, *arguments: str) -> None:
        """Deploy it, or change it. Its certificate is also for the address that tests reach it by."""
        names = f"rabbitmq.embedded.tls.extraNames={{{self.address}}}"
        apply_chart(self.kubectl, "rabbitmq", "--set", names, *arguments)
        # Every node of the cluster learns a moment later than the API server that the Pod is ready.
        until("its port to be served", self._served, 30)

    def _served(self) -> bool:
        url = urlsplit(self.url())
        try:
            with socket.create_connection((url.hostname, url.port), timeout=5):
                return True
        except OSError:
            return False

    def url(self, secret: str = AMQP_SECRET) -> str:
        """Return the URL in a component's Secret, as it is from outside the cluster."""
        return outside(self.kubectl, "rabbit-rabbitmq", secret, self.address)

    def file(self, secret: str, key: str) -> Path:
        """Return a file with one entry of a Secret."""
        file = self.folder / f"{secret}-{key}"
        file.write_bytes(base64.b64decode(self.kubectl.get("secret", secret)["data"][key]))
        return file

    def settings(self, secret: str = AMQP_SECRET) -> BrokerSettings:
        """Return how to connect without showing a certificate."""
        return BrokerSettings(self.url(secret), ca_file=self.file(TLS_SECRET, "ca.crt"))

    def shown(self, secret: str) -> BrokerSettings:
        """Return how to connect and show the certificate in a component's Secret."""
        cert_file, key_file = (self.file(secret, key) for key in ("tls.crt", "tls.key"))
        return replace(self.settings(secret), cert_file=cert_file, key_file=key_file)


@pytest.fixture(scope="module")
def broker(
    cluster: api.Cluster, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsBroker]:
    broker = TlsBroker(kubectl, node_address(cluster), tmp_path_factory.mktemp("tls"))
    broker.apply()
    yield broker
    kubectl("delete", "statefulset,pvc", "--all", "--timeout=60s")
    cluster.reclaim()


async def connecting(settings: BrokerSettings) -> str:
    """Return "connected", or what the link says why it is not."""
    connected = asyncio.Event()

    async def session(connection: AbstractConnection) -> None:
        # The broker's verdict on a client's certificate comes after the client thinks that all is well.
        await connection.channel()
        connected.set()
        await connection.closed()

    link = Link(settings, "tls")
    before = link.error
    running = asyncio.create_task(link.run(session))
    try:

        async def outcome() -> str | None:
            return "connected" if connected.is_set() else link.error if link.error != before else None

        return await eventually("a connection or an error", outcome, 60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def foreign(folder: Path) -> tuple[Path, Path, Path]:
    """A CA that nobody here knows, and a certificate of it with its key."""
    ca = trustme.CA()
    issued = ca.issue_cert("stranger")
    files = tuple(folder / name for name in ("foreign-ca.crt", "foreign.crt", "foreign.key"))
    ca.cert_pem.write_to_path(str(files[0]))
    issued.cert_chain_pems[0].write_to_path(str(files[1]))
    issued.private_key_pem.write_to_path(str(files[2]))
    return files[0], files[1], files[2]


async def test_the_ca_of_the_release_is_enough(broker: TlsBroker) -> None:
    assert broker.url().startswith("amqps://")
    assert await connecting(broker.settings()) == "connected"


async def test_another_ca_is_refused(broker: TlsBroker, tmp_path: Path) -> None:
    error = await connecting(replace(broker.settings(), ca_file=foreign(tmp_path)[0]))
    print(error)
    assert "certificate verify failed" in error
    error = await connecting(replace(broker.settings(), ca_file=None))
    assert "certificate verify failed" in error


async def test_another_host_name_is_refused(broker: TlsBroker) -> None:
    wire = Wire(broker.url())
    await wire.join()
    error = await connecting(replace(broker.settings(), url_literal=wire.url))
    await wire.cut()
    print(error)
    assert "certificate is not valid for '127.0.0.1'" in error


async def test_nothing_is_served_in_plain(broker: TlsBroker) -> None:
    error = await connecting(BrokerSettings(broker.url().replace("amqps://", "amqp://")))
    print(error)
    assert error != "connected"


async def test_a_required_client_certificate(broker: TlsBroker, tmp_path: Path) -> None:
    before = broker.file(TLS_SECRET, "ca.crt").read_bytes()
    broker.apply("--set", "rabbitmq.embedded.tls.requireClientCertificate=true")
    assert broker.file(TLS_SECRET, "ca.crt").read_bytes() == before, "an upgrade made another CA"
    settings = broker.settings()
    assert await connecting(broker.shown(AMQP_SECRET)) == "connected"
    missing = await connecting(settings)
    print(missing)
    assert "certificate required" in missing
    _, cert_file, key_file = foreign(tmp_path)
    unknown = await connecting(replace(settings, cert_file=cert_file, key_file=key_file))
    print(unknown)
    assert "unknown ca" in unknown.lower()


def test_operator_and_agent_work_with_certificates(
    broker: TlsBroker, kubectl: Kubectl, namespace: str, kubeconfig: Path, tmp_path: Path
) -> None:
    broker.apply("--set", "rabbitmq.embedded.tls.requireClientCertificate=true")

    def environment(secret: str) -> dict[str, str]:
        shown = broker.shown(secret)
        return {
            "HAREBELL_AMQP_CA_FILE": str(shown.ca_file),
            "HAREBELL_AMQP_CERT_FILE": str(shown.cert_file),
            "HAREBELL_AMQP_KEY_FILE": str(shown.key_file),
        }

    urls = (broker.url(), lambda _: broker.url(AGENT_SECRET))
    with processes(tmp_path, *urls, namespace, kubeconfig) as start:
        start.operator(HAREBELL_OFFLINE_SECONDS="60", **environment(AMQP_SECRET))
        start.agent("certified", "text", **environment(AGENT_SECRET))
        kubectl.apply(manifest("certified"))
        until(
            "the Task to be done",
            lambda: kubectl.get("task", "certified").get("status", {}).get("phase") == "Succeeded",
            120,
        )


@pytest.mark.chaos
async def test_one_node_becomes_three_and_so_do_the_replicas(broker: TlsBroker) -> None:
    required = ("--set", "rabbitmq.embedded.tls.requireClientCertificate=true")
    await asyncio.to_thread(broker.apply, *required)
    context = broker.shown(AMQP_SECRET).ssl_context()
    async with await aio_pika.connect(broker.url(), ssl_context=context) as connection:
        await declare(await connection.channel(), base_topology())
    nodes = BrokerNodes(broker.kubectl)
    early = await asyncio.to_thread(nodes.queues, "harebell")
    assert {len(queue.members) for queue in early.values()} == {1}
    await asyncio.to_thread(broker.apply, *required, "--set", f"rabbitmq.embedded.replicas={NODES}")

    async def grown() -> bool:
        found = await asyncio.to_thread(nodes.queues, "harebell")
        return {len(queue.members) for queue in found.values() if queue.type == "quorum"} == {NODES}

    await eventually("three replicas of every quorum queue", grown, 240)
