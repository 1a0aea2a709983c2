"""``make bench``: Tasks from created to seen done, compared with Kubernetes Jobs, with the bare writes, and
with Celery for the broker's part. Writes the report and prints the ratios.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster import api
from tests.cluster.progress import Problem
from tests.support.kubectl import Kubectl

from . import report
from .figures import Pass
from .measure import RIVALS, Scale, opened
from .progress import Progress

REPORTS = Path(__file__).parents[3] / "docs" / "reports"


async def measure(cluster: api.Cluster, scale: Scale, namespace: str, folder: Path) -> list[Pass]:
    """Return what was measured."""
    passes: list[Pass] = []
    async with opened(cluster, scale, namespace, folder, Progress(scale.steps())) as bench:
        for number in range(1, scale.repeats + 1):
            passes += [found async for found in bench.repeat(number)]
    return passes


def positive(text: str) -> int:
    """Return a number of at least one. :raises ValueError: it is none."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--tasks", type=positive, default=2000, help="Tasks, and messages, of a measurement")
    parser.add_argument("--jobs", type=positive, default=1000, help="Jobs of a measurement; at most --tasks")
    parser.add_argument("--agents", type=positive, nargs="+", default=[1, 4, 16], help="numbers of agents")
    parser.add_argument("--repeats", type=positive, default=3, help="of everything")
    parser.add_argument("--at-once", type=positive, default=16, help="creations at a time")
    parser.add_argument("--against", nargs="*", default=list(RIVALS), choices=RIVALS, help="the rivals")
    parser.add_argument("--celery-pool", default="threads", choices=["threads", "prefork"], help="of workers")
    parser.add_argument("--broker-nodes", type=positive, default=3, help="of RabbitMQ")
    parser.add_argument("--namespace", default="harebell-bench", help="of the broker; prefix of the others")
    parser.add_argument("--keep", action="store_true", help="leave the broker for another run")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="folder to write the report into")
    options = parser.parse_args()
    scale = Scale(
        options.tasks, min(options.jobs, options.tasks), options.agents, options.repeats, options.at_once,
        options.against, options.celery_pool, options.broker_nodes,
    )  # fmt: skip
    begun = datetime.now(UTC)
    try:
        cluster = api.up()
        logs = Path(tempfile.mkdtemp(prefix="harebell-bench-"))
        print(f"Logs are in {logs} until it has succeeded.", file=sys.stderr)
        passes = asyncio.run(measure(cluster, scale, options.namespace, logs))
        shutil.rmtree(logs)
        if not options.keep:
            Kubectl(cluster, "default")("delete", "namespace", options.namespace, seconds=300)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    conditions = {
        "measured": begun.strftime("%Y-%m-%d"),
        "minutes": round((datetime.now(UTC) - begun).total_seconds() / 60),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        "load before": f"{os.getloadavg()[2]:.1f}",
        "nodes of RabbitMQ": scale.broker_nodes,
        "repeats": scale.repeats,
        "Tasks and Jobs created at a time": scale.at_once,
        "Celery's pool": scale.celery_pool,
    }
    options.reports.mkdir(parents=True, exist_ok=True)
    figures = report.document(conditions, passes)
    (options.reports / "lifecycle.json").write_text(json.dumps(figures, indent=1) + "\n")
    (options.reports / "lifecycle.md").write_text(report.markdown(conditions, passes))
    print("\n".join(report.lines(passes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
