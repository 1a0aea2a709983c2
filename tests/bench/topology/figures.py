"""From what was seen to the figures of the report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harebell_bus.lanes import LEVELS


@dataclass(frozen=True)
class Claim:
    """One message's way; times are seconds of one monotonic clock."""

    level: str
    published: float
    """When publishing began."""
    confirmed: float
    begun: float
    """When the agent that took it began to look for a message."""
    acknowledged: float

    @property
    def urgency(self) -> int:
        """0 is the most urgent."""
        return LEVELS.index(self.level)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that ``percent`` of all do not exceed. :raises ValueError: there is none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def inversions(claims: Sequence[Claim]) -> int:
    """Count claims of a message while a more urgent one waited.

    The other waited for certain if it was confirmed before the agent began to look, and the agent that took
    it began only after this one was done.
    """
    found = 0
    for claim in claims:
        found += any(
            other.urgency < claim.urgency
            and other.confirmed < claim.begun
            and other.begun >= claim.acknowledged
            for other in claims
        )
    return found


def throughput(claims: Sequence[Claim]) -> float:
    """Return messages per second from the first look for one to the last acknowledgement."""
    seconds = max(c.acknowledged for c in claims) - min(c.begun for c in claims)
    return len(claims) / seconds


@dataclass(frozen=True)
class Row:
    """The figures of one candidate in one situation."""

    nodes: int
    agents: int
    mix: str
    candidate: str
    p50_ms: float
    p99_ms: float
    per_second: float
    drain_inversions: int
    arrival_inversions: int


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown tables, one for each number of nodes and mix."""
    parts = []
    for nodes, mix in sorted({(row.nodes, row.mix) for row in rows}):
        chosen = [row for row in rows if (row.nodes, row.mix) == (nodes, mix)]
        parts.append(f"\n### {nodes} broker node{'s' if nodes > 1 else ''}, {mix} persistence\n")
        parts.append(
            "| candidate | agents | idle p50, ms | idle p99, ms | drained, 1/s "
            "| inversions, backlog | inversions, bursts |\n|---|---|---|---|---|---|---|"
        )
        parts += [
            f"| {r.candidate} | {r.agents} | {r.p50_ms:.1f} | {r.p99_ms:.1f} | {r.per_second:.0f} "
            f"| {r.drain_inversions} | {r.arrival_inversions} |"
            for r in sorted(chosen, key=lambda r: r.agents)
        ]
    return "\n".join(parts) + "\n"
