"""The chart's checks of `make verify`: what makes them fail."""

import json
from typing import Any

import pytest
from tests.verify.chart import WAIVERS, Finding, Waiver, findings, judged, waivers

FOUND = Finding("container-resources", "Deployment/bell-operator", "CPU limit is not set")
MEANT = Waiver("container-resources", "Deployment/.*", "throttling")


def scored(grade: int = 1, skipped: bool = False, comments: Any = ()) -> list[dict[str, Any]]:
    about = {"id": "c", "name": "C"}
    check = {"check": about, "grade": grade, "skipped": skipped, "comments": list(comments)}
    return [{"type_meta": {"kind": "Deployment"}, "object_meta": {"name": "d"}, "checks": [check]}]


def test_nothing_found_and_nothing_waived_is_fine() -> None:
    assert judged(set(), []) is None


def test_what_is_found_is_told_with_its_object_and_check() -> None:
    problem = judged({FOUND}, [])
    assert problem == "Deployment/bell-operator: CPU limit is not set (container-resources)"


def test_what_is_waived_passes() -> None:
    assert judged({FOUND}, [MEANT]) is None


@pytest.mark.parametrize(
    "other",
    [
        Waiver("container-image-tag", "Deployment/.*", "another check"),
        Waiver("container-resources", "StatefulSet/.*", "another kind"),
        Waiver("container-resources", "Deployment/bell", "a part of the name"),
    ],
)
def test_a_waiver_of_something_else_neither_covers_nor_stays(other: Waiver) -> None:
    problem = judged({FOUND}, [other])
    assert problem is not None
    assert "CPU limit is not set" in problem
    assert f"{other.objects} is found no more" in problem


def test_warnings_and_worse_are_findings() -> None:
    assert findings(scored(grade=5)) == {Finding("c", "Deployment/d", "C")}
    assert findings(scored(comments=[{"summary": "S"}])) == {Finding("c", "Deployment/d", "S")}
    assert findings(scored(grade=10)) == set()
    assert findings(scored(skipped=True)) == set()


def test_every_waiver_has_a_reason() -> None:
    for each in waivers(WAIVERS.read_text()):
        assert len(each.reason.split()) > 3, each.check
    with pytest.raises(TypeError):
        waivers('[[waiver]]\ncheck = "c"\nobjects = ".*"\n')


def test_findings_are_read_from_json_as_kube_score_writes_it() -> None:
    text = json.dumps(scored(comments=[{"path": "agent", "summary": "S", "description": "D"}]))
    assert {f.text for f in findings(json.loads(text))} == {"S"}
