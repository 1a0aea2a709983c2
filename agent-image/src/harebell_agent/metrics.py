"""The figures on /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)

UNKNOWN_ACTION = "unknown"
"""Label of actions the agent does not offer: their names come from outside, and have no bound."""


class Metrics:
    """What the agent counts; each instance with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.tasks = Counter(
            "harebell_agent_tasks",
            "Attempts that ended, by action and outcome.",
            ("action", "outcome"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "harebell_agent_task_seconds",
            "Time from the start of an action to its end.",
            ("action",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.current = Gauge(
            "harebell_agent_current_tasks",
            "Attempts from before they are reported as started until their outcome is confirmed.",
            registry=self.registry,
        )
        self.connected = Gauge(
            "harebell_agent_connected", "Whether there is a connection to the broker.", registry=self.registry
        )
        self.ready = Gauge(
            "harebell_agent_ready", "Whether the agent is registered and takes work.", registry=self.registry
        )
        self.paused = Gauge(
            "harebell_agent_paused",
            "Whether an announcement keeps it from taking work.",
            registry=self.registry,
        )
        self.consuming = Gauge(
            "harebell_agent_consuming",
            "Whether within the last minute the broker answered a loop that looks for work, or gave it some.",
            registry=self.registry,
        )
        self.superseded = Counter(
            "harebell_agent_superseded_messages",
            "Work messages dropped because a later one took their place.",
            registry=self.registry,
        )
        self.unreadable = Counter(
            "harebell_agent_unreadable_messages",
            "Work messages that could not be read.",
            registry=self.registry,
        )
