"""Bring up a cluster, install the chart, apply Tasks of every priority, and show what became of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.cluster import api
from tests.support.release import Release, install, manifest

from . import measure

ROOT = Path(__file__).parents[2]
RELEASE = NAMESPACE = "harebell"
PRIORITIES = ("critical", "high", "normal", "low", "background")


def tell() -> None:
    """Do it all, in order."""
    cluster = api.up()
    images = cluster.images()
    say("Installing the chart into namespace harebell, which enforces the restricted Pod Security standard")
    release = install(cluster, images, RELEASE, NAMESPACE, host="")

    say("Applying Tasks of five priorities for two types of agent")
    release.kubectl("delete", "tasks", "-l", "demo=yes", "--ignore-not-found")
    tasks = manifests()
    print(release.kubectl.apply(*tasks), end="")
    names = [f"task/{t['metadata']['name']}" for t in tasks]
    release.kubectl("wait", "--for=condition=Complete", "--timeout=60s", *names)

    show(release, "get", "agents")
    show(release, "get", "tasks", "-o", "wide")
    show(release, "get", "task", "analyse-readme-normal", "-o", "jsonpath={.status.result}")
    rest(release)
    asyncio.run(live(release))
    show(release, "get", "bus", "-o", "wide")
    measure.show(release, images, cluster)
    next_steps(release)


def manifests() -> list[dict[str, Any]]:
    """Return a probe of the cluster's own services and an analysis of the README at every priority."""
    readme = (ROOT / "README.md").read_text()
    urls = ["http://kube-dns.kube-system.svc:9153/metrics", f"http://{RELEASE}-api.{NAMESPACE}.svc/healthz"]
    tasks = []
    for priority in PRIORITIES:
        for name, kind, action, payload in (
            ("probe-cluster", "infra", "http.probe", {"urls": urls}),
            ("analyse-readme", "text", "text.stats", {"text": readme}),
        ):
            task = manifest(f"{name}-{priority}", kind, action, payload=payload, priority=priority)
            task["metadata"]["labels"] = {"demo": "yes"}
            tasks.append(task)
    return tasks


def rest(release: Release) -> None:
    """Show one answer of the REST API."""
    path = "/api/v1/status/probe-cluster-critical"
    say(f"curl {release.url}{path} -H 'Authorization: Bearer ...'")
    answer = release.rest("GET", path)
    if answer.status != 200:
        raise TimeoutError(f"the REST API answered {answer.status}: {answer.body}")
    print(json.dumps(answer.body, indent=2)[:2500])


async def live(release: Release) -> None:
    """Dispatch a Task through REST and print what its WebSocket says."""
    say("Dispatching a Task through REST and watching it over a WebSocket")
    body = {"agentType": "text", "action": "sleep", "payload": {"seconds": 3}, "labels": {"demo": "yes"}}
    task_id = (await asyncio.to_thread(release.rest, "POST", "/api/v1/dispatch", body)).body["taskId"]
    async with asyncio.timeout(60), release.socket(task_id) as socket:
        async for line in socket:
            message = json.loads(line)
            task = message.get("task") or {}
            shown = {k: task.get(k) for k in ("phase", "agentName", "progress", "result") if task.get(k)}
            print(f"  {message['type']:9} {json.dumps(shown)}")


def next_steps(release: Release) -> None:
    """Say what to try."""
    say("To try next")
    print(f"""  eval "$(make -s cluster-env)"                                  # this cluster's tools
  kubectl -n {NAMESPACE} get agents -w
  kubectl -n {NAMESPACE} apply -f docs/examples/task-sleep.yaml     # then delete its agent's Pod: attempt 2
  kubectl -n {NAMESPACE} get tasks -o wide
  curl -H "Authorization: Bearer $(make -s api-key)" \\
    $(make -s api-url)/api/v1/agents
  make cluster-down""")


def show(release: Release, *arguments: str) -> None:
    """Print a kubectl command and its output."""
    say(f"kubectl -n {NAMESPACE} {' '.join(arguments)}")
    print(release.kubectl(*arguments))


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}", flush=True)
