"""Resources, as ``-o`` asks for them."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from .text import say, say_json

Object = Mapping[str, Any]


def add_output(parser: argparse.ArgumentParser, *kinds: str, words: str) -> None:
    """Add ``-o``; the first kind is the default."""
    parser.add_argument(
        "-o", "--output", choices=kinds, default=kinds[0], help=f"{words}; default: {kinds[0]}"
    )


def say_object(value: Object, output: str) -> None:
    """Print one resource: ``json``, ``yaml``, or its ``name``."""
    if output == "name":
        say(str(value["metadata"]["name"]))
    else:
        _say(tidy(value), output)


def say_list(values: Sequence[Object], output: str) -> None:
    """Print resources as kubectl prints several."""
    if output == "name":
        for value in values:
            say(str(value["metadata"]["name"]))
    else:
        items = [tidy(value) for value in values]
        _say(
            {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}, output
        )


def tidy(value: Object) -> dict[str, Any]:
    """Return a resource without the fields' managers, which kubectl leaves out too."""
    metadata = {k: v for k, v in value.get("metadata", {}).items() if k != "managedFields"}
    return {**value, **({"metadata": metadata} if "metadata" in value else {})}


def _say(value: Any, output: str) -> None:
    if output == "json":
        say_json(value)
    else:
        import yaml  # it takes longer to load than help may

        # In ASCII, so nothing in it steers a terminal.
        say(yaml.safe_dump(value, sort_keys=False, allow_unicode=False).rstrip())
