"""What Prometheus is told: monitors that find every port, and alerts over metrics that there are."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from docs.reference.metrics import exported
from tests.support.chart import REPOSITORY, VARIANTS, of_kind, pods, render

MONITORED = VARIANTS["monitored"]
TARGET_LABELS = {"namespace", "pod"}
"""Put to every series by the Prometheus Operator."""


EXPORTED = {
    series: set(metric.labels)
    for metrics in exported().values()
    for metric in metrics
    for series in metric.series
}
"""Labels by the name of each series."""


def alerts() -> dict[str, dict[str, Any]]:
    (rule,) = of_kind(render(MONITORED), "PrometheusRule").values()
    listed = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    assert len({each["alert"] for each in listed}) == len(listed)
    return {each["alert"]: each for each in listed}


def selectors(expression: str) -> Iterator[Any]:
    """Every selector of series in an expression. :raises ValueError: it is no PromQL."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


ALERTS = alerts()
every_alert = pytest.mark.parametrize("alert", ALERTS)


def test_a_name_that_nobody_exports_would_be_found() -> None:
    (selector,) = selectors('rate(harebell_no_such_total{phase="x"}[5m]) > 0')
    assert selector.name not in EXPORTED
    with pytest.raises(ValueError, match="parenthesis"):
        list(selectors("sum(x"))


@every_alert
def test_alerts_are_promql_over_metrics_and_labels_that_there_are(alert: str) -> None:
    found = list(selectors(ALERTS[alert]["expr"]))
    assert found
    for selector in found:
        assert selector.name in EXPORTED
        matched = {m.name for m in selector.matchers.matchers}
        assert matched <= EXPORTED[selector.name] | TARGET_LABELS
    labels = set().union(*(EXPORTED[s.name] for s in found)) | TARGET_LABELS
    said = " ".join(ALERTS[alert]["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", said)) <= labels


@every_alert
def test_alerts_are_of_the_releases_namespace(alert: str) -> None:
    matchers = [s.matchers.matchers for s in selectors(ALERTS[alert]["expr"])]
    own = [m for each in matchers for m in each if (m.name, m.value) == ("namespace", "agents")]
    # What is only joined to another by its namespace need not say it again.
    assert len(own) >= len(matchers) - (" and on (namespace" in ALERTS[alert]["expr"])


@every_alert
def test_alerts_say_how_bad_it_is_and_where_to_read_on(alert: str) -> None:
    assert ALERTS[alert]["labels"]["severity"] in ("warning", "critical")
    page, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    assert page == "https://docs.example.org/runbook"
    assert anchor == alert.lower()


