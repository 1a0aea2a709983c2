"""An upgrade from the version before, of a broker of three nodes, while there is work: nothing is lost."""

import base64
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from tests.cluster.api import Cluster, Images
from tests.support import previous
from tests.support.chart import CHART
from tests.support.kubectl import Kubectl
from tests.support.release import FAST, QUICK, Release, install, installed, manifest
from tests.support.tasks import all_in, statuses
from tests.support.waiting import until

NAMESPACE = "harebell-upgrade"
NODES = 3
MINUTES = 9
BROKER = ("--set", f"rabbitmq.embedded.replicas={NODES}", "--set", "rabbitmq.embedded.persistence.size=1Gi")
CHANGED = ("--set", "rabbitmq.embedded.policies.heartbeats.ttlSeconds=170")
"""RabbitMQ reads it when it starts, so every node restarts whatever else is new."""
LONG = 60
"""Seconds, longer than the agents may drain: it is handed back to the next version, and goes on there."""

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]


@dataclass
class Upgrade:
    """What was there before, and what was seen meanwhile."""

    release: Release
    secrets: dict[str, dict[str, str]]
    volumes: dict[str, str]
    archived: int
    agents: set[str]
    """Those of the version before."""
    before: list[str]
    during: list[str] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    """How many nodes of the broker were ready, at each look."""


def secrets(kubectl: Kubectl) -> dict[str, dict[str, str]]:
    """What is secret, by the Secret's name; a new chart renews nothing of it."""
    kept = ("password", "erlang-cookie", "ca.key", "tls.key", "key")
    return {
        secret["metadata"]["name"]: {
            key: base64.b64decode(value).decode()
            for key, value in secret["data"].items()
            # Of the API's keys, each has an entry.
            if key in kept or secret["metadata"]["name"].endswith("-api-keys")
        }
        for secret in kubectl.items("secrets", "-l", "app.kubernetes.io/instance=hb")
    }


def volumes(kubectl: Kubectl) -> dict[str, str]:
    return {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in kubectl.items("pvc")}


def archived(release: Release) -> int:
    (database,) = release.pods("postgresql")
    count = ("psql", "-U", "harebell", "-AtXc", "SELECT count(*) FROM harebell.messages")
    return int(release.kubectl("exec", database, "--", *count))


def work(release: Release) -> list[str]:
    """Have Tasks that are done, that run, that wait in the queue, and that wait for others."""
    kubectl = release.kubectl
    done = [manifest(f"done-{n}", payload={"n": n}) for n in range(5)]
    kubectl.apply(*done)
    names = [task["metadata"]["name"] for task in done]
    until("the first Tasks to be done", lambda: all_in("Succeeded", kubectl, names), 60)
    running = [manifest(f"running-{n}", action="sleep", payload={"seconds": LONG}) for n in range(2)]
    kubectl.apply(*running)
    until("Tasks to run", lambda: all_in("Running", kubectl, ["running-0", "running-1"]), 60)
    waiting = [manifest(f"waiting-{n}", payload={"n": n}) for n in range(20)]
    chained = [manifest("chained", dependsOn=[{"name": "running-0"}])]
    suspended = [manifest("suspended", suspend=True)]
    kubectl.apply(*waiting, *chained, *suspended)
    return [*names, *(task["metadata"]["name"] for task in [*running, *waiting, *chained, *suspended])]


def go_on(upgrade: Upgrade, upgrading: "Future[Release]") -> None:
    """Ask for one more Task after the other until the upgrade is over, and look at the broker."""
    kubectl = upgrade.release.kubectl

    def over() -> bool:
        name = f"during-{len(upgrade.during)}"
        kubectl.apply(manifest(name, payload={"name": name}))
        upgrade.during.append(name)
        status = kubectl.get("statefulset", "hb-harebell-rabbitmq")["status"]
        upgrade.ready.append(status.get("readyReplicas", 0))
        return upgrading.done()

    until("the upgrade to be over", over, 60 * MINUTES + 120, interval=1)


