"""Whether a watch is dead: the API server has a change of its kind, and answers, and the watch stays silent.

Versions are those of ``metadata.resourceVersion``, which within one kind grow with every change.
"""

from dataclasses import dataclass, replace

LOOKS = 12
"""So many looks in a row, with the API server there each time, are more than any watch that lives needs."""


@dataclass(frozen=True)
class Lag:
    """A change that the API server has, and that the watch had not brought when last looked at."""

    version: int
    looks: int = 0
    """At how many in a row it was still missing, though the API server answered."""

    @property
    def dead(self) -> bool:
        """Whether the watch has had time enough."""
        return self.looks >= LOOKS


def look(lag: Lag | None, newest: int, seen: int, *, answers: bool) -> Lag | None:
    """Return how far the watch of a kind is behind; None: it is not.

    A watch that brings something, however late, lives. While the API server does not answer, no watch can:
    afterwards each has the whole time again.

    :param lag: What the last look returned.
    :param newest: The newest version that the API server is known to have.
    :param seen: The newest version that the watch has brought.
    :param answers: Whether the API server answers now.
    """
    if newest <= seen:
        return None
    if lag is None or lag.version <= seen or not answers:
        return Lag(newest)
    return replace(lag, looks=lag.looks + 1)
