"""How long actions take, by the Tasks of late that succeeded."""

import heapq
from datetime import datetime
from statistics import fmean

KEPT = 32
"""Run times of one action that are kept, the newest."""


class RunTimes:
    """Run times by type of agent and action. Agents offer few actions, so there are few of them."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], list[tuple[datetime, float]]] = {}

    def ended(self, agent_type: str, action: str, begun: datetime, ended: datetime) -> None:
        """Take in a Task that succeeded. They may come in any order, as in a list."""
        kept = self._newest.setdefault((agent_type, action), [])
        heapq.heappush(kept, (ended, max(0.0, (ended - begun).total_seconds())))
        if len(kept) > KEPT:
            heapq.heappop(kept)

    def mean(self, agent_type: str, action: str) -> float | None:
        """Return the mean in seconds, or None while none has succeeded."""
        kept = self._newest.get((agent_type, action))
        return fmean(seconds for _, seconds in kept) if kept else None
