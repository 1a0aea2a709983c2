"""What the installed release costs and how long a Task takes, measured there and then."""

import asyncio
import statistics
import time
from typing import Any

from kubernetes.aio import client, config, watch
from tests.cluster.api import Cluster, Images
from tests.support.release import Release, manifest

SAMPLES = 100
WARM_UP = 5


def show(release: Release, images: Images, cluster: Cluster) -> None:
    """Print latency, memory and image sizes, each beside its aim."""
    print(f"\n== Measured now: {SAMPLES} Tasks one after the other, from create to result seen by a watch")
    seconds = asyncio.run(latencies(cluster, release.kubectl.namespace))
    print(f"  p50 {1000 * statistics.median(seconds):6.0f} ms  (aim: under 100)")
    print(f"  p99 {1000 * statistics.quantiles(seconds, n=100)[98]:6.0f} ms  (aim: under 500)")
    print("\n== Resident memory")
    operator = release.pods("operator")[0]
    agent = release.pods("agent-text")[0]
    for name, pod, port, aim in (
        ("operator", operator, 9090, 150),
        ("api", operator, 8080, 80),
        ("agent", agent, 9091, 80),
    ):
        used = release.metric(pod, port, "process_resident_memory_bytes") / 2**20
        print(f"  {name:9} {used:6.0f} MiB  (aim: under {aim})")
    print("\n== Image sizes")
    for name, image, note in (
        ("agent", images.agent, "  (aim: under 250)"),
        ("control plane", images.control_plane, ""),
        ("RabbitMQ", images.rabbitmq, ""),
        ("PostgreSQL", images.postgresql, ""),
    ):
        size = int(cluster.docker.run("image", "inspect", "-f", "{{.Size}}", image))
        print(f"  {name:13} {size / 1e6:6.0f} MB{note}")


async def latencies(cluster: Cluster, namespace: str) -> list[float]:
    """Return the seconds from creating a Task to seeing it finished, one Task at a time."""
    configuration = client.Configuration()
    await config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
    async with client.ApiClient(configuration) as connection:
        objects = client.CustomObjectsApi(connection)
        group: tuple[str, str, str, str] = ("harebell.dev", "v1alpha1", namespace, "tasks")
        done: dict[str, asyncio.Event] = {}
        listening = asyncio.create_task(_listen(objects, group, done))
        taken = []
        try:
            for n in range(WARM_UP + SAMPLES):
                name = f"latency-{time.time_ns()}"
                done[name] = asyncio.Event()
                body = manifest(name, "text", "echo", payload={"n": n}, ttlSecondsAfterFinished=30)
                begun = time.perf_counter()
                await objects.create_namespaced_custom_object(*group, body)
                async with asyncio.timeout(30):
                    await done[name].wait()
                taken.append(time.perf_counter() - begun)
        finally:
            listening.cancel()
        return taken[WARM_UP:]


async def _listen(objects: Any, group: tuple[str, ...], done: dict[str, asyncio.Event]) -> None:
    async with watch.Watch() as stream:  # type: ignore[no-untyped-call]
        async for event in stream.stream(objects.list_namespaced_custom_object, *group):
            body = event["object"]
            if body.get("status", {}).get("completedAt") and (found := done.get(body["metadata"]["name"])):
                found.set()
