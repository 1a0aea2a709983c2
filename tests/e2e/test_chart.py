"""Life of a release: beside another one, upgraded, removed."""

import json
import time
from typing import Any

import pytest
from tests.cluster import api
from tests.support.kubectl import helm
from tests.support.release import FAST, Release, install, installed, manifest

from harebell_bus.history import HISTORY_STREAM
from harebell_bus.topology import DAY_MS, DEAD_LETTERS_QUEUE


def effective_policies(release: Release) -> dict[str, dict[str, Any]]:
    """What RabbitMQ holds each queue to by policy, by the queue's name."""
    columns = ("name", "effective_policy_definition", "--formatter", "json")
    command = ("rabbitmqctl", "-q", "list_queues", "-p", "harebell", *columns)
    listed = release.kubectl("exec", "hb-harebell-rabbitmq-0", "--", *command)
    return {queue["name"]: queue["effective_policy_definition"] for queue in json.loads(listed)}


@pytest.mark.timeout(400)
def test_two_releases_upgrade_and_uninstall(
    cluster: api.Cluster, images: api.Images, release: Release
) -> None:
    small = (
        *FAST, "--set", "agents.infra=null", "--set", "agentDefaults.replicas=1",
        "--set", "operator.replicas=2",
        # Its Pods show certificates to the broker, those of an agent type that comes later too.
        "--set", "rabbitmq.embedded.tls.requireClientCertificate=true",
    )  # fmt: skip
    namespace = f"{release.kubectl.namespace}-second"
    with installed(cluster, images, "hb", namespace, *small) as second:
        # Each does its own Tasks, and its agents take none of the other's.
        for each in (release, second):
            each.kubectl.apply(manifest("mine", payload={"of": each.kubectl.namespace}))
        for each in (release, second):
            status = each.finished("mine")
            assert status["result"] == {"of": each.kubectl.namespace}
            assert status["agentName"] in each.pods("agent-text")

        lease = second.kubectl.get("lease", "hb-harebell-operator")
        assert lease["spec"]["holderIdentity"] in second.pods("operator")

        # Another agent type is another user of the broker, which must start again to know it.
        more = ("--set", "logLevel=debug", "--set", "agents.later.type=later")
        # With the same restart the limits of queues that are there change.
        policies = "rabbitmq.embedded.policies"
        limits = (
            "--set",
            f"{policies}.history.maxAge=3D",
            "--set",
            f"{policies}.deadLetters.retentionDays=30",
        )
        upgraded = install(cluster, images, "hb", namespace, *small, *more, *limits)
        assert upgraded.api_key == second.api_key
        upgraded.kubectl.apply(manifest("after-upgrade"), manifest("of-the-new-type", "later"))
        for name in ("after-upgrade", "of-the-new-type"):
            assert upgraded.finished(name, 90)["phase"] == "Succeeded"
        effective = effective_policies(upgraded)
        assert effective[HISTORY_STREAM]["max-age"] == "3D"
        assert effective[DEAD_LETTERS_QUEUE] == {"message-ttl": 30 * DAY_MS}

        begun = time.monotonic()
        helm(cluster, "uninstall", "hb", "-n", namespace)
        second.kubectl("delete", "namespace", namespace, "--timeout=60s")
        took = time.monotonic() - begun
        print(f"uninstall and namespace deletion took {took:.0f} s")
        assert took < 60
    release.kubectl.apply(manifest("still-here"))
    assert release.finished("still-here")["phase"] == "Succeeded"
