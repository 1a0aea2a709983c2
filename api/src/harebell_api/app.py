"""Puts the application together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI

from . import handlers, limits, openapi
from .agents import Agents
from .announcements import Announcements
from .archive import Archive
from .audit import AuditMiddleware
from .auth import AuthMiddleware, Door, Vouching
from .batches import Batches
from .cache import Cache
from .events import EventStreams
from .feed.feed import Feed
from .feed.sources import Patience, Sources
from .keyring import KeyRing
from .kube import Kind, Store
from .metrics import Metrics, MetricsMiddleware
from .middleware import AccessLogMiddleware, BodyLimitMiddleware, HeadLimitMiddleware
from .past import Past
from .queues import Queues
from .records import AgentRecord, AnnouncementRecord, TaskRecord
from .routes import (
    agents,
    announcements,
    batch,
    history,
    probes,
    queues,
    replay,
    stream,
    suspension,
    tasks,
)
from .sessions import Sessions
from .stream import WebSockets
from .tasks import Tasks, task_aliases


def _task_cache() -> Cache[TaskRecord]:
    return Cache(task_aliases)


def _agent_cache() -> Cache[AgentRecord]:
    return Cache(lambda agent: (agent.uid,))


def _announcement_cache() -> Cache[AnnouncementRecord]:
    return Cache(lambda announcement: (announcement.uid,))


@dataclass(frozen=True)
class Dependencies:
    """What the application works with."""

    namespace: str
    store: Store
    keys: KeyRing | None
    """None: API keys are not taken."""
    archive: Archive | None = None
    past: Past | None = None
    vouching: Vouching | None = None
    task_cache: Cache[TaskRecord] = field(default_factory=_task_cache)
    agent_cache: Cache[AgentRecord] = field(default_factory=_agent_cache)
    announcement_cache: Cache[AnnouncementRecord] = field(default_factory=_announcement_cache)
    metrics: Metrics = field(default_factory=Metrics)
    sessions: Sessions = field(default_factory=Sessions)
    patience: Patience = field(default_factory=Patience)


def create_app(given: Dependencies) -> FastAPI:
    """Return the application. Whoever calls this keeps the caches current."""
    app = FastAPI(
        title="harebell",
        version=_version(),
        openapi_url=openapi.PATH,
        docs_url=None,  # the pages load their scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,  # what it redirects to is made of the Host that the client named
    )
    service = Tasks(given.namespace, given.store, given.task_cache)
    caches: dict[Kind, Cache[Any]] = {
        Kind.TASKS: given.task_cache,
        Kind.AGENTS: given.agent_cache,
        Kind.ANNOUNCEMENTS: given.announcement_cache,
    }
    waiting = Queues(given.agent_cache.values)
    given.task_cache.follow(waiting.changed)
    app.include_router(tasks.task_routes(service, waiting, given.archive))
    app.include_router(batch.batch_routes(Batches(service)))
    app.include_router(suspension.suspension_routes(service))
    app.include_router(queues.queue_routes(waiting, given.task_cache, given.agent_cache))
    app.include_router(replay.replay_routes(service))
    app.include_router(agents.agent_routes(Agents(given.store, given.agent_cache)))
    announced = Announcements(given.store, given.announcement_cache, given.agent_cache)
    app.include_router(announcements.announcement_routes(announced))
    app.include_router(history.history_routes(service, given.past))
    feed = Feed()
    given.task_cache.reflect_in(feed)
    sources = Sources(service, feed, given.archive, given.patience)
    sockets = WebSockets(sources, given.sessions, given.metrics)
    events = EventStreams(sources, given.sessions, given.metrics)
    app.include_router(stream.stream_routes(sockets, events, given.namespace))
    app.include_router(
        probes.probe_routes({k.value: _freshness(c) for k, c in caches.items()}, given.metrics)
    )
    for kind, cache in caches.items():
        given.metrics.observe_cache(kind, cache.__len__, _freshness(cache))
    if given.keys is not None:
        given.metrics.observe_keys(given.keys.usable, given.keys.fresh)
    handlers.install(app)
    openapi.install(app)
    # The last one added comes first: measure, log, ask who it is, and only then look at the request.
    app.add_middleware(BodyLimitMiddleware, limit=limits.body_limit)
    app.add_middleware(AuthMiddleware, door=Door(given.keys, given.vouching), public=probes.PATHS)
    app.add_middleware(HeadLimitMiddleware)
    app.add_middleware(AuditMiddleware)
    app.add_middleware(AccessLogMiddleware, quiet=probes.PATHS)
    app.add_middleware(MetricsMiddleware, metrics=given.metrics)
    return app


def _freshness(cache: Cache[Any]) -> Callable[[], bool]:
    return lambda: cache.fresh


def _version() -> str:
    try:
        return version("harebell-api")
    except PackageNotFoundError:  # run from its sources, as in the image
        return "0.1.0"
