"""Percentiles, ratios and the report of the lifecycle's benchmark."""

import json
from dataclasses import replace

import pytest
from tests.bench.lifecycle.figures import Life, Pass, Subject, cpu, legs, ratios, spread
from tests.bench.lifecycle.report import document, lines, markdown

LIFE = Life(created=10.0, queued=10.5, started=11.5, completed=11.75, seen=12.75)
PASSES = [
    Pass(Subject.TASKS, 1, 100, 1.0, agents=4, writes=1.5, cpu={"operator": 0.5}, busy=0.9, lives=(LIFE,)),
    Pass(Subject.TASKS, 2, 100, 2.0, agents=4, writes=1.0, cpu={"operator": 0.7}, busy=0.8, lives=(LIFE,)),
    Pass(Subject.TASKS, 3, 100, 0.5, agents=4, writes=1.0, cpu={"operator": 0.6}, busy=0.7, lives=(LIFE,)),
    Pass(Subject.TASKS, 1, 100, 4.0, agents=1, writes=1.0),
    Pass(Subject.JOBS, 1, 50, 1.0, cpu={"controllers": 0.1}),
    Pass(Subject.JOBS, 2, 50, 1.0),
    Pass(Subject.JOBS, 3, 50, 4.0),
    Pass(Subject.MESSAGES, 1, 400, 1.0, agents=4),
    Pass(Subject.CELERY, 1, 400, 2.0, agents=4),
    Pass(Subject.CELERY, 1, 400, 8.0, agents=16),
]


def test_legs_follow_one_another_and_add_up() -> None:
    found = LIFE.legs()
    assert list(found.values()) == [0.5, 1.0, 0.25, 1.0, 2.75]
    *parts, whole = found.values()
    assert sum(parts) == whole


def test_legs_of_passes_are_percentiles_in_milliseconds() -> None:
    lives = tuple(replace(LIFE, seen=LIFE.completed + n / 1000) for n in range(1, 101))
    found = legs([replace(PASSES[0], lives=lives[:50]), replace(PASSES[0], lives=lives[50:])])
    p50, p99 = found["completed → seen"]
    assert (round(p50), round(p99)) == (50, 99)
    assert legs([PASSES[4]]) == {}


def test_a_ratio_is_the_median_over_repeats_with_the_rival_of_the_same_repeat() -> None:
    found = {(r.goal.subject, r.goal.rival, r.agents): r for r in ratios(PASSES)}
    jobs = found[Subject.TASKS, Subject.JOBS, 4]
    # 100 / 50, 50 / 50, 200 / 12.5
    assert (jobs.median, jobs.lowest, jobs.highest) == (2, 1, 16)
    assert not jobs.reached
    # Of one agent only the first repeat is there.
    assert found[Subject.TASKS, Subject.JOBS, 1].median == 0.5


def test_messages_are_compared_with_as_many_workers() -> None:
    found = {r.agents: r for r in ratios(PASSES) if r.goal.rival is Subject.CELERY}
    assert list(found) == [4]
    assert found[4].median == 2


def test_what_was_not_measured_has_no_ratio() -> None:
    assert {r.goal.rival for r in ratios(PASSES)} == {Subject.JOBS, Subject.CELERY}
    assert ratios([]) == []


def test_a_goal_is_reached_at_its_figure() -> None:
    tasks = Pass(Subject.TASKS, 1, 100, 1.0, agents=1)
    (ratio,) = ratios([tasks, Pass(Subject.WRITES, 1, 200, 1.0)])
    assert ratio.median == 0.5
    assert ratio.reached


def test_cpu_is_of_one_and_the_median() -> None:
    assert cpu(PASSES[:3]) == {"operator": pytest.approx(6.0)}


@pytest.mark.parametrize(("total", "each"), [(100, 1.0), (100, 1.37), (7, 2.5), (3, 0.0)])
def test_writes_are_spread_evenly_and_none_is_lost(total: int, each: float) -> None:
    counts = spread(total, each)
    assert len(counts) == total
    assert sum(counts) == round(total * each)
    assert max(counts) - min(counts) <= 1


def test_the_report_says_what_was_reached_and_what_not() -> None:
    text = markdown({"machine": "2 cores"}, PASSES)
    assert "- machine: 2 cores" in text
    assert "| Tasks / Kubernetes Jobs | 4 | 2.00 (1.00 to 16.00); goal 3, not reached |" in text
    assert "| Tasks | 4 | 100 | 100 | 50 to 200 | 80% |" in text
    assert "| 4 | 500 / 500 | 1000 / 1000 | 250 / 250 | 1000 / 1000 | 2750 / 2750 |" in text
    assert "| Tasks | 4 | 1.00 | 6.0 | - |" in text
    assert "| Tasks | 4 | 6.0 | 167 | operator 100% |" in text
    assert lines(PASSES)[-1] == "messages / Celery, 4 agents: 2.00 (2.00 to 2.00); goal 3, not reached"


def test_the_document_holds_every_pass_without_the_single_tasks() -> None:
    found = json.loads(json.dumps(document({"machine": "2 cores"}, PASSES)))
    assert len(found["passes"]) == len(PASSES)
    assert "lives" not in found["passes"][0]
    assert found["passes"][0]["legs_ms"]["created → queued"] == [500.0, 500.0]
    assert {r["to"] for r in found["ratios"]} == {"Kubernetes Jobs", "Celery"}
