"""Writes ``metrics.md`` into the folder that is named."""

import sys
from pathlib import Path

from .metrics import page

if __name__ == "__main__":
    (Path(sys.argv[1]) / "metrics.md").write_text(page())
