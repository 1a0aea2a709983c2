"""Agents as a table for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .durations import age
from .tasks import NOTHING, moment
from .text import some, table

Object = Mapping[str, Any]

_PLAIN = (None, "", "HeartbeatReceived")
"""Reasons that say nothing that the phase does not."""
_TASKS = 3
"""Names of Tasks in a cell, at most."""


def agent_table(agents: Sequence[Object], now: datetime, *, wide: bool, namespaces: bool = False) -> str:
    """Return a table with a row for each agent; ``namespaces``: with a column for these."""
    heads = ["NAME", "TYPE", "STATUS", "TASKS", "CPU", "GPU-MEM", "HEARTBEAT"]
    if wide:
        heads += ["MEMORY", "GPUS", "CONSUMING", "NODE", "VERSION", "AGE"]
    rows = [heads, *(_row(agent, now, wide) for agent in agents)]
    if namespaces:
        cells = ["NAMESPACE", *(agent["metadata"]["namespace"] for agent in agents)]
        rows = [[cell, *row] for cell, row in zip(cells, rows, strict=True)]
    return table(rows)


def _row(agent: Object, now: datetime, wide: bool) -> list[str]:
    metadata, status = agent["metadata"], agent.get("status") or NOTHING
    summary = status.get("summary") or NOTHING
    row = [
        metadata["name"],
        agent["spec"]["type"],
        _phase(status),
        some((task["name"] for task in status.get("currentTasks") or ()), _TASKS),
        summary.get("cpu") or "",
        summary.get("gpuMemory") or "",
        _age(status.get("lastHeartbeatTime"), now),
    ]
    if wide:
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
        resources = status.get("resources") or NOTHING
        row += [
            _memory(resources.get("memory") or NOTHING),
            _gpus(resources),
            conditions.get("Consuming", ""),
            status.get("nodeName") or "",
            status.get("version") or "",
            _age(metadata.get("creationTimestamp"), now),
        ]
    return row


def _phase(status: Object) -> str:
    """Return the phase, and the reason where it says more: ``Offline (PodGone)``."""
    phase, reason = status.get("phase") or "Unknown", status.get("reason")
    return f"{phase} ({reason})" if reason not in _PLAIN and reason != phase else str(phase)


def _gpus(resources: Object) -> str:
    gpus = resources.get("gpus")
    if gpus is None:
        return "unknown" if resources.get("gpusReason") else ""
    kinds = Counter(str(gpu.get("name") or "GPU") for gpu in gpus)
    return ", ".join(f"{number}x {name}" for name, number in kinds.items())


def _memory(memory: Object) -> str:
    used, total = memory.get("usedBytes"), memory.get("totalBytes")
    if used is None or total is None:
        return ""
    return f"{used / 2**30:.1f}/{total / 2**30:.1f}Gi"


def _age(text: str | None, now: datetime) -> str:
    at = moment(text)
    return age(now - at) if at else ""
