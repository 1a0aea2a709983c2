"""Writes the schema of the values: ``python -m charts.values DIRECTORY...``."""

import argparse
import json
from pathlib import Path

from .comments import descriptions
from .schema import values_schema

_VALUES = Path(__file__).parents[1] / "harebell" / "values.yaml"


def main() -> None:
    """Write values.schema.json into every directory given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="+", type=Path)
    schema = values_schema(descriptions(_VALUES.read_text()))
    for directory in parser.parse_args().directory:
        (directory / "values.schema.json").write_text(json.dumps(schema, indent=2) + "\n")


main()
