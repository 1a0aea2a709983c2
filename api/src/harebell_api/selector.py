"""Label selectors in Kubernetes' notation: ``team=web,tier!=cache,env in (dev, test),legacy,!old``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_KEY = r"(?P<key>[A-Za-z0-9][A-Za-z0-9._/-]*)"
_VALUE = r"[A-Za-z0-9]?[A-Za-z0-9._-]*"
_SET = re.compile(rf"{_KEY}\s+(?P<not>notin|in)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(rf"{_KEY}\s*(?P<not>!=|==|=)\s*(?P<values>{_VALUE})")
_EXISTS = re.compile(rf"(?P<not>!?)\s*{_KEY}")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True)
class Requirement:
    """What is asked of one label."""

    key: str
    values: frozenset[str] | None
    """Allowed values; None: any."""
    negated: bool

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets it."""
        value = labels.get(self.key)
        holds = value is not None and (self.values is None or value in self.values)
        return holds != self.negated


@dataclass(frozen=True)
class Selector:
    """All requirements have to hold."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def parse_selector(text: str) -> Selector:
    """Return the selector that ``text`` is. :raises ValueError: it is none."""
    if not text.strip():
        return Selector()
    return Selector(tuple(_requirement(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(text)))


def _requirement(text: str) -> Requirement:
    if found := _SET.fullmatch(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], values, found["not"] == "notin")
    if found := _EQUAL.fullmatch(text):
        return Requirement(found["key"], frozenset({found["values"]}), found["not"] == "!=")
    if found := _EXISTS.fullmatch(text):
        return Requirement(found["key"], None, found["not"] == "!")
    raise ValueError(f"{text!r} is not a requirement on a label")
