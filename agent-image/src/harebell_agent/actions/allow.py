"""Which commands the ``command`` action may run. Nothing, unless configured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from .model import Model

_Argv = tuple[str, ...]


class _Entry(Model):
    """A command with what is said of it."""

    argv: list[str]
    idempotent: bool = False


_Command = list[str] | _Entry
_CONFIGURED: TypeAdapter[list[_Command] | dict[str, _Command]] = TypeAdapter(
    list[_Command] | dict[str, _Command]
)


@dataclass(frozen=True)
class AllowList:
    """Prefixes of commands, or names of whole ones."""

    prefixes: tuple[_Argv, ...] = ()
    """A command that begins with one of these may run, with any further arguments."""
    named: Mapping[str, _Argv] = field(default_factory=dict)
    """A command that is just one of these names runs as what it stands for, with nothing added."""
    idempotent: frozenset[_Argv] = frozenset()
    """Those prefixes and whole commands that may be run again when it is not known what became of a run."""

    def __bool__(self) -> bool:
        return bool(self.prefixes or self.named)

    def resolve(self, argv: Sequence[str]) -> _Argv | None:
        """Return the command to run for ``argv``, or None where it is not allowed."""
        found = self._entry(argv)
        if found is None:
            return None
        return found if self.named else tuple(argv)

    def may_be_repeated(self, argv: Sequence[str]) -> bool:
        """Return whether ``argv`` is allowed and may be run again; of several prefixes the longest counts."""
        return self._entry(argv) in self.idempotent

    @property
    def all_idempotent(self) -> bool:
        """Whether all that is allowed may be run again."""
        return self.idempotent.issuperset(self.prefixes) and self.idempotent.issuperset(self.named.values())

    def _entry(self, argv: Sequence[str]) -> _Argv | None:
        given = tuple(argv)
        if self.named:
            return self.named.get(given[0]) if len(given) == 1 else None
        fitting = [prefix for prefix in self.prefixes if given[: len(prefix)] == prefix]
        return max(fitting, key=len, default=None)


def parse(text: str) -> AllowList:
    """Read ``[["git","status"],["df"]]`` or ``{"backup":["/usr/bin/backup","--all"]}``; empty allows nothing.

    In place of a command, ``{"argv": ["df"], "idempotent": true}`` says that it may be run again.

    :raises ValueError: it is neither, or one of the commands is empty.
    """
    if not text.strip():
        return AllowList()
    try:
        configured = _CONFIGURED.validate_json(text)
    except ValidationError:
        raise ValueError(
            "must be a JSON list of commands (lists of strings, or objects of argv and idempotent) or an "
            "object of them"
        ) from None
    named = configured if isinstance(configured, dict) else dict(enumerate(configured))
    entries = {name: e if isinstance(e, _Entry) else _Entry(argv=e) for name, e in named.items()}
    if not all(entry.argv and entry.argv[0] for entry in entries.values()):
        # An empty prefix would allow everything.
        raise ValueError("a command must have at least its program")
    idempotent = frozenset(tuple(e.argv) for e in entries.values() if e.idempotent)
    if isinstance(configured, dict):
        return AllowList(named={str(n): tuple(e.argv) for n, e in entries.items()}, idempotent=idempotent)
    return AllowList(prefixes=tuple(tuple(e.argv) for e in entries.values()), idempotent=idempotent)
