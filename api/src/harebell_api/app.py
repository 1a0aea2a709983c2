"""Puts the application together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from . import handlers, openapi
from .archive import Archive
from .auth import AuthMiddleware, KeyRing
from .cache import Cache
from .events import EventStreams
from .feed.feed import Feed
from .feed.sources import Patience, Sources
from .kube import Kind, TaskStore
from .metrics import Metrics, MetricsMiddleware
from .middleware import AccessLogMiddleware, BodyLimitMiddleware
from .queues import Queues
from .records import AgentRecord, TaskRecord
from .routes import agents, probes, queues, replay, stream, tasks
from .sessions import Sessions
from .stream import WebSockets
from .tasks import Tasks, task_aliases

MAX_BODY_BYTES = 512 * 1024


def _task_cache() -> Cache[TaskRecord]:
    return Cache(task_aliases)


def _agent_cache() -> Cache[AgentRecord]:
    return Cache(lambda agent: (agent.uid,))


@dataclass(frozen=True)
class Dependencies:
    """What the application works with."""

    namespace: str
    store: TaskStore
    keys: KeyRing
    archive: Archive | None = None
    task_cache: Cache[TaskRecord] = field(default_factory=_task_cache)
    agent_cache: Cache[AgentRecord] = field(default_factory=_agent_cache)
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
    )
    service = Tasks(given.namespace, given.store, given.task_cache)
    caches: dict[Kind, Cache[TaskRecord] | Cache[AgentRecord]] = {
        Kind.TASKS: given.task_cache,
        Kind.AGENTS: given.agent_cache,
    }
    waiting = Queues(given.agent_cache.values)
    given.task_cache.follow(waiting.changed)
    app.include_router(tasks.task_routes(service, waiting, given.archive))
    app.include_router(queues.queue_routes(waiting))
    app.include_router(replay.replay_routes(service))
    app.include_router(agents.agent_routes(given.agent_cache))
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
    handlers.install(app)
    openapi.install(app)
    # The last one added comes first: measure, log, ask for a key, and only then look at the request.
    app.add_middleware(BodyLimitMiddleware, limit=MAX_BODY_BYTES)
    app.add_middleware(AuthMiddleware, keys=given.keys, public=probes.PATHS)
    app.add_middleware(AccessLogMiddleware, quiet=probes.PATHS)
    app.add_middleware(MetricsMiddleware, metrics=given.metrics)
    return app


def _freshness(cache: Cache[TaskRecord] | Cache[AgentRecord]) -> Callable[[], bool]:
    return lambda: cache.fresh


def _version() -> str:
    try:
        return version("harebell-api")
    except PackageNotFoundError:  # run from its sources, as in the image
        return "0.1.0"
