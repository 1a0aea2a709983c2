"""Counts the agents of one type by what they could do, without a look at each of them for every change."""

from collections import Counter
from dataclasses import dataclass

from .decide.observation import Supply


@dataclass(frozen=True)
class Readiness:
    """What an agent that can be reached is up to."""

    idle: bool = False
    """Whether it has room for work, and takes it."""
    paused: bool = False
    paused_by: tuple[str, ...] = ()
    """Names of what keeps it from taking work."""
    deaf: bool = False
    """Whether it does not listen for work though it should."""


class Headcount:
    """The agents of a type, each as it was when it was last looked at."""

    def __init__(self) -> None:
        self._known: dict[str, Readiness] = {}
        self._counts: Counter[str] = Counter()
        self._pausing: Counter[str] = Counter()

    def put(self, name: str, now: Readiness | None) -> None:
        """Take in what an agent is up to; None: it cannot be reached."""
        before = self._known.pop(name, None)
        if now is not None:
            self._known[name] = now
        for readiness, sign in ((before, -1), (now, 1)):
            if readiness is not None:
                for kind in ("idle", "paused", "deaf"):
                    self._counts[kind] += sign * getattr(readiness, kind)
                for pausing in readiness.paused_by:
                    self._pausing[pausing] += sign
        # What pauses agents comes and goes.
        self._pausing = +self._pausing

    def supply(self) -> Supply:
        """Return how many there are."""
        counts = self._counts
        names = tuple(sorted(self._pausing))
        return Supply(len(self._known), counts["idle"], counts["paused"], names, counts["deaf"])
