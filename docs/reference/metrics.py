"""Every metric that harebell exports, and the page that lists them."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import harebell_archive.metrics
import harebell_operator.metrics
from harebell_agent.metrics import Metrics as AgentMetrics
from harebell_api.metrics import Metrics as ApiMetrics


@dataclass(frozen=True)
class Metric:
    """A family of series, as Prometheus knows it."""

    name: str
    """As in queries; of a histogram without the ending."""
    kind: str
    labels: tuple[str, ...]
    about: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series."""
        endings = ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)
        return tuple(f"{self.name}{ending}" for ending in endings)


def exported() -> dict[str, list[Metric]]:
    """Return the metrics of each component, by name."""
    api = ApiMetrics()
    api.observe_keys(lambda: 1.0, lambda: True)  # which the application adds
    return {
        "operator": _metrics(vars(harebell_operator.metrics).values()),
        "API": _metrics(_collectors(api.registry)),
        "agent": _metrics(_collectors(AgentMetrics().registry)),
        "archiver": _metrics(vars(harebell_archive.metrics).values()),
    }


def _collectors(registry: CollectorRegistry) -> Iterable[object]:
    # The library has no public way to ask for labels that no series has yet.
    return registry._collector_to_names


def _metrics(found: Iterable[object]) -> list[Metric]:
    collectors = {c for c in found if isinstance(c, MetricWrapperBase)}
    return sorted(map(_metric, collectors), key=lambda metric: metric.name)


def _metric(collector: MetricWrapperBase) -> Metric:
    (family,) = collector.describe()
    about, labels = family.documentation.rstrip("."), tuple(collector._labelnames)
    match family.type:
        case "counter":
            return Metric(f"{family.name}_total", "counter", labels, about)
        case "stateset":
            # In Prometheus' text format; 1 for the state that it is in.
            return Metric(family.name, "gauge", (*labels, family.name), about)
        case kind:
            return Metric(family.name, kind, labels, about)


def page() -> str:
    """Return the page, in Markdown."""
    lines = [
        "# Metrics",
        "",
        "What each component serves on `/metrics`, beside the usual figures of a process (`process_*`)."
        " How they are read, and which of them alert, is in the [runbook](runbook.md#metrics).",
    ]
    for component, metrics in exported().items():
        lines += [
            "",
            f"## {component[0].upper()}{component[1:]}",
            "",
            "| metric | type | labels | |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{m.name}` | {m.kind} | {', '.join(f'`{label}`' for label in m.labels)} | {m.about} |"
            for m in metrics
        ]
    return "\n".join([*lines, ""])
