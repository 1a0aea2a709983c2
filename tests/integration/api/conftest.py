"""The API under test."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from tests.cluster.api import Cluster
from tests.support.api import Api, entries, running
from tests.support.chart import of_kind, render
from tests.support.keys import write
from tests.support.kubectl import Kubectl, run
from tests.support.servers import Servers

from harebell_archive.migrate import Phase, migrate
from harebell_archive.reader import admit_reader

_PASSWORD = "only-for-reading-0123456789"


@pytest.fixture(scope="module")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("keys"), *entries())


@pytest.fixture(scope="module")
def api(kubeconfig: Path, namespace: str, key_folder: Path) -> Iterator[Api]:
    """An API of the suite's namespace."""
    with running(kubeconfig, namespace, key_folder) as api:
        yield api


@pytest.fixture(scope="module")
def service_account(kubectl: Kubectl) -> str:
    """A ServiceAccount that may do what the chart lets the API's do, and nothing else."""
    resources = render(namespace=kubectl.namespace)
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    kubectl.apply(*(each for each in resources if each["kind"] in kinds))
    (account,) = of_kind(resources, "ServiceAccount")
    return account


@pytest.fixture(scope="module")
def chart_kubeconfig(
    cluster: Cluster, kubectl: Kubectl, service_account: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The way into the cluster with the rights of the chart."""
    token = kubectl("create", "token", service_account, "--duration=2h").strip()
    view = [str(cluster.kubectl), "config", "view", "--raw", "--minify", "--output=json"]
    config = json.loads(run(cluster, view))
    config["users"][0]["user"] = {"token": token}
    file = tmp_path_factory.mktemp("kubeconfig") / "kubeconfig"
    file.write_text(json.dumps(config))
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def chart_api(chart_kubeconfig: Path, namespace: str, key_folder: Path) -> Iterator[Api]:
    """An API of the suite's namespace, with the rights of the chart."""
    with running(chart_kubeconfig, namespace, key_folder) as api:
        yield api


@pytest.fixture(scope="module")
def archive_owner_url(servers: Servers) -> Iterator[str]:
    """The owner's URL of an archive that holds nothing."""
    name = f"it_{uuid4().hex[:12]}"
    url = f"{servers.postgresql_url.rsplit('/', 1)[0]}/{name}"
    asyncio.run(_make(servers.postgresql_url, name, url))
    yield url
    asyncio.run(_execute(servers.postgresql_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def archive_url(archive_owner_url: str) -> str:
    """The reader's URL of that archive."""
    return re.sub("//[^@]+@", f"//harebell_reader:{_PASSWORD}@", archive_owner_url)


async def _make(server: str, name: str, url: str) -> None:
    await _execute(server, f"CREATE DATABASE {name}")
    connection = await asyncpg.connect(url, timeout=20)
    try:
        await migrate(connection, [Phase.PRE])
        await admit_reader(connection, _PASSWORD)
    finally:
        await connection.close(timeout=5)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)
