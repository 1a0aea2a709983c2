"""What goes wrong in ways that people can mend."""


class CommandError(Exception):
    """A command cannot be done. The message says why, and what to do."""
