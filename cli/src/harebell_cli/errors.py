"""What goes wrong in ways that people can mend."""


class CommandError(Exception):
    """A command cannot be done. The message says why, and what to do."""


class UnreachableError(CommandError):
    """The API server gave no answer. Whether it did what was asked is not known."""


class LostError(UnreachableError):
    """An answer that goes on was cut off: what follows may be asked for again."""


class RefusedError(CommandError):
    """The API server refused, by a status of HTTP and the reason of its ``Status``, which may be empty."""

    def __init__(self, message: str, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class TimeIsUpError(Exception):
    """The time that somebody gave is over."""