@pytest.fixture(scope="module")
def upgrade(cluster: Cluster, images: Images) -> Iterator[Upgrade]:
    """A release of the version before, upgraded as the chart's README says."""
    arguments = (*BROKER, "--set", "agents.infra=null")
    with previous.checkout() as root:
        old = cluster.images(root)
        chart = root / "charts" / "harebell"
        try:
            with installed(
                cluster, old, "hb", NAMESPACE, *QUICK, *arguments, chart=chart, minutes=MINUTES
            ) as release:
                names = work(release)
                until("the archive to have begun", lambda: archived(release) > 0, 60)
                seen = Upgrade(
                    release,
                    secrets(release.kubectl),
                    volumes(release.kubectl),
                    archived(release),
                    set(release.pods("agent-text")),
                    names,
                )
                with ThreadPoolExecutor(1) as beside:
                    upgrading = beside.submit(
                        install,
                        cluster,
                        images,
                        "hb",
                        NAMESPACE,
                        *FAST,
                        *arguments,
                        *CHANGED,
                        minutes=MINUTES,
                    )
                    go_on(seen, upgrading)
                    seen.release = upgrading.result()
                yield seen
        finally:
            # Definitions are the whole cluster's: those of this version, whatever became of the test.
            Kubectl(cluster, NAMESPACE)(
                "apply", "--server-side", "--force-conflicts", "-f", str(CHART / "crds")
            )


def test_no_task_is_lost_and_none_fails(upgrade: Upgrade) -> None:
    kubectl = upgrade.release.kubectl
    kubectl("patch", "task", "suspended", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    names = [*upgrade.before, *upgrade.during]

    def done() -> dict[str, dict[str, Any]]:
        found = statuses(kubectl)
        left = {name: found.get(name, {}).get("phase") for name in names}
        left = {name: phase for name, phase in left.items() if phase != "Succeeded"}
        assert not left, left
        return found

    found = until("every Task to succeed", done, 300, interval=1)
    print(f"{len(upgrade.before)} Tasks from before the upgrade and {len(upgrade.during)} from meanwhile")
    # Agents of the version before try for no more than 8 s to have what they hand back confirmed; nodes of
    # the broker that restart may hold that up: what one of them could not hand back is lost, and done again.
    ended = [(name, attempt) for name in names for attempt in found[name]["attempts"]]
    usual = ("Succeeded", "Interrupted")
    lost = [(name, attempt) for name, attempt in ended if attempt["outcome"] not in usual]
    print(f"lost by agents of the version before: {lost}")
    assert {(a["outcome"], a.get("agentName") in upgrade.agents) for _, a in lost} <= {("Lost", True)}, lost
    assert {found[name]["result"]["name"] for name in upgrade.during} == set(upgrade.during)


def test_passwords_keys_and_certificates_stay(upgrade: Upgrade) -> None:
    after = secrets(upgrade.release.kubectl)
    assert {name: after.get(name) for name in upgrade.secrets} == upgrade.secrets


def test_volumes_stay_and_so_does_the_archive(upgrade: Upgrade) -> None:
    after = volumes(upgrade.release.kubectl)
    assert upgrade.volumes.items() <= after.items()
    assert archived(upgrade.release) >= upgrade.archived

    def complete() -> bool:
        conditions = upgrade.release.kubectl.get("bus", "harebell")["status"]["conditions"]
        found = {condition["type"]: condition["status"] for condition in conditions}
        return found == {"BrokerReachable": "True", "ArchiveCurrent": "True", "ArchiveComplete": "True"}

    until("the archive to be complete", complete, 120, interval=1)


def test_the_broker_keeps_its_majority_while_its_nodes_restart(upgrade: Upgrade) -> None:
    assert min(upgrade.ready) == NODES - 1, "no node was seen to restart, or more than one at once"
    pods = upgrade.release.pods("rabbitmq")
    assert len(pods) == NODES
    for pod in pods:
        listed = ("rabbitmqctl", "-q", "await_online_nodes", str(NODES), "-t", "60")
        upgrade.release.kubectl("exec", pod, "--", *listed)


def test_definitions_and_pods_are_of_the_new_version(upgrade: Upgrade, images: Images) -> None:
    kubectl = upgrade.release.kubectl
    for file in (CHART / "crds").glob("*.yaml"):
        wanted = yaml.safe_load(file.read_text())
        found = kubectl.get("crd", wanted["metadata"]["name"])
        properties = [
            each["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] for each in (found, wanted)
        ]
        assert properties[0]["spec"] == properties[1]["spec"], file.name
    used = {
        container["image"]
        for component in ("operator", "archiver", "agent-text")
        for name in upgrade.release.pods(component)
        for container in kubectl.get("pod", name)["spec"]["containers"]
    }
    assert used == {images.control_plane, images.agent}
