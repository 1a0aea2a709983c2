"""Payloads from command lines."""

from typing import Any

import pytest

from harebell_cli.payloads import PayloadError, payload_of, setting, text_setting
from harebell_crds.task import MAX_PAYLOAD_BYTES


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a=1", ("a", 1)),
        ("a=", ("a", "")),
        ("a=two words", ("a", "two words")),
        ('a="1"', ("a", "1")),
        ("a=null", ("a", None)),
        ('a=[1, {"b": true}]', ("a", [1, {"b": True}])),
        ("a=b=c", ("a", "b=c")),
        ("a=NaN", ("a", "NaN")),
        ("a.b=2", ("a.b", 2)),
    ],
)
def test_settings(given: str, expected: tuple[str, Any]) -> None:
    assert setting(given) == expected


def test_text_stays_text() -> None:
    assert text_setting("a=1") == ("a", "1")


@pytest.mark.parametrize("given", ["", "a", "=1", ".=1", "a.=1", ".a=1"])
def test_no_settings(given: str) -> None:
    with pytest.raises(PayloadError, match="PATH=VALUE"):
        setting(given)


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        (None, [], {}),
        ('{"a": 1}', [], {"a": 1}),
        ('{"a": 1, "b": 2}', [("a", 3)], {"a": 3, "b": 2}),
        (None, [("a.b", 1), ("a.c", 2)], {"a": {"b": 1, "c": 2}}),
        (None, [("a\\.b", 1)], {"a.b": 1}),
        (None, [("a", {"b": 1}), ("a.c", 2)], {"a": {"b": 1, "c": 2}}),
    ],
)
def test_payloads(text: str | None, settings: list[tuple[str, Any]], expected: dict[str, Any]) -> None:
    assert payload_of(text, settings) == expected


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("[1]", [], "must be a JSON object"),
        ("{", [], "is no JSON"),
        ('{"a": NaN}', [], "NaN is no JSON"),
        ('{"a": 1e999}', [], "JSON cannot express"),
        ('{"a": "\\ud800"}', [], "JSON cannot express"),
        ('{"a": ' + "[" * 100_000, [], "nested too deep"),
        (None, [("a", 1), ("a.b", 2)], "a.b cannot be set: a is no object"),
        (None, [("a", "x" * MAX_PAYLOAD_BYTES)], f"at most {MAX_PAYLOAD_BYTES}"),
    ],
)
def test_what_is_no_payload(text: str | None, settings: list[tuple[str, Any]], said: str) -> None:
    with pytest.raises(PayloadError, match=said):
        payload_of(text, settings)


def test_what_just_fits() -> None:
    payload_of(None, [("a", "x" * (MAX_PAYLOAD_BYTES - len('{"a":""}')))])
