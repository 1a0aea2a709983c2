"""What Prometheus is told: monitors that find every port, and alerts over metrics that there are."""

import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from tests.support.chart import REPOSITORY, VARIANTS, of_kind, pods, render

import harebell_archive.metrics  # noqa: F401 - its metrics register themselves
import harebell_operator.metrics  # noqa: F401 - the same
from harebell_api.metrics import Metrics as ApiMetrics

MONITORED = VARIANTS["monitored"]
TARGET_LABELS = {"namespace", "pod"}
"""Put to every series by the Prometheus Operator."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def exported(*registries: CollectorRegistry) -> dict[str, set[str]]:
    """Labels by the name of each series."""
    found: dict[str, set[str]] = {}
    for registry in registries:
        for collector in registry._collector_to_names:
            if isinstance(collector, MetricWrapperBase):
                (family,) = collector.describe()
                labels = set(collector._labelnames)
                if family.type == "stateset":
                    labels.add(family.name)
                for suffix in SUFFIXES.get(family.type, ("",)):
                    found[f"{family.name}{suffix}"] = labels
    return found


API_METRICS = ApiMetrics()
API_METRICS.observe_keys(lambda: 1.0, lambda: True)  # which the application adds
EXPORTED = exported(REGISTRY, API_METRICS.registry)


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
