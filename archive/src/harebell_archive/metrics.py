"""The archiver's metrics."""

from prometheus_client import Counter, Enum, Gauge

from harebell_bus.envelopes import ArchiverState

MESSAGES = Counter("harebell_archive_messages_total", "Messages archived by this process")
BATCHES = Counter("harebell_archive_batches_total", "Transactions with messages committed by this process")
GAPS = Counter("harebell_archive_gaps_total", "Gaps found by this process", ["reason"])
GAP_MESSAGES = Counter(
    "harebell_archive_gap_messages_total", "Messages that are not in the archive, at most; as far as known"
)
REFUSED = Counter(
    "harebell_archive_refused_bodies_total",
    "Bodies kept as they came because PostgreSQL refused them as JSON",
)
LAG = Gauge("harebell_archive_lag_messages", "Messages of the stream that are not archived yet; -1: unknown")
LAST_COMMIT = Gauge("harebell_archive_last_commit_timestamp_seconds", "When messages were last archived")
BROKER_CONNECTED = Gauge("harebell_archive_broker_connected", "1 while connected to RabbitMQ")
STATE = Enum(
    "harebell_archive_state", "What the archiver does", states=[state.value for state in ArchiverState]
)
