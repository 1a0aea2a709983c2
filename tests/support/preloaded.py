"""The libraries that components are made of, imported; nothing of a component's, whose metrics would meet."""

import gc
from importlib import import_module

from harebell_crds.lean import without_synchronous_client

LIBRARIES = (
    "aio_pika",
    "aiohttp.web",
    "asyncpg",
    "fastapi",
    "kopf",
    "kubernetes.aio.client",
    "kubernetes.aio.config",
    "kubernetes.aio.leaderelection.leaderelection",
    "psutil",
    "uvicorn",
    "uvloop",
    "harebell_bus.codec",
    "harebell_bus.link",
    "harebell_crds.agent",
    "harebell_crds.task",
)

# As the operator and the API do.
without_synchronous_client()
for library in LIBRARIES:
    import_module(library)
# What all of them share stays shared: the collector of a component would write into it.
gc.freeze()
