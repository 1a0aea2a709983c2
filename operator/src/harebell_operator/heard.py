"""What the watches told of while lists are read: a list may be older than that by the time it is complete."""

from collections.abc import Iterator
from contextlib import contextmanager


class Heard:
    """Objects by UID, Agents by name. Nothing is kept while no list is read."""

    def __init__(self) -> None:
        self._keys: set[str] | None = None

    def add(self, key: str) -> None:
        """Take in that an object was seen as it is now, or that it is gone."""
        if self._keys is not None:
            self._keys.add(key)

    @contextmanager
    def meanwhile(self) -> Iterator[set[str]]:
        """Yield the set of what is heard of until the end of the block."""
        self._keys = keys = set[str]()
        try:
            yield keys
        finally:
            self._keys = None
