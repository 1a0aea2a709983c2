"""Everything the package declares or sends, found by looking at it: what a document of it must not miss."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, get_args, get_type_hints

from pydantic.alias_generators import to_camel

import harebell_bus

from .envelopes import Envelope, Message
from .flows import SENDING
from .topology import Topology

DEAD_LETTER_EXCHANGE = "x-dead-letter-exchange"


class IncompleteError(Exception):
    """Something on the bus is not described; the text says what, and where to describe it."""


def topology() -> Topology:
    """Return the union of what the package's functions return to be declared, whatever they are given.

    A text is a placeholder, ``{agentType}`` for ``agent_type``; a choice is each of its values.

    :raises IncompleteError: a function takes what has no known values.
    """
    parts = [function(**given) for function in _topologies() for given in arguments(function)]
    return Topology(
        tuple({e.name: e for p in parts for e in p.exchanges}.values()),
        tuple({q.name: q for p in parts for q in p.queues}.values()),
        tuple({(b.exchange, b.queue, b.routing_key): b for p in parts for b in p.bindings}.values()),
    )


def _topologies() -> Iterator[Callable[..., Topology]]:
    for found in pkgutil.iter_modules(harebell_bus.__path__, f"{harebell_bus.__name__}."):
        module = importlib.import_module(found.name)
        if module.__name__ == __name__:
            continue
        for name, function in vars(module).items():
            if not inspect.isfunction(function) or function.__module__ != found.name or name.startswith("_"):
                continue
            if get_type_hints(function).get("return") is Topology:
                yield function


def arguments(function: Callable[..., Topology]) -> Iterator[dict[str, Any]]:
    """Return every combination of the arguments that a function requires."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    hints = get_type_hints(function)
    for values in product(*(_values(name, hints[name]) for name in names)):
        yield dict(zip(names, values, strict=True))


def _values(name: str, kind: Any) -> tuple[Any, ...]:
    if kind is str:
        return (f"{{{to_camel(name)}}}",)
    if kind is bool:
        return (False, True)
    # What has a few values, all known, has them in a constant beside it.
    for constant in vars(sys.modules[kind.__module__]).values():
        if isinstance(constant, tuple) and constant and all(isinstance(value, kind) for value in constant):
            return constant
    raise IncompleteError(f"{kind.__name__}: no constant in {kind.__module__} holds all that {name} can be")


def messages() -> dict[str, type[Envelope]]:
    """Return the model of every message by its kind.

    :raises IncompleteError: one is not in :data:`.envelopes.Message`, or has no words of its own.
    """
    found = {m.__name__: m for m in _descendants(Envelope) if {"kind", "version"} <= m.model_fields.keys()}
    unlisted = found.keys() ^ {m.__name__ for m in members(Message)}
    if unlisted:
        raise IncompleteError(f"{_list(unlisted)}: not a message and a part of envelopes.Message at once")
    mute = [name for name, model in found.items() if not model.__dict__.get("__doc__")]
    if mute:
        raise IncompleteError(f"{_list(mute)}: without a docstring")
    return found


def _descendants(model: type[Envelope]) -> Iterator[type[Envelope]]:
    for child in model.__subclasses__():
        yield child
        yield from _descendants(child)


def members(union: object) -> tuple[type[Envelope], ...]:
    """Return the models of a union, annotated or not, in order; a model is its own only member."""
    if isinstance(union, type):
        return (union,) if issubclass(union, Envelope) else ()
    return tuple(model for inner in get_args(union) for model in members(inner))


def carried(declared: Topology, models: Mapping[str, type[Envelope]]) -> dict[str, list[str]]:
    """Return the kinds that each exchange carries, those that queues dead-letter to it among them.

    :raises IncompleteError: an exchange is not described, or a message is sent nowhere.
    """
    nameless = {e.name for e in declared.exchanges} - SENDING.keys()
    if nameless:
        raise IncompleteError(f"{_list(nameless)}: an exchange that flows.SENDING does not describe")
    kinds = {name: {m.__name__ for m in members(sending.messages)} for name, sending in SENDING.items()}
    unsent = models.keys() - {kind for each in kinds.values() for kind in each}
    if unsent:
        raise IncompleteError(f"{_list(unsent)}: a message that flows.SENDING puts on no exchange")
    # As often as there are queues: so long a chain of dead-lettering could at most be.
    for _ in declared.queues:
        for queue in declared.queues:
            target = queue.arguments.get(DEAD_LETTER_EXCHANGE)
            if target is not None:
                kinds[target] |= {k for e in sources(declared, queue.name) for k in kinds[e]}
    return {name: [kind for kind in models if kind in found] for name, found in kinds.items()}


def sources(declared: Topology, queue: str) -> list[str]:
    """Return the exchanges that a queue is bound to."""
    return list(dict.fromkeys(b.exchange for b in declared.bindings if b.queue == queue))


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
