"""What the archiver knows of itself, for probes, metrics and reports."""

from dataclasses import dataclass

from harebell_bus.envelopes import ArchiverState

from . import metrics
from .database import Stand


@dataclass
class State:
    """Changed by the archiver, read by everybody."""

    name: ArchiverState = ArchiverState.STARTING
    message: str = ""
    stand: Stand | None = None
    """As of the last commit; None: the database has not been read yet."""
    last_offset: int | None = None
    """The newest offset known to be in the stream."""

    def enter(self, name: ArchiverState, message: str = "") -> None:
        """Take in what the archiver does now."""
        self.name, self.message = name, message
        metrics.STATE.state(name.value)

    @property
    def lag(self) -> int | None:
        """Messages of the stream that are not archived yet, or None where that is not known."""
        if self.stand is None or self.last_offset is None:
            return None
        return max(0, self.last_offset + 1 - self.stand.position.next_offset)

    def seen(self, last_offset: int | None) -> None:
        """Take in how far the stream goes."""
        self.last_offset = last_offset
        metrics.LAG.set(-1 if self.lag is None else self.lag)
