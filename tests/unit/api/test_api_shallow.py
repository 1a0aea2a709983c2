import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from harebell_api.kube import _parse
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.records import task_record
from harebell_api.shallow import DEEPEST, depth_of, read_json, without_depths

from .fakes import task

ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('"\\[]{}a\u20ac', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\[]{}b'), inner, max_size=3),
    max_leaves=20,
)


def _cut(value: Any, deepest: int) -> Any:
    if isinstance(value, dict | list) and deepest == 0:
        return None
    if isinstance(value, dict):
        return {k: _cut(v, deepest - 1) for k, v in value.items()}
    return [_cut(v, deepest - 1) for v in value] if isinstance(value, list) else value


@given(ANY, st.integers(1, 4))
def test_what_is_deep_becomes_null_and_nothing_else_changes(value: Any, deepest: int) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert json.loads(without_depths(text.encode(), deepest)) == _cut(value, deepest)
    assert (_cut(value, deepest) == value) is (depth_of(value) <= deepest)


@pytest.mark.parametrize("levels", [1, DEEPEST, 250, 300, 1500, 9000])
def test_a_resource_is_read_and_shown_however_deep_it_is(levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    text = json.dumps(task("t", status={"phase": "Succeeded", "result": "here"}))
    record = task_record(_parse(text.replace('"here"', deep).encode()))
    assert (record.name, record.phase) == ("t", "Succeeded")
    result = json.loads(record.body)["result"]
    shown = 0
    while isinstance(result, dict):
        result, shown = result["a"], shown + 1
    assert (shown == levels) if levels <= DEEPEST else (DEEPEST - 5 < shown < levels)


def test_what_is_no_json_is_none_still() -> None:
    for text in (b"", b"{", b"[" * 500, b"[" * 500 + b"}" * 500, b"nope", b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            read_json(text)
        with pytest.raises(ApiServerUnreachableError):
            _parse(text)


def test_what_can_be_read_can_be_written() -> None:
    text = b"[" * 199 + b"]" * 199
    assert to_json(read_json(text)) == text
