"""The queries of ``queries.sql`` by name."""

import re
from collections.abc import Mapping
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse(text: str) -> Mapping[str, str]:
    """Return each query of a file where one begins with a line ``-- name: NAME``.

    :raises ValueError: two have the same name.
    """
    _, *parts = _NAME.split(text)
    names = parts[::2]
    if len(set(names)) != len(names):
        raise ValueError("two queries have the same name")
    return dict(zip(names, (query.strip() for query in parts[1::2]), strict=True))


QUERIES = parse((files(__package__) / "queries.sql").read_text())
