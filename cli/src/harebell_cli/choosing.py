"""Which objects are meant: by names, by labels, or all."""

import argparse

from .errors import CommandError
from .parser import object_name
from .resources import Kind, Object, Resources


def chosen(resources: Resources, kind: Kind, asked: argparse.Namespace) -> list[Object]:
    """Return the objects that the command line means.

    :raises CommandError: it means none, or says so in two ways; or one of a name does not exist.
    """
    selected = bool(asked.selector) or asked.all
    if bool(asked.names) == selected:
        raise CommandError(f"say which {kind}: by name, or with -l LABELS, or with --all")
    if selected:
        return resources.select(kind, selector=asked.selector or "").items
    return [resources.read(kind, object_name(name)) for name in dict.fromkeys(asked.names)]
