"""What GPUs there are for Tasks of each type, from what agents tell of them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from harebell_crds.agent import AgentPhase, Gpu

from .store import AgentEntry


@dataclass
class Fleet:
    """GPUs of the agents of a type."""

    count: int = 0
    size_bytes: int = 0
    used_bytes: int = 0


def by_type(agents: Iterable[AgentEntry]) -> dict[str, Fleet]:
    """Return the GPUs of the agents that are there, by their type; one that several share counts once.

    A figure that could not be read adds nothing.
    """
    devices: dict[str, dict[object, Gpu]] = defaultdict(dict)
    for agent in agents:
        if agent.status.phase in (None, AgentPhase.OFFLINE) or agent.status.resources is None:
            continue
        of_type = devices[agent.agent_type]
        for gpu in agent.status.resources.gpus or ():
            of_type[gpu.uuid or (agent.name, gpu.index)] = gpu
    return {
        kind: Fleet(
            len(found),
            sum(gpu.memory_total_bytes or 0 for gpu in found.values()),
            sum(gpu.memory_used_bytes or 0 for gpu in found.values()),
        )
        for kind, found in devices.items()
    }
