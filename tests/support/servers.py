"""RabbitMQ and PostgreSQL of the chart, without the rest of it, reachable from the tests' machine."""

import base64
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Cluster
from tests.cluster.images import servers

from .kubectl import Kubectl, helm, run
from .waiting import until

CHART = Path(__file__).parents[2] / "charts" / "harebell"


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
class Servers:
    """Where they listen, as URLs that work from this machine."""

    kubectl: Kubectl
    amqp_url: str
    postgresql_url: str

    def vhost(self, name: str) -> str:
        """Make an empty virtual host and return its URL, so that suites do not see each other's queues."""
        control = ("exec", "rabbit-rabbitmq-0", "--", "rabbitmqctl", "-q")
        self.kubectl(*control, "add_vhost", name)
        self.kubectl(*control, "set_permissions", "-p", name, "harebell", ".*", ".*", ".*")
        return f"{self.amqp_url.rsplit('/', 1)[0]}/{name}"


def deploy(cluster: Cluster, namespace: str) -> Servers:
    """Deploy both servers into a namespace, or find them there, and wait until they answer."""
    kubectl = Kubectl(cluster, namespace)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    if not kubectl.items("statefulset"):
        images = servers(cluster.way)
        named = image_values(
            rabbitmq_embedded_image=images["RABBITMQ_IMAGE"],
            postgresql_embedded_image=images["POSTGRESQL_IMAGE"],
        )
        manifests = helm(
            cluster, "template", "rabbit", str(CHART), "-n", namespace, *named,
            "--set", "fullnameOverride=rabbit",
            "-s", "templates/rabbitmq.yaml", "-s", "templates/postgresql.yaml",
        )  # fmt: skip
        kubectl("apply", "-f", "-", stdin=manifests)
    for name in ("rabbit-rabbitmq", "rabbit-postgresql"):
        kubectl("patch", "service", name, "-p", '{"spec":{"type":"NodePort"}}')
        kubectl("rollout", "status", f"statefulset/{name}", "--timeout=180s", seconds=200)
    address = run(
        cluster,
        [
            str(cluster.kubectl),
            "get",
            "nodes",
            "-o",
            "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}",
        ],
    )
    return Servers(
        kubectl,
        amqp_url=_outside(kubectl, "rabbit-rabbitmq", address),
        postgresql_url=_outside(kubectl, "rabbit-postgresql", address),
    )


def _outside(kubectl: Kubectl, name: str, address: str) -> str:
    """Return the URL in the server's Secret with the host and port replaced by those of its NodePort."""

    def port() -> int:
        return int(kubectl.get("service", name)["spec"]["ports"][0]["nodePort"])

    url = base64.b64decode(kubectl.get("secret", name)["data"]["url"]).decode()
    scheme, rest = url.split("://")
    user, host = rest.rsplit("@", 1)
    return f"{scheme}://{user}@{address}:{until(f'a port for {name}', port)}/{host.split('/', 1)[1]}"
