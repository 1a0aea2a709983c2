"""The real API server, RabbitMQ and PostgreSQL, for suites that bring the component under test themselves."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cluster import api
from tests.support.broker_nodes import BrokerNodes
from tests.support.kubectl import Kubectl, run
from tests.support.servers import NODES, SERVERS_NAMESPACE, Servers, Vhost, deploy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cluster() -> api.Cluster:
    cluster = api.up()
    os.environ.update(cluster.env)
    # Forced, because helm owns the fields where a release was installed first.
    command = [str(cluster.kubectl), "apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds")]
    run(cluster, command)
    return cluster


@pytest.fixture(scope="session")
def kubeconfig(cluster: api.Cluster) -> Path:
    return cluster.kubeconfig


@pytest.fixture(scope="session")
def servers(cluster: api.Cluster) -> Servers:
    """They stay when the tests are over: the next run finds them, and a new cluster has none.

    ``HAREBELL_SERVERS_NAMESPACE`` gives a run servers of its own.
    """
    return deploy(cluster, SERVERS_NAMESPACE)


@pytest.fixture
def broker_nodes(servers: Servers) -> Iterator[BrokerNodes]:
    """RabbitMQ's nodes, for tests that take some away: all are there before and afterwards."""
    nodes = BrokerNodes(servers.kubectl)
    nodes.scale(NODES)
    yield nodes
    nodes.scale(NODES)


@pytest.fixture(scope="module")
def namespace(cluster: api.Cluster) -> Iterator[str]:
    """An empty namespace, deleted afterwards."""
    name = f"it-{uuid4().hex[:8]}"
    kubectl = Kubectl(cluster, name)
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def kubectl(cluster: api.Cluster, namespace: str) -> Kubectl:
    return Kubectl(cluster, namespace)


@pytest.fixture(scope="module")
def vhost(servers: Servers, namespace: str) -> Iterator[Vhost]:
    """A virtual host of the suite's own."""
    yield servers.vhost(namespace)
    servers.drop(namespace)


@pytest.fixture(scope="module")
def amqp_url(vhost: Vhost) -> str:
    """The operator's URL in the suite's virtual host."""
    return vhost.operator_url
