import pytest

from harebell_api.selector import parse_selector

LABELS = {"team": "web", "tier": "front", "example.org/a": "b", "empty": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("  ", True),
        ("team=web", True),
        ("team==web", True),
        ("team = web", True),
        ("team=db", False),
        ("team!=db", True),
        ("team!=web", False),
        ("missing!=web", True),
        ("empty=", True),
        ("example.org/a=b", True),
        ("team", True),
        ("missing", False),
        ("!missing", True),
        ("!team", False),
        ("team in (db, web)", True),
        ("team in (db)", False),
        ("missing in (db)", False),
        ("team notin (db)", True),
        ("missing notin (db)", True),
        ("team notin (db,web)", False),
        ("team in (db,web),tier=front", True),
        ("team in (db,web),tier=back", False),
    ],
)
def test_selection(text: str, selected: bool) -> None:
    assert parse_selector(text).matches(LABELS) is selected


@pytest.mark.parametrize(
    "text", ["=", "team=web,", "team in web", "team in (a", "te am", "a=b=c", "team in ((a))"]
)
def test_not_a_selector(text: str) -> None:
    with pytest.raises(ValueError, match="requirement"):
        parse_selector(text)
