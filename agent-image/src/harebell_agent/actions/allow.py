"""Which commands the ``command`` action may run. Nothing, unless configured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

_Argv = tuple[str, ...]
_CONFIGURED: TypeAdapter[list[list[str]] | dict[str, list[str]]] = TypeAdapter(
    list[list[str]] | dict[str, list[str]]
)


@dataclass(frozen=True)
class AllowList:
    """Prefixes of commands, or names of whole ones."""

    prefixes: tuple[_Argv, ...] = ()
    """A command that begins with one of these may run, with any further arguments."""
    named: Mapping[str, _Argv] = field(default_factory=dict)
    """A command that is just one of these names runs as what it stands for, with nothing added."""

    def __bool__(self) -> bool:
        return bool(self.prefixes or self.named)

    def resolve(self, argv: Sequence[str]) -> _Argv | None:
        """Return the command to run for ``argv``, or None where it is not allowed."""
        given = tuple(argv)
        if len(given) == 1 and given[0] in self.named:
            return self.named[given[0]]
        if any(given[: len(prefix)] == prefix for prefix in self.prefixes):
            return given
        return None


def parse(text: str) -> AllowList:
    """Read ``[["git","status"],["df"]]`` or ``{"backup":["/usr/bin/backup","--all"]}``; empty allows nothing.

    :raises ValueError: it is neither, or one of the commands is empty.
    """
    if not text.strip():
        return AllowList()
    try:
        configured = _CONFIGURED.validate_json(text)
    except ValidationError:
        raise ValueError("must be a JSON list of commands (lists of strings) or an object of them") from None
    commands = configured.values() if isinstance(configured, dict) else configured
    if not all(command and command[0] for command in commands):
        # An empty prefix would allow everything.
        raise ValueError("a command must have at least its program")
    if isinstance(configured, dict):
        return AllowList(named={name: tuple(command) for name, command in configured.items()})
    return AllowList(prefixes=tuple(tuple(command) for command in configured))
