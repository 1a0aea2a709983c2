"""How large a value is where it is limited."""

import json
from typing import Any


def json_bytes(value: Any) -> int:
    """Return the bytes of a value as compact JSON in UTF-8, as the SDK counts them too."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace"))
