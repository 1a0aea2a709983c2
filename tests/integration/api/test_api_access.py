"""Who is let in, by the real API server: keys made with the command line, and tokens of ServiceAccounts.

The API runs with the rights that the chart grants it, and no others.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.cluster.api import Cluster
from tests.support.api import Api, running
from tests.support.kubectl import Kubectl, account_kubeconfig, helm
from tests.support.release import manifest
from tests.support.servers import CHART
from tests.support.waiting import eventually, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harebell_crds.keys import Scope, new_key

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

RELEASE = "harebell"
SECRET = f"{RELEASE}-api-keys"
SOON = 10
"""Seconds in which whatever is taken back has to be without effect."""
TOKEN_CACHE_SECONDS = 10
"""For which the API server itself takes a token whose account is gone (its ``TokenSuccessCacheTTL``)."""
BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}


@dataclass(frozen=True)
class Site:
    """A namespace as the chart leaves it, with an API whose account has the chart's rights."""

    kubectl: Kubectl
    kubeconfig: Path
    api_kubeconfig: Path
    api: Api

    def keys(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Call the command line as a person would who administers the namespace."""
        return keys(self.kubeconfig, self.kubectl.namespace, *arguments)

    def key(self, name: str, *arguments: str) -> str:
        """Make a key that the API knows already."""
        made = self.keys("create", "--name", name, *arguments).stdout.strip()
        until(f"key of {name} to be known", lambda: self.ask(made).status_code != 401, SOON)
        return made

    def ask(
        self, shown: str, method: str = "GET", path: str = "/api/v1/tasks", body: Any = None
    ) -> httpx2.Response:
        """Send a request with a key or token."""
        return self.api.http.request(method, path, json=body, headers=bearer(shown))

    def socket(self, shown: str, task: str) -> connect:
        """Return the WebSocket of a Task, to be entered."""
        return connect(f"{self.api.ws}/{task}", additional_headers=bearer(shown), proxy=None)


def bearer(shown: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shown}"}


def keys(kubeconfig: Path, namespace: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "harebell_cli", "keys", arguments[0], "-n", namespace, *arguments[1:]],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def site(
    cluster: Cluster,
    kubeconfig: Path,
    namespace: str,
    kubectl: Kubectl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    rights = helm(
        cluster, "template", RELEASE, str(CHART), "-n", namespace, "-s", "templates/rbac.yaml",
        "--set", "api.kubernetesTokens.enabled=true",
    )  # fmt: skip
    kubectl("apply", "-f", "-", stdin=rights)
    kubectl("create", "secret", "generic", SECRET)
    try:
        keys(kubeconfig, namespace, "create", "--name", "first", "--scope", "admin")
        own = account_kubeconfig(kubectl, RELEASE, tmp_path_factory.mktemp("account"))
        more = {"HAREBELL_API_KEY_SECRET": SECRET, "HAREBELL_KUBERNETES_TOKENS": "true"}
        with running(own, namespace, None, **more) as api:
            yield Site(kubectl, kubeconfig, own, api)
    finally:
        # The one thing that does not go with the namespace.
        kubectl(
            "delete", "clusterrolebinding", f"harebell-tokens.{namespace}.{RELEASE}", "--ignore-not-found"
        )


def task(site: Site, name: str, agent_type: str = "text") -> str:
    site.kubectl.apply(manifest(name, agent_type))
    return name


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Read until the WebSocket is closed, and return how."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass
    return socket.close_code, socket.close_reason


async def in_time(
    socket: ClientConnection, begun: float, seconds: float = SOON
) -> tuple[int | None, str | None]:
    async with asyncio.timeout(seconds):
        how = await closed(socket)
    print(f"the WebSocket was closed after {time.monotonic() - begun:.1f} s")
    return how


async def test_a_key_from_its_making_to_its_revocation(site: Site) -> None:
    made = await asyncio.to_thread(site.key, "ci", "--scope", "read", "--scope", "dispatch")
    answer = await asyncio.to_thread(site.ask, made, "POST", "/api/v1/dispatch", BASE)
    assert answer.status_code == 202
    name = answer.json()["name"]
    stored = await asyncio.to_thread(site.kubectl.get, "task", name)
    assert stored["metadata"]["annotations"]["harebell.dev/dispatched-by"] == "ci"
    listed = json.loads((await asyncio.to_thread(site.keys, "list", "-o", "json")).stdout)
    (shown,) = (each for each in listed if each["name"] == "ci")
    assert (shown["scopes"], shown["state"]) == (["dispatch", "read"], "Active")

    async with site.socket(made, name) as socket:
        assert json.loads(await socket.recv())["type"] == "snapshot"
        await asyncio.to_thread(site.keys, "revoke", "ci")
        begun = time.monotonic()

        async def refused() -> bool:
            return (await asyncio.to_thread(site.ask, made)).status_code == 401

        ending = asyncio.ensure_future(in_time(socket, begun))
        await eventually("the revoked key to be refused", refused, SOON)
        print(f"the key was refused after {time.monotonic() - begun:.1f} s")
        assert await ending == (4401, f"API key {shown['id']} was revoked")
    with pytest.raises(InvalidStatus) as handshake:
        await site.socket(made, name)
    assert handshake.value.response.status_code == 401


async def test_a_key_that_expires(site: Site) -> None:
    await asyncio.to_thread(task, site, "expiring")
    key, record = new_key(
        "brief", [Scope.READ], datetime.now(UTC), expires_at=datetime.now(UTC) + timedelta(seconds=8)
    )
    patch = json.dumps({"stringData": {record.id: record.to_entry()}})
    await asyncio.to_thread(site.kubectl, "patch", "secret", SECRET, "--type=merge", "-p", patch)

    async def known() -> bool:
        return (await asyncio.to_thread(site.ask, key)).status_code == 200

    await eventually("the key to be known", known, SOON)
    async with site.socket(key, "expiring") as socket:
        async with asyncio.timeout(SOON + 8):
            assert await closed(socket) == (4401, f"API key {record.id} has expired")
    refused = await asyncio.to_thread(site.ask, key)
    assert (refused.status_code, refused.json()["detail"]) == (401, f"API key {record.id} has expired")


async def test_a_key_whose_entry_is_deleted(site: Site) -> None:
    made = await asyncio.to_thread(site.key, "deleted", "--scope", "read")
    await asyncio.to_thread(task, site, "watched")
    key_id = made.split("_")[1]
    async with site.socket(made, "watched") as socket:
        await socket.recv()
        gone = json.dumps([{"op": "remove", "path": f"/data/{key_id}"}])
        await asyncio.to_thread(site.kubectl, "patch", "secret", SECRET, "--type=json", "-p", gone)
        assert await in_time(socket, time.monotonic()) == (4401, f"API key {key_id} was removed")


async def test_an_event_stream_ends_with_its_key(site: Site) -> None:
    made = await asyncio.to_thread(site.key, "listener", "--scope", "read")
    async with (
        httpx2.AsyncClient(headers=bearer(made), timeout=30, trust_env=False) as client,
        client.stream("GET", f"{site.api.http.base_url}/api/v1/events") as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if line == "event: synced":
                break
        await asyncio.to_thread(site.keys, "revoke", "listener")
        async with asyncio.timeout(SOON):
            rest = [line async for line in lines]
    assert "event: end" not in rest
    assert (await asyncio.to_thread(site.ask, made, "GET", "/api/v1/events")).status_code == 401


def test_scopes_and_limits(site: Site) -> None:
    task(site, "ours")
    task(site, "theirs", "infra")
    reader = site.key("reader", "--scope", "read", "--agent-type", "text")
    until(
        "both Tasks to be seen", lambda: site.ask(reader, path="/api/v1/status/ours").status_code == 200, SOON
    )
    assert site.ask(reader, "POST", "/api/v1/dispatch", BASE).status_code == 403
    assert site.ask(reader, "POST", "/api/v1/cancel/ours").status_code == 403
    assert site.ask(reader, path="/api/v1/status/theirs").status_code == 404
    assert "theirs" not in {item["name"] for item in site.ask(reader).json()["items"]}

    bot = site.key("bot", "--scope", "dispatch", "--agent-type", "text")
    assert site.ask(bot).status_code == 403
    refused = site.ask(bot, "POST", "/api/v1/dispatch", {**BASE, "agentType": "infra"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (403, "/agentType")
    assert site.ask(bot, "POST", "/api/v1/dispatch", BASE).status_code == 202

    elsewhere = site.key("elsewhere", "--scope", "admin", "--namespace-limit", "some-other-namespace")
    refused = site.ask(elsewhere)
    assert refused.status_code == 403
    assert site.kubectl.namespace in refused.json()["detail"]


def test_several_keys_of_one_name_overlap(site: Site) -> None:
    old, new = (site.key("web", "--scope", "read") for _ in range(2))
    site.keys("revoke", old.split("_")[1])
    until("the old key to be refused", lambda: site.ask(old).status_code == 401, SOON)
    assert site.ask(new).status_code == 200


def test_the_secret_holds_no_key(site: Site) -> None:
    made = site.key("hidden", "--scope", "read")
    stored = site.kubectl.get("secret", SECRET)["data"]
    assert made.split("_")[1] in stored
    assert made.split("_")[2] not in json.dumps(stored)


def test_it_does_not_start_where_nobody_could_be_let_in(site: Site) -> None:
    site.kubectl("create", "secret", "generic", "empty")
    for kubeconfig, said in (
        (site.kubeconfig, "harebell keys create"),
        (site.api_kubeconfig, "may not read Secret empty"),  # the chart's Role names another
    ):
        done = subprocess.run(
            [sys.executable, "-m", "harebell_api"],
            env={
                **os.environ,
                "KUBECONFIG": str(kubeconfig),
                "HAREBELL_NAMESPACE": site.kubectl.namespace,
                "HAREBELL_API_KEY_SECRET": "empty",
                "HAREBELL_PORT": "0",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert said in done.stdout


RIGHTS = {
    "reader": [(kind, "get,list") for kind in ("tasks", "agents", "announcements")],
    "dispatcher": [("tasks", "create")],
}


def account(site: Site, name: str, *rights: tuple[str, str]) -> None:
    """Make a ServiceAccount with a Role of its own."""
    site.kubectl("create", "serviceaccount", name)
    for number, (resource, verbs) in enumerate(rights):
        role = f"{name}-{number}"
        site.kubectl("create", "role", role, f"--verb={verbs}", f"--resource={resource}.harebell.dev")
        subject = f"{site.kubectl.namespace}:{name}"
        site.kubectl("create", "rolebinding", role, f"--role={role}", f"--serviceaccount={subject}")


def token(site: Site, name: str, audience: str = "harebell") -> str:
    return site.kubectl("create", "token", name, f"--audience={audience}").strip()


def test_a_service_account_may_what_kubernetes_lets_it(site: Site) -> None:
    account(site, "nobody")
    for name, rights in RIGHTS.items():
        account(site, name, *rights)
    shown = {name: token(site, name) for name in ("nobody", *RIGHTS)}
    reading = {name: site.ask(each).status_code for name, each in shown.items()}
    assert reading == {"nobody": 403, "reader": 200, "dispatcher": 403}
    making = {
        name: site.ask(each, "POST", "/api/v1/dispatch", BASE).status_code for name, each in shown.items()
    }
    assert making == {"nobody": 403, "reader": 403, "dispatcher": 202}
    made = site.ask(shown["dispatcher"], "POST", "/api/v1/dispatch", BASE).json()["name"]
    by = site.kubectl.get("task", made)["metadata"]["annotations"]["harebell.dev/dispatched-by"]
    assert by == f"system:serviceaccount:{site.kubectl.namespace}:dispatcher"
    assert site.ask(token(site, "reader", "https://kubernetes.default.svc")).status_code == 401
    assert site.ask("aaaa.bbbb.cccc").status_code == 401


async def test_rights_and_accounts_that_are_taken_away(site: Site) -> None:
    await asyncio.to_thread(account, site, "leaver", *RIGHTS["reader"], *RIGHTS["dispatcher"])
    await asyncio.to_thread(task, site, "left")
    shown = await asyncio.to_thread(token, site, "leaver")

    async def status() -> int:
        return (await asyncio.to_thread(site.ask, shown, "GET", "/api/v1/status/left")).status_code

    assert await status() == 200
    who = f"system:serviceaccount:{site.kubectl.namespace}:leaver"
    async with site.socket(shown, "left") as socket:
        await socket.recv()
        await asyncio.to_thread(site.kubectl, "delete", "rolebinding", "leaver-3")
        assert await in_time(socket, time.monotonic()) == (4401, f"what {who} may do was changed")
    async with site.socket(shown, "left") as socket:
        await socket.recv()
        await asyncio.to_thread(site.kubectl, "delete", "serviceaccount", "leaver")
        how = await in_time(socket, time.monotonic(), SOON + TOKEN_CACHE_SECONDS)
        assert how == (4401, "the token is not good any more")
    assert await status() == 401
