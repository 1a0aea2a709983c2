"""The figures of a heartbeat as a status can hold them.

Drivers say "not available" by the largest number there is, and an agent may be written without the SDK. What
cannot be is taken as unknown: one figure must not keep everything else of the agent from being written.
"""

from typing import Any, Final

from harebell_bus import envelopes
from harebell_crds.agent import Resources

MOST: Final = 2**63 - 1
"""The API server's integers have 64 bits."""
_PERCENT: Final = "utilization_percent"


def resources_of(said: envelopes.Resources) -> Resources:
    """Return the figures of a heartbeat, without those that cannot be; a GPU without an index is left out."""
    seen = said.model_dump()
    gpus = seen["gpus"] and [_known(gpu, most_percent=100) for gpu in seen["gpus"]]
    return Resources.model_validate(
        {
            "cpu": _known(seen["cpu"]),
            "memory": _known(seen["memory"]),
            "gpus": gpus and [gpu for gpu in gpus if gpu["index"] is not None],
            "gpus_reason": seen["gpus_reason"],
        }
    )


def _known(figures: dict[str, Any], most_percent: int = MOST) -> dict[str, Any]:
    return {
        name: None if isinstance(value, int) and not 0 <= value <= _most(name, most_percent) else value
        for name, value in figures.items()
    }


def _most(name: str, most_percent: int) -> int:
    return most_percent if name == _PERCENT else MOST