def test_the_runbook_has_a_section_for_every_alert_and_none_besides() -> None:
    headings = re.findall(r"^### (Harebell\w+)$", (REPOSITORY / "docs/runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


def test_a_value_says_where_the_runbook_is() -> None:
    (rule,) = of_kind(render({"monitoring": {"enabled": True}}), "PrometheusRule").values()
    urls = {r["annotations"]["runbook_url"].split("#")[0] for r in rule["spec"]["groups"][0]["rules"]}
    assert urls == {"docs/runbook.md"}


def test_without_postgresql_no_alert_misses_the_archive() -> None:
    values = MONITORED | {"postgresql": {"embedded": {"enabled": False}}}
    (rule,) = of_kind(render(values), "PrometheusRule").values()
    assert not [r for r in rule["spec"]["groups"][0]["rules"] if "harebell_archive" in r["expr"]]


def test_monitors_find_every_port_with_metrics_once() -> None:
    resources = render(MONITORED)
    templates = pods(resources)
    templates["pool"] = {
        "metadata": {"labels": {"harebell.dev/agent-type": "x", "harebell.dev/agent-pool": "crew"}},
        "spec": {"containers": [{"ports": [{"name": "metrics", "containerPort": 9091}]}]},
    }
    found: list[tuple[str, int]] = []
    for monitor in of_kind(resources, "PodMonitor").values():
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        found += [
            (name, port["containerPort"])
            for name, pod in templates.items()
            if selected(monitor["spec"]["selector"], pod["metadata"]["labels"])
            for container in pod["spec"]["containers"]
            for port in container["ports"]
            if port["name"] == endpoint["port"]
        ]
    for monitor in of_kind(resources, "ServiceMonitor").values():
        (endpoint,) = monitor["spec"]["endpoints"]
        for service in of_kind(resources, "Service").values():
            if selected(monitor["spec"]["selector"], service["metadata"]["labels"]):
                found += [
                    (monitor["metadata"]["name"], port["port"])
                    for port in service["spec"]["ports"]
                    if port["name"] == endpoint["port"]
                ]
    assert sorted(found) == sorted(
        [
            ("bell-harebell-agent-infra", 9091),
            ("bell-harebell-agent-text", 9091),
            ("bell-harebell-api", 80),
            ("bell-harebell-archiver", 9092),
            ("bell-harebell-operator", 9090),
            ("bell-harebell-rabbitmq", 15692),
            ("pool", 9091),
        ]
    )


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    exist = {e["key"] for e in selector.get("matchExpressions", []) if e["operator"] == "Exists"}
    return selector.get("matchLabels", {}).items() <= labels.items() and exist <= labels.keys()


def test_prometheus_selects_by_labels_of_the_values() -> None:
    kinds = ("ServiceMonitor", "PodMonitor")
    for monitor in of_kind(render(MONITORED), *kinds).values():
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
    labelled = {"monitoring": {"enabled": True, "rules": {"labels": {"role": "alerts"}}}}
    (rule,) = of_kind(render(labelled), "PrometheusRule").values()
    assert rule["metadata"]["labels"]["role"] == "alerts"


def test_nothing_for_prometheus_unless_asked() -> None:
    assert not of_kind(render(), "ServiceMonitor", "PodMonitor", "PrometheusRule")
    quiet = {"monitoring": {"enabled": True, "rules": {"enabled": False}}}
    assert not of_kind(render(quiet), "PrometheusRule")


# ---- the dashboard ---------------------------------------------------------------------------------------

DASHBOARD = {"monitoring": {"dashboard": {"enabled": True, "annotations": {"grafana_folder": "agents"}}}}
INTERVAL = "$__rate_interval"
"""Put in by Grafana."""


def dashboard() -> dict[str, Any]:
    (found,) = (m for n, m in of_kind(render(DASHBOARD), "ConfigMap").items() if n.endswith("-dashboard"))
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "agents"}
    shown: dict[str, Any] = json.loads(found["data"]["harebell.json"])
    return shown


PANELS = dashboard()["panels"]
QUERIES = [
    pytest.param(target, id=f"{panel['title']}-{target['refId']}")
    for panel in PANELS
    for target in panel.get("targets", ())
]


@pytest.mark.parametrize("target", QUERIES)
def test_the_dashboard_asks_for_metrics_and_labels_that_there_are(target: dict[str, str]) -> None:
    found = list(selectors(target["expr"].replace(INTERVAL, "5m")))
    assert found
    labels = TARGET_LABELS | {"le"}
    for selector in found:
        assert ("namespace", "$namespace") in {(m.name, m.value) for m in selector.matchers.matchers}
        assert {m.name for m in selector.matchers.matchers} <= EXPORTED[selector.name] | TARGET_LABELS
        labels |= EXPORTED[selector.name]
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"])
    assert {label for each in grouped for label in each.split(", ")} <= labels
    named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    assert named <= labels
    # What is not grouped by shows as one line for each of its values, all of one name.
    if " by (" in target["expr"]:
        by = set().union(*(each.split(", ") for each in re.findall(r"by \(([^)]*)\)", target["expr"])))
        assert by - {"le"} == named


def test_panels_have_places_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in PANELS
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert all(x < 24 for x, _ in taken)


def test_no_dashboard_unless_asked() -> None:
    assert not [name for name in of_kind(render(), "ConfigMap") if "dashboard" in name]
