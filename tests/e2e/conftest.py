"""The installed chart, as its users have it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import api
from tests.support.kubectl import Kubectl
from tests.support.release import FAST, Release, installed

ROOT = Path(__file__).parents[2]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
NAMESPACE = f"{os.environ.get('HAREBELL_E2E_NAMESPACE', 'harebell-e2e')}-{WORKER}"
"""Each worker has a release of its own, since tests take Pods of it away."""


@pytest.fixture(scope="session")
def cluster() -> api.Cluster:
    cluster = api.up()
    os.environ.update(cluster.env)
    return cluster


@pytest.fixture(scope="session")
def images(cluster: api.Cluster) -> api.Images:
    return cluster.images()


@pytest.fixture(scope="session")
def release(cluster: api.Cluster, images: api.Images) -> Iterator[Release]:
    with installed(cluster, images, "hb", NAMESPACE, *FAST) as release:
        yield release


@pytest.fixture
def kubectl(release: Release) -> Kubectl:
    return release.kubectl
