"""Durations as people write them: ``30d``."""

import re
from datetime import timedelta

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(?P<number>[1-9][0-9]{0,5})(?P<unit>[mhdw])")
LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """Return the duration. :raises ValueError: it is none, or over ten years."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no duration: a number and m, h, d or w, such as 30d")
    duration = timedelta(**{_UNITS[found["unit"]]: int(found["number"])})
    if duration > LONGEST:
        raise ValueError(f"{text!r} is over {LONGEST.days} days; leave it out for a key that never expires")
    return duration
