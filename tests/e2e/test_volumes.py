"""Volumes of a release that are to be larger: what an upgrade refuses, and the way that the runbook gives."""

import base64
from collections.abc import Callable, Iterator

import pytest
from tests.cluster.api import Cluster
from tests.support.kubectl import CommandFailed, helm
from tests.support.release import Release, manifest
from tests.support.servers import CHART

Upgrade = Callable[[str], str]


@pytest.fixture
def upgrade(cluster: Cluster, release: Release) -> Iterator[Upgrade]:
    """Upgrades the release to volumes of another size; afterwards they have the usual one again."""
    where = ("-n", release.kubectl.namespace, "--reuse-values", "--wait", "--timeout", "3m")
    size = "rabbitmq.embedded.persistence.size"

    def to(given: str) -> str:
        return helm(cluster, "upgrade", release.name, str(CHART), *where, "--set", f"{size}={given}")

    yield to
    forget(release)
    to("2Gi")


def forget(release: Release) -> None:
    release.kubectl("delete", "statefulset", f"{release.name}-harebell-rabbitmq", "--cascade=orphan")


def limits(release: Release) -> str:
    """What RabbitMQ would read at its next start."""
    secret = release.kubectl.get("secret", f"{release.name}-harebell-rabbitmq")
    return base64.b64decode(secret["data"]["definitions.json"]).decode()


@pytest.mark.timeout(400)
def test_another_size_is_refused_before_anything_changes_and_taken_on_the_way_of_the_runbook(
    release: Release, upgrade: Upgrade
) -> None:
    before = limits(release)
    with pytest.raises(CommandFailed, match="size is 3Gi, but StatefulSet hb-harebell-rabbitmq has 2Gi"):
        upgrade("3Gi")
    assert limits(release) == before
    forget(release)
    # More than the claim asked for, and than the volume has.
    with pytest.raises(CommandFailed, match="PersistentVolumeClaim data-hb-harebell-rabbitmq-0 has 2Gi"):
        upgrade("900Gi")
    assert limits(release) == before

    # As if the claim had been patched, which the local storage class does not allow: its volumes are larger
    # than was asked for.
    upgrade("3Gi")
    assert str(3 * 2**30 // 2) in limits(release)
    release.kubectl.apply(manifest("after-another-size"))
    assert release.finished("after-another-size")["phase"] == "Succeeded"
