"""The payload of a Task, from what the command line says of it."""

import json
import re
from collections.abc import Iterable
from typing import Any

from harebell_crds.task import MAX_PAYLOAD_BYTES

_DOT = re.compile(r"(?<!\\)\.")


class PayloadError(ValueError):
    """What was given is no payload. The message says what is wrong with it."""


def payload_of(text: str | None, settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the payload: a JSON object, in which members are set one after the other.

    :param text: JSON. None: an empty object.
    :param settings: paths and values, see :func:`setting`.
    :raises PayloadError: it is no JSON object, or cannot be sent.
    """
    payload = {} if text is None else _parsed(text)
    if not isinstance(payload, dict):
        raise PayloadError('the payload must be a JSON object, such as \'{"text": "hello"}\'')
    for path, value in settings:
        _set(payload, path, value)
    try:
        size = len(json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
    except (ValueError, RecursionError) as error:
        raise PayloadError(
            "the payload holds a number or a character that JSON cannot express, or is nested too deep"
        ) from error
    if size > MAX_PAYLOAD_BYTES:
        raise PayloadError(f"the payload has {size} bytes as JSON; at most {MAX_PAYLOAD_BYTES} are allowed")
    return payload


def setting(text: str) -> tuple[str, Any]:
    """Return path and value of ``path=value``; a value that is JSON is that, any other is text.

    :raises PayloadError: it is no setting.
    """
    path, value = text_setting(text)
    try:
        return path, _parsed(value)
    except PayloadError:
        return path, value


def text_setting(text: str) -> tuple[str, str]:
    """Return path and value of ``path=value``; the value is text. :raises PayloadError: it is no setting."""
    path, equals, value = text.partition("=")
    if not equals or not all(_DOT.split(path)):
        raise PayloadError(f"{text!r} is no setting: PATH=VALUE, such as url=https://example.org or a.b=3")
    return path, value


def _set(payload: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = (part.replace("\\.", ".") for part in _DOT.split(path))
    place: Any = payload
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise PayloadError(f"{path} cannot be set: {parent} is no object")
    place[last] = value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise PayloadError("the payload is nested too deep") from error
    except ValueError as error:
        raise PayloadError(f"the payload is no JSON: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
