"""Durations as people write them, ``1h30m``, and as they read them."""

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern.replace('?P<number>', '').replace('?P<unit>', '')})+")
LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """Return the duration. :raises ValueError: it is none, or zero, or over ten years."""
    duration = parse_timeout(text)
    if not duration:
        raise ValueError(f"{text!r} is no duration: it is no time at all")
    return duration


def parse_timeout(text: str) -> timedelta:
    """Return the duration, which may be zero. :raises ValueError: it is none, or over ten years."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration: a number and s, m, h, d or w, such as 30d or 1h30m")
    parts = _PART.finditer(text)
    duration = sum((timedelta(**{_UNITS[p["unit"]]: int(p["number"])}) for p in parts), timedelta())
    if duration > LONGEST:
        raise ValueError(f"{text!r} is over {LONGEST.days} days")
    return duration


def spell(duration: timedelta) -> str:
    """Return a duration for people: ``80ms``, ``2.5s``, or in the two units that matter, ``2d4h``."""
    seconds = max(duration.total_seconds(), 0.0)
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    return age(duration)


def age(duration: timedelta) -> str:
    """Return how long ago something was, for people: whole seconds, or the two units that matter."""
    left = max(int(duration.total_seconds()), 0)
    words: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or words or unit == "s":
            words.append(f"{number}{unit}" if number or not words else "")
        if len(words) == 2:
            break
    return "".join(words)
