"""An installed release of the chart, as its users see it: kubectl, REST and WebSocket."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from tests.cluster.api import Cluster, Images
from websockets.asyncio.client import connect

from .kubectl import Kubectl, helm
from .servers import CHART, image_values
from .waiting import until

QUICK = (
    # Short intervals, so that the tests need not wait for three minutes.
    "--set", "operator.heartbeatSeconds=3", "--set", "operator.offlineSeconds=9",
    "--set", "agentDefaults.drainSeconds=2",
    "--set-json", 'agents.infra.commandAllow=[["uname"]]',
    # No Pods of the chart's: a user of the broker for the agents of AgentPools of this type.
    "--set", "agents.crew.replicas=0",
)  # fmt: skip
"""What the charts of earlier versions know too."""
# Tests read metrics through the API server, which is no Pod.
FAST = (*QUICK, "--set-json", "networkPolicy.metrics.from=[]")


@dataclass(frozen=True)
class Answer:
    """What the REST API answered; names of headers in lower case."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Release:
    """A release and how to reach it. ``host`` is the name the ingress routes by; empty: any."""

    name: str
    kubectl: Kubectl
    url: str
    host: str
    api_key: str

    def rest(
        self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> Answer:
        """Call the REST API through the ingress."""
        request = Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                **({"Host": self.host} if self.host else {}),
                "Authorization": f"Bearer {self.api_key if key is None else key}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        try:
            with urlopen(request, timeout=30) as response:
                return Answer(response.status, _parsed(response.read()), _lower(response.headers))
        except HTTPError as error:
            return Answer(error.code, _parsed(error.read()), _lower(error.headers))

    def socket(self, task_id: str, key: str | None = None) -> connect:
        """Return the WebSocket of a Task, through the ingress, to be entered with ``async with``."""
        return self.feed(key, task_id=task_id)

    def feed(self, key: str | None = None, **query: str) -> connect:
        """Return a WebSocket with these parameters, as :meth:`socket` does. Only the server pings."""
        address = urlsplit(self.url)
        return connect(
            f"ws://{self.host or address.netloc}/api/v1/ws?{urlencode(query)}",
            host=address.hostname,
            port=address.port,
            proxy=None,
            ping_interval=None,
            additional_headers={"Authorization": f"Bearer {self.api_key if key is None else key}"},
        )

    def events(self, **query: str) -> Request:
        """Return the request for an event stream, through the ingress."""
        headers = {**({"Host": self.host} if self.host else {}), "Authorization": f"Bearer {self.api_key}"}
        return Request(f"{self.url}/api/v1/events?{urlencode(query)}", headers=headers)

    def task(self, name: str) -> dict[str, Any]:
        """Return a Task."""
        return self.kubectl.get("task", name)

    def phase(self, name: str) -> str | None:
        """Return a Task's phase."""
        found: str | None = self.task(name).get("status", {}).get("phase")
        return found

    def finished(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until a Task is finished and return its status."""

        def status() -> dict[str, Any] | None:
            found: dict[str, Any] = self.task(name).get("status", {})
            return found if found.get("completedAt") else None

        return until(f"Task {name} to finish", status, seconds)

    def metric(self, pod: str, port: int, name: str) -> float:
        """Return one unlabelled metric of a Pod, read through the API server."""
        path = f"/api/v1/namespaces/{self.kubectl.namespace}/pods/{pod}:{port}/proxy/metrics"
        text = self.kubectl("get", "--raw", path)
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        if found is None:
            raise LookupError(f"{pod}:{port} has no metric {name}")
        return float(found.group(1))

    def pods(self, component: str) -> list[str]:
        """Return the names of the running Pods of a component."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        return [
            p["metadata"]["name"]
            for p in self.kubectl.items("pods", "-l", selector)
            if p["status"]["phase"] == "Running" and "deletionTimestamp" not in p["metadata"]
        ]


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def manifest(name: str, agent_type: str = "text", action: str = "echo", **spec: Any) -> dict[str, Any]:
    """Return a Task to apply."""
    return {
        "apiVersion": "harebell.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": {"agentType": agent_type, "action": action, **spec},
    }


def install(
    cluster: Cluster,
    images: Images,
    name: str,
    namespace: str,
    *arguments: str,
    host: str | None = None,
    chart: Path = CHART,
    minutes: int = 4,
) -> Release:
    """Install or upgrade the chart where ``restricted`` is enforced, and wait until it is ready.

    The ingress routes by a host name made from the namespace, or by ``host``; an empty one takes every host.
    ``chart`` is another one than this checkout's; it may take so many ``minutes``.
    """
    kubectl = Kubectl(cluster, namespace)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    )
    host = f"{namespace}.example.com" if host is None else host
    named = image_values(
        operator_image=images.control_plane,
        agentDefaults_image=images.agent,
        rabbitmq_embedded_image=images.rabbitmq,
        postgresql_embedded_image=images.postgresql,
    )
    # Helm installs CRDs but never upgrades them.
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(chart / "crds"))
    helm(
        cluster, "upgrade", "--install", name, str(chart), "-n", namespace,
        "--wait", "--timeout", f"{minutes}m",
        "--set", "api.ingress.enabled=true", "--set", f"api.ingress.host={host}",
        *named, *arguments, seconds=60 * minutes + 60,
    )  # fmt: skip
    return find(cluster, name, namespace)


def find(cluster: Cluster, name: str, namespace: str) -> Release:
    """Return a release that is installed."""
    kubectl = Kubectl(cluster, namespace)
    selector = f"app.kubernetes.io/instance={name}"
    ingress = kubectl.items("ingress", "-l", selector)[0]
    host = ingress["spec"]["rules"][0].get("host", "")
    return Release(name, kubectl, cluster.ingress_url, host, bootstrap_key(kubectl, selector))


def bootstrap_key(kubectl: Kubectl, selector: str) -> str:
    """Return the API key that the chart made. :raises LookupError: somebody deleted it, as they should."""
    for secret in kubectl.items("secrets", "-l", selector):
        if secret["metadata"]["name"].endswith("-api-bootstrap-key"):
            return base64.b64decode(secret["data"]["key"]).decode()
    raise LookupError("the first API key is gone; make another with: harebell keys create")


@contextmanager
def installed(
    cluster: Cluster,
    images: Images,
    name: str,
    namespace: str,
    *arguments: str,
    chart: Path = CHART,
    minutes: int = 4,
) -> Iterator[Release]:
    """Install a release as :func:`install` does; remove it and its namespace after the block."""
    kubectl = Kubectl(cluster, namespace)
    try:
        yield install(cluster, images, name, namespace, *arguments, chart=chart, minutes=minutes)
    finally:
        if kubectl("get", "namespace", namespace, "--ignore-not-found", "-o", "name"):
            helm(cluster, "uninstall", name, "-n", namespace, "--ignore-not-found")
            # Nodes of a broker that all stop at once wait for one another for as long as they may.
            kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false")
            kubectl("delete", "namespace", namespace, "--timeout=60s")
            cluster.reclaim()
