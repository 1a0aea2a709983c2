"""RabbitMQ and PostgreSQL of the chart, without the rest of it, reachable from the tests' machine."""

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.cluster.api import Cluster
from tests.cluster.images import servers
from tests.cluster.lock import exclusive

from harebell_bus.permissions import OPERATOR_USER, Permissions, agent_permissions, operator_permissions
from harebell_bus.topology import COMMANDS_EXCHANGE, base_topology

from .broker_shell import evaluate
from .kubectl import Kubectl, helm, run
from .waiting import until

CHART = Path(__file__).parents[2] / "charts" / "harebell"
SERVERS_NAMESPACE = os.environ.get("HAREBELL_SERVERS_NAMESPACE", "harebell-servers")
"""Another one keeps a run apart from others, whose tests may restart the servers."""
AMQP_SECRET = "rabbit-amqp-operator"
POSTGRESQL_SECRET = "rabbit-postgresql"
NODES = 3
"""Of RabbitMQ: what a quorum queue is for shows with no fewer."""


def image_values(**images: str) -> list[str]:
    """Return helm arguments that name images, by the value's path with ``_`` for the dots."""
    arguments = []
    for path, name in images.items():
        repository, _, tag = name.rpartition(":")
        value = path.replace("_", ".")
        arguments += [
            "--set-string",
            f"{value}.repository={repository}",
            "--set-string",
            f"{value}.tag={tag}",
        ]
    return arguments


@dataclass(frozen=True)
class Vhost:
    """A virtual host, with URLs for those who may do in it what the chart's users may."""

    kubectl: Kubectl
    name: str
    operator_url: str
    agent_urls: dict[str, str] = field(default_factory=dict)

    def agent_url(self, agent_type: str) -> str:
        """Return the URL for agents of a type; the first call for a type makes their user."""
        if agent_type not in self.agent_urls:
            permissions = agent_permissions(agent_type)
            self.agent_urls[agent_type] = self.user_url(f"agent-{agent_type}", permissions)
        return self.agent_urls[agent_type]

    def user_url(self, name: str, permissions: Permissions) -> str:
        """Make a user of this virtual host and return its URL."""
        # Users belong to the whole broker, and other suites have some of the same name.
        user, password = f"{self.name}-{name}", uuid4().hex
        definitions = granted(self.name, user, permissions)
        define(self.kubectl, users=[{"name": user, "password": password, "tags": []}], **definitions)
        return f"amqp://{user}:{password}@{self.operator_url.rsplit('@', 1)[1]}"


@dataclass(frozen=True)
class Servers:
    """Where they listen, as URLs that work from this machine."""

    kubectl: Kubectl
    amqp_url: str
    postgresql_url: str

    def drop(self, name: str) -> None:
        """Delete a virtual host with all its queues, which cost the broker's processors also when idle."""

        # It may have been deleted by a call before, whose answer was lost.
        outcomes = "ok -> ok; {error, {no_such_vhost, _}} -> ok"
        gone = f'case rabbit_vhost:delete(<<"{name}">>, <<"tests">>) of {outcomes} end'

        def dropped() -> bool:
            evaluate(self.kubectl, gone)
            return True

        until(f"virtual host {name} to be deleted", dropped, 90, interval=2)

    def vhost(self, name: str) -> Vhost:
        """Make an empty virtual host, so that suites do not see each other's queues."""
        (commands,) = (e for e in base_topology().exchanges if e.name == COMMANDS_EXCHANGE)
        # As in the chart: a topic permission is taken only for an exchange that is there.
        exchange = {
            "name": commands.name,
            "vhost": name,
            "type": commands.type,
            "durable": True,
            "auto_delete": False,
            "internal": False,
            "arguments": {},
        }
        granting = granted(name, OPERATOR_USER, operator_permissions())
        define(self.kubectl, vhosts=[{"name": name}], exchanges=[exchange], **granting)
        return Vhost(self.kubectl, name, f"{self.amqp_url.rsplit('/', 1)[0]}/{name}")


