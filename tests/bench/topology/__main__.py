"""``make bench-topology``: deploys brokers, compares the candidates, and writes the report."""

import argparse
import asyncio
import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from os import cpu_count, getloadavg
from pathlib import Path
from uuid import uuid4

from tests.cluster import api
from tests.support.kubectl import Kubectl
from tests.support.servers import deploy_rabbitmq

from .candidates import CANDIDATES
from .compare import Scale, compare
from .figures import Row, table

REPORTS = Path(__file__).parents[3] / "docs" / "reports"


async def measure(options: argparse.Namespace, cluster: api.Cluster) -> list[Row]:
    """Measure on a broker of each size, one after the other."""
    rows: list[Row] = []
    for nodes in options.nodes:
        namespace = f"{options.namespace}-{nodes}"
        broker = await asyncio.to_thread(deploy_rabbitmq, cluster, namespace, nodes)
        try:
            vhost = await asyncio.to_thread(broker.vhost, f"bench-{uuid4().hex[:6]}")
            candidates = [CANDIDATES[name] for name in options.candidates]
            scale = Scale(options.singles, options.backlog, options.bursts)
            comparing = compare(vhost.operator_url, nodes, candidates, options.agents, options.mixes, scale)
            async for row in comparing:
                print(json.dumps(asdict(row)), flush=True)
                rows.append(row)
        finally:
            if not options.keep:
                kubectl = Kubectl(cluster, namespace)
                kubectl("delete", "namespace", namespace, "--wait=true", seconds=180)
    return rows


def write(rows: list[Row], options: argparse.Namespace) -> None:
    """Write the figures as JSON and Markdown."""
    conditions = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{cpu_count()} cores, {platform.system()} {platform.machine()}",
        "load": round(getloadavg()[2]),
        "singles": options.singles,
        "backlog": options.backlog,
        "bursts": options.bursts,
    }
    REPORTS.mkdir(parents=True, exist_ok=True)
    figures = {"conditions": conditions, "rows": [asdict(row) for row in rows]}
    (REPORTS / "topology.json").write_text(json.dumps(figures, indent=1) + "\n")
    candidates = "\n".join(f"- **{c.name}**: {c.about}" for c in CANDIDATES.values())
    (REPORTS / "topology.md").write_text(
        f"""# Ways to serve five priorities in two tiers

Written by `make bench-topology` on {conditions["measured"]}: {conditions["machine"]}, broker, publisher and
agents on the same machine, with a load average of {conditions["load"]} over a quarter of an hour. Compare the
rows with one another, and small differences with the load; other machines have other figures.

{candidates}

Idle latency is from the publish to the acknowledgement by an agent that waited, of {options.singles}
messages. Drained is a backlog of {options.backlog} messages of 1 KiB over five levels. Bursts are
{options.bursts} times twice as many messages as agents. An inversion is a message taken while a more urgent
one waited for certain (`tests/bench/topology/figures.py`).
{table(rows)}"""
    )


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="make bench-topology", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3], help="broker nodes")
    parser.add_argument("--agents", type=int, nargs="+", default=[1, 4, 16, 50])
    parser.add_argument("--candidates", nargs="+", default=list(CANDIDATES), choices=list(CANDIDATES))
    parser.add_argument("--mixes", nargs="+", default=["default", "mixed"], choices=["default", "mixed"])
    parser.add_argument("--singles", type=int, default=30, help="messages for the latency")
    parser.add_argument("--backlog", type=int, default=400, help="messages for the throughput")
    parser.add_argument("--bursts", type=int, default=6)
    parser.add_argument("--namespace", default="harebell-bench", help="prefix of the brokers' namespaces")
    parser.add_argument("--keep", action="store_true", help="leave the brokers for another run")
    options = parser.parse_args()
    write(asyncio.run(measure(options, api.up())), options)


if __name__ == "__main__":
    main()
