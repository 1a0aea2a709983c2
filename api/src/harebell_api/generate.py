"""Writes the OpenAPI document: ``python -m harebell_api.generate DIRECTORY...``."""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration

from .app import Dependencies, create_app
from .keyring import KeyRing
from .kube import Kube

FILE = "openapi.json"


async def build() -> dict[str, Any]:
    """Return the document of an application that serves nobody."""
    async with ApiClient(Configuration()) as client:
        parts = Dependencies("default", Kube(client, "default"), KeyRing("default"))
        return create_app(parts).openapi()


def render() -> str:
    """Return the document as text."""
    return json.dumps(asyncio.run(build()), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document into each directory named on the command line."""
    parser = argparse.ArgumentParser(prog="harebell_api.generate", description=__doc__)
    parser.add_argument("directories", nargs="+", type=Path)
    text = render()
    for directory in parser.parse_args().directories:
        (directory / FILE).write_text(text)


if __name__ == "__main__":
    main()
