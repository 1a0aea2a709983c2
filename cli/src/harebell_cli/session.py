"""What a command has to work with: the API server, when it is first needed, and the time."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from .parser import shown

if TYPE_CHECKING:
    from .connection import Connection
    from .resources import Resources

Connecting = Callable[[str | None, str | None], "Connection"]
"""Returns a connection, given the context and the kubeconfig."""


class Session:
    """One call of the command. :raises CommandError: from what needs the API server, if there is none."""

    def __init__(self, asked: argparse.Namespace, connecting: Connecting | None = None) -> None:
        self._asked, self._connecting = asked, connecting

    @cached_property
    def connection(self) -> "Connection":
        """The API server."""
        if self._connecting is None:
            from .connection import connect  # it takes most of a second to load

            self._connecting = connect
        return self._connecting(self._asked.context, self._asked.kubeconfig)

    @property
    def namespace(self) -> str:
        """The namespace that is meant."""
        return self._asked.namespace or self.connection.namespace

    @cached_property
    def resources(self) -> "Resources":
        """harebell's resources of that namespace."""
        from .resources import Resources

        return Resources(self.connection, self.namespace)

    def shown(self, *words: str) -> str:
        """Return a command line for the same place, to be pasted into a shell."""
        place = [
            part
            for option, value in (
                ("--kubeconfig", self._asked.kubeconfig),
                ("--context", self._asked.context),
                ("-n", self._asked.namespace),
            )
            if value
            for part in (option, value)
        ]
        return shown(*words[:1], *place, *words[1:])

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)
