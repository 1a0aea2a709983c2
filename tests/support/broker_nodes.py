"""The nodes of the tests' RabbitMQ: which leads a queue, and ways for one to be lost."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .kubectl import Kubectl
from .servers import NODES
from .waiting import until

STATEFUL_SET = "rabbit-rabbitmq"
WHOLE_SECONDS = 420.0

# The first process of the container waits for Erlang and ends with it; a kill -9 of itself it would not feel.
_KILL = """
for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = beam.smp ] && pid=${p#/proc/}; done
[ -n "$pid" ] && echo armed && read -r _ && kill -9 "$pid"
"""


@dataclass(frozen=True)
class PlacedQueue:
    """A queue and the nodes that have it, by the names of their Pods."""

    type: str
    leader: str
    members: frozenset[str]


@dataclass(frozen=True)
class BrokerNodes:
    """The Pods of the StatefulSet."""

    kubectl: Kubectl

    @property
    def names(self) -> list[str]:
        """The names of all nodes' Pods."""
        return [f"{STATEFUL_SET}-{n}" for n in range(NODES)]

    def queues(self, vhost: str) -> dict[str, PlacedQueue]:
        """Return where every queue is, by its name."""
        columns = ("name", "type", "leader", "members")
        found = json.loads(self.ctl("list_queues", "-p", vhost, *columns, "--formatter", "json"))
        return {
            q["name"]: PlacedQueue(q["type"], _pod(q["leader"]), frozenset(map(_pod, q["members"] or [])))
            for q in found
        }

    def ctl(self, *command: str) -> str:
        """Run rabbitmqctl on the first node that is up."""
        up = next(n for n in self.names if n in self.ready())
        return self.kubectl("exec", up, "--", "rabbitmqctl", "-q", *command)

    def ready(self) -> set[str]:
        """Return the names of the Pods that are ready."""
        pods = self.kubectl.items("pods", "-l", "app.kubernetes.io/component=rabbitmq")
        return {
            p["metadata"]["name"]
            for p in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))
        }

    @contextmanager
    def armed(self, pod: str) -> Iterator["Armed"]:
        """Make ready to kill a node, so that it takes no time when it is to happen."""
        with self.kubectl.start("exec", "-i", pod, "--", "sh", "-c", _KILL) as process:
            assert process.stdin
            assert process.stdout
            assert process.stdout.readline() == "armed\n", f"{pod} runs no Erlang"
            yield Armed(self, pod, process)

    def kill(self, pod: str) -> None:
        """``kill -9`` a node; its Pod stays and starts it again."""
        with self.armed(pod) as armed:
            armed.fire()

    def scale(self, replicas: int) -> None:
        """Have only the first nodes run; the others stay away until they are scaled up again."""
        self.kubectl("scale", f"statefulset/{STATEFUL_SET}", f"--replicas={replicas}")
        left = set(self.names[:replicas])
        until(f"{replicas} nodes", lambda: self._pods() == left and self.ready() == left, WHOLE_SECONDS, 1)

    def whole(self) -> None:
        """Wait until every node is ready."""
        until("all nodes to be ready", lambda: self.ready() == set(self.names), WHOLE_SECONDS, 1)

    def restarts(self, pod: str) -> int:
        """Return how often the Pod's container was started again."""
        return int(self.kubectl.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"])

    def _pods(self) -> set[str]:
        pods = self.kubectl.items("pods", "-l", "app.kubernetes.io/component=rabbitmq")
        return {p["metadata"]["name"] for p in pods}


@dataclass(frozen=True)
class Armed:
    """See :meth:`BrokerNodes.armed`."""

    nodes: BrokerNodes
    pod: str
    process: "subprocess.Popen[str]"

    def fire(self) -> None:
        """Kill the node, and wait until Kubernetes has seen that it is dead."""
        before = self.nodes.restarts(self.pod)
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        until(
            f"{self.pod} to be killed",
            lambda: self.pod not in self.nodes.ready() or self.nodes.restarts(self.pod) > before,
        )


def _pod(node: str) -> str:
    """The Pod's name in ``rabbit@POD.SERVICE...``."""
    return node.split("@")[1].split(".")[0]
