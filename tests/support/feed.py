"""What a client of the API's feed makes of its messages, and whether they are as promised."""

from dataclasses import dataclass, field
from math import inf
from typing import Any

from harebell_api.feed.cursor import Point, decode


@dataclass
class Model:
    """A client's idea of which Tasks there are. It fails when told something twice or out of order."""

    known: dict[str, int] = field(default_factory=dict)
    """Version of each Task there is, by UID."""
    cursor: str | None = None
    types: list[str] = field(default_factory=list)
    _told: dict[str, float] = field(default_factory=dict)
    """The newest version told of each Task; infinite: its deletion."""
    _settled: dict[str, float] = field(default_factory=dict)
    """As of the last cursor. What was told under it since is told again to who comes back with it."""

    def come_back(self) -> None:
        """Note that the stream begins again, with the last cursor."""
        self._told = dict(self._settled)

    def take(self, message: dict[str, Any]) -> None:
        """Take a message."""
        kind = message["type"]
        self.types.append(kind)
        if kind == "reset":
            self.known, self._told = {}, {}
        elif kind != "synced":
            self._take_task(kind, message["task"])
        # A cursor of the same version as before says that the message will be told again.
        if kind in ("synced", "reset") or _version(message["cursor"]) != _version(self.cursor):
            self._settled = dict(self._told)
        self.cursor = message["cursor"]

    def _take_task(self, kind: str, document: dict[str, Any]) -> None:
        uid, version = document["uid"], document["resourceVersion"]
        told = self._told.get(uid, 0)
        assert told != inf, f"{kind} of a Task whose deletion was told"
        if kind == "deleted":
            self._told[uid] = inf
            self.known.pop(uid, None)
            return
        assert int(version) > told, f"{kind} of version {version}, and {told} was told"
        self._told[uid] = int(version)
        if kind == "left":
            self.known.pop(uid, None)
        else:
            self.known[uid] = int(version)


def _version(cursor: str | None) -> int | None:
    found = decode(cursor) if cursor is not None else None
    return found.version if isinstance(found, Point) else None
