"""A watch that asks for what the API server has forgotten."""

import asyncio
from pathlib import Path

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from tests.support.kubectl import Kubectl
from tests.support.release import manifest
from tests.support.waiting import eventually

from harebell_api.cache import Cache
from harebell_api.kube import Kind, Kube
from harebell_api.records import TaskRecord, task_record
from harebell_api.reflector import Reflector
from harebell_api.tasks import task_aliases

pytestmark = pytest.mark.timeout(180, func_only=True)  # bringing up a cluster takes longer

LONG_AGO = "1"


async def test_it_is_listed_again(kubeconfig: Path, namespace: str, kubectl: Kubectl) -> None:
    await asyncio.to_thread(kubectl.apply, manifest("before", "nobody", "echo"))
    restarts: list[str] = []
    cache: Cache[TaskRecord] = Cache(task_aliases)
    configuration = Configuration()
    where = str(kubeconfig)
    await config.load_kube_config(where, client_configuration=configuration)  # type: ignore[no-untyped-call]
    async with ApiClient(configuration) as client:
        kube = Kube(client, namespace)
        reflector = Reflector(Kind.TASKS, kube, cache, task_record, lambda _, why: restarts.append(why))
        reflector._version = LONG_AGO
        running = asyncio.create_task(reflector.run())
        try:

            async def listed() -> bool:
                return cache.get("before") is not None

            await eventually("the list", listed, 60)
            assert restarts == ["gone"]
            assert cache.fresh
            await asyncio.to_thread(kubectl.apply, manifest("after", "nobody", "echo"))

            async def watched() -> bool:
                return cache.get("after") is not None

            await eventually("the watch that follows", watched, 60)
            assert restarts == ["gone"]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