def granted(vhost: str, user: str, permissions: Permissions) -> dict[str, list[dict[str, str]]]:
    """Return a user's permissions as RabbitMQ's definitions have them."""
    where = {"user": user, "vhost": vhost}
    return {
        "permissions": [
            {
                **where,
                "configure": permissions.configure,
                "write": permissions.write,
                "read": permissions.read,
            }
        ],
        "topic_permissions": [
            {**where, "exchange": topic.exchange, "write": topic.write, "read": topic.read}
            for topic in permissions.topics
        ],
    }


def define(kubectl: Kubectl, **definitions: list[Any]) -> None:
    """Add definitions to the broker."""
    text = base64.b64encode(json.dumps(definitions).encode()).decode()
    evaluate(kubectl, f'ok = rabbit_definitions:import_raw(base64:decode(<<"{text}">>))')


def deploy(cluster: Cluster, namespace: str) -> Servers:
    """Deploy both servers into a namespace, or find them there, and wait until they answer."""
    # Of two that deploy them at once, each would make passwords of its own.
    with exclusive(namespace):
        rabbitmq = deploy_rabbitmq(cluster, namespace)
        apply_chart(rabbitmq.kubectl, "postgresql")
    url = outside(rabbitmq.kubectl, "rabbit-postgresql", POSTGRESQL_SECRET, node_address(cluster))
    return Servers(rabbitmq.kubectl, rabbitmq.amqp_url, url)


def deploy_rabbitmq(cluster: Cluster, namespace: str, nodes: int = NODES) -> Servers:
    """Deploy RabbitMQ alone, of as many nodes; ``postgresql_url`` is empty."""
    kubectl = Kubectl(cluster, namespace)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    # By the address of a node, which may be another every time; tests of TLS have a broker of their own.
    plain = ("--set", f"rabbitmq.embedded.replicas={nodes}", "--set", "rabbitmq.embedded.tls.enabled=false")
    # All suites' queues are in it: with the usual memory it would hold up publishers.
    roomy = ("--set", "rabbitmq.embedded.resources.limits.memory=1Gi")
    apply_chart(kubectl, "rabbitmq", *plain, *roomy)
    return Servers(kubectl, outside(kubectl, "rabbit-rabbitmq", AMQP_SECRET, node_address(cluster)), "")


def apply_chart(kubectl: Kubectl, server: str, *arguments: str) -> None:
    """Apply the chart's ``rabbitmq`` or ``postgresql`` and nothing else of it, and wait until it is ready.

    ``arguments`` are more arguments of helm.
    """
    images = servers(kubectl.cluster.way)
    named = image_values(
        rabbitmq_embedded_image=images["RABBITMQ_IMAGE"], postgresql_embedded_image=images["POSTGRESQL_IMAGE"]
    )
    # With a look at the cluster, so that the chart keeps the passwords it finds there; as an upgrade, because
    # an installation would refuse to take over what is there.
    manifests = helm(
        kubectl.cluster, "template", "rabbit", str(CHART), "-n", kubectl.namespace, *named,
        "--set", "fullnameOverride=rabbit", "--dry-run=server", "--is-upgrade", *arguments,
        "-s", f"templates/{server}.yaml",
    )  # fmt: skip
    kubectl("apply", "-f", "-", stdin=manifests)
    name = f"rabbit-{server}"
    kubectl("patch", "service", name, "-p", '{"spec":{"type":"NodePort"}}')
    kubectl("rollout", "status", f"statefulset/{name}", "--timeout=420s", seconds=440)


def node_address(cluster: Cluster) -> str:
    """Return the address of a node, at which every NodePort is served."""
    path = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    return run(cluster, [str(cluster.kubectl), "get", "nodes", "-o", path])


def outside(kubectl: Kubectl, name: str, secret: str, address: str) -> str:
    """Return the URL in a Secret with the host and port replaced by those of its NodePort."""

    def port() -> int:
        return int(kubectl.get("service", name)["spec"]["ports"][0]["nodePort"])

    url = base64.b64decode(kubectl.get("secret", secret)["data"]["url"]).decode()
    scheme, rest = url.split("://")
    user, host = rest.rsplit("@", 1)
    return f"{scheme}://{user}@{address}:{until(f'a port for {name}', port)}/{host.split('/', 1)[1]}"
