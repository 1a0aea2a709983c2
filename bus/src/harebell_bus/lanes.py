"""The queues that the work of one agent type waits in, in the order in which agents look into them.

Every message in an earlier lane is at least as urgent as every message in a later one, so an idle agent
never compares messages. A Disk lane holds one level: a quorum queue serves a returned message before
everything else, and among equals that is where it was. A Memory lane may hold two, because a classic queue
with priorities puts a returned message back into its place.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Tier(StrEnum):
    """Where a message is kept."""

    DISK = "Disk"
    """A quorum queue: replicated, on disk whatever the delivery mode."""
    MEMORY = "Memory"
    """Transient, in a classic queue on one node: gone when that node restarts."""


@dataclass(frozen=True)
class Lane:
    """One queue of every agent type."""

    tier: Tier
    levels: tuple[str, ...]
    """Of :data:`LEVELS`, most urgent first."""

    @property
    def name(self) -> str:
        """What the lane is called in the message's header and in the queue's name."""
        return "-".join((self.tier.lower(), *self.levels))


LEVELS: Final = ("critical", "high", "normal", "low", "background")
"""The priorities, most urgent first."""

LANES: Final = (
    Lane(Tier.MEMORY, ("critical",)),
    Lane(Tier.DISK, ("critical",)),
    Lane(Tier.DISK, ("high",)),
    Lane(Tier.MEMORY, ("high", "normal")),
    Lane(Tier.DISK, ("normal",)),
    Lane(Tier.DISK, ("low",)),
    Lane(Tier.MEMORY, ("low", "background")),
    Lane(Tier.DISK, ("background",)),
)
"""In the order in which an idle agent looks into them."""

_LANES: Final = {(lane.tier, level): lane for lane in LANES for level in lane.levels}


def lane_of(level: str, tier: Tier) -> Lane:
    """Return the lane of a message. :raises KeyError: there is no such level."""
    return _LANES[tier, level]


def work_queue_name(agent_type: str, lane: Lane) -> str:
    """Return the name of one lane's queue of an agent type."""
    return f"harebell.work.{agent_type}.{lane.name}"


def work_queue_names(agent_type: str, lanes: Collection[Lane] = LANES) -> tuple[str, ...]:
    """Return the names of an agent type's queues, or of some of them, in the order to look into them."""
    return tuple(work_queue_name(agent_type, lane) for lane in LANES if lane in lanes)
