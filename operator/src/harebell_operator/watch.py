"""Kopf watches; everything it sees goes straight to the reconcilers.

Only ``on.event`` handlers: they leave no finalizer, no annotation and no progress record on any object.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import kopf

from harebell_crds import GROUP, VERSION

from .agents import AgentReconciler
from .announcements import AnnouncementReconciler
from .apiserver import PAGE
from .decide.pod import TYPE_LABEL
from .pools import PoolReconciler
from .tasks import TaskReconciler
from .watchdog import Watchdog


def registry(
    tasks: TaskReconciler,
    agents: AgentReconciler,
    announcements: AnnouncementReconciler,
    pools: PoolReconciler,
    watchdog: Watchdog,
) -> kopf.OperatorRegistry:
    """Return the handlers, bound to the reconcilers."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> Any:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            return kopf.login_with_service_account(**kwargs)
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, "tasks", registry=handlers)
    async def task(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        watchdog.seen("tasks", body)
        if event["type"] == "DELETED":
            tasks.removed(body)
        else:
            tasks.observed(body)

    @kopf.on.event(GROUP, VERSION, "agents", registry=handlers)
    async def agent(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        watchdog.seen("agents", body)
        if event["type"] == "DELETED":
            agents.deleted(body["metadata"]["name"])
        else:
            agents.observed(body)

    @kopf.on.event(GROUP, VERSION, "announcements", registry=handlers)
    async def announcement(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        watchdog.seen("announcements", body)
        if event["type"] == "DELETED":
            announcements.deleted(body["metadata"]["uid"])
        else:
            announcements.observed(body)

    @kopf.on.event(GROUP, VERSION, "agentpools", registry=handlers)
    async def pool(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        watchdog.seen("agentpools", body)
        if event["type"] == "DELETED":
            pools.deleted(body["metadata"]["uid"])
        else:
            pools.observed(body)

    @kopf.on.event("", "v1", "pods", labels={TYPE_LABEL: kopf.PRESENT}, registry=handlers)
    async def pod(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        watchdog.seen("pods", body)
        ended = (body.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if event["type"] == "DELETED" or ended:
            agents.pod_gone(body["metadata"]["uid"], body["metadata"]["name"])
        if event["type"] == "DELETED":
            pools.pod_deleted(body["metadata"]["uid"])
        else:
            pools.pod_observed(body)

    return handlers


class Backoffs(Iterable[float]):
    """Seconds between tries, without an end: Kopf gives up, and the operator with it, where they end.

    The longest is how late a Task may be noticed after the API server came back, so it is short.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((0.5, 1.0, 2.0), repeat(5.0))


class NothingKept(kopf.DiffBaseStorage):
    """Keeps Kopf from copying every object it sees, to find changes for handlers that there are none of."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return no essence of an object."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """Remember none."""

    def store(self, **_: Any) -> None:
        """Store none."""


def settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: narrow permissions, watches that cannot hang for ever, no Events of its own."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.watching.chunk_size = PAGE
    chosen.watching.server_timeout = 240
    chosen.watching.client_timeout = 300
    chosen.watching.connect_timeout = 10
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = Backoffs()
    # A worker holds its place until it was idle this long; with Kopf's 5 s, a burst of Tasks would wait for
    # the workers of the Tasks before it.
    chosen.queueing.idle_timeout = 0.1
    chosen.queueing.worker_limit = 500
    chosen.persistence.diffbase_storage = NothingKept()
    return chosen
