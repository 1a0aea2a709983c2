"""The operator's metrics."""

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter("harebell_reconciles_total", "Reconciliations", ["kind", "outcome"])
STATUS_WRITES = Counter("harebell_status_writes_total", "Status patches sent to the API server", ["kind"])
TASKS_FINISHED = Counter(
    "harebell_tasks_finished_total", "Tasks that reached a terminal phase", ["phase", "agent_type"]
)
ATTEMPTS_PUBLISHED = Counter(
    "harebell_attempts_published_total", "Work messages published", ["agent_type", "priority"]
)
MESSAGES_LOST = Counter(
    "harebell_messages_lost_total", "Messages of Memory lanes that the broker lost", ["agent_type"]
)
REPLIES = Counter("harebell_replies_total", "Replies consumed", ["kind"])
STALE_REPLIES = Counter("harebell_stale_replies_total", "Replies that were not of the current attempt")
UNREADABLE = Counter(
    "harebell_unreadable_messages_total", "Messages dead-lettered because they could not be read", ["queue"]
)
HEARTBEATS = Counter("harebell_heartbeats_total", "Heartbeats consumed", ["reason"])
AGENTS = Gauge("harebell_agents", "Agents by type and phase", ["agent_type", "phase"])
AGENTS_NOT_CONSUMING = Gauge(
    "harebell_agents_not_consuming", "Agents that do not listen for work though they should", ["agent_type"]
)
GPUS = Gauge(
    "harebell_gpus",
    "GPUs of the agents that are there, by their type; one that several share counts once",
    ["agent_type"],
)
GPU_MEMORY_SIZE = Gauge("harebell_gpu_memory_size_bytes", "Memory that these GPUs have", ["agent_type"])
GPU_MEMORY_USED = Gauge("harebell_gpu_memory_used_bytes", "Memory of these GPUs in use", ["agent_type"])
TASKS = Gauge("harebell_tasks", "Tasks by phase", ["phase"])
QUEUE_DEPTH = Gauge("harebell_queue_depth", "Tasks that wait for an agent, by type", ["agent_type"])
QUEUE_OLDEST = Gauge(
    "harebell_queue_oldest_timestamp_seconds",
    "Since when the Task that has waited longest waits for an agent, by type; none waits: no series",
    ["agent_type"],
)
POOL_REPLICAS = Gauge(
    "harebell_pool_replicas", "Pods of AgentPools by state", ["pool", "agent_type", "state"]
)
QUEUE_SECONDS = Histogram(
    "harebell_task_queue_seconds",
    "Seconds from the confirm of the message to the start of the attempt",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000),
)
MISSED_BY_WATCH = Counter(
    "harebell_missed_by_watch_total",
    "Changes for whose absence a watch was called dead",
    ["kind"],
)
ADOPTION = Gauge(
    "harebell_adoption_tasks",
    "What this operator found when it took over: Tasks adopted and lost, attempts fenced",
    ["outcome"],
)
HISTORY_RECORDED = Gauge("harebell_history_recorded", "1 while the history takes every message")
LEADING = Gauge("harebell_leading", "1 for the operator that works; those that stand by have 0")
BROKER_CONNECTED = Gauge("harebell_broker_connected", "1 while connected to RabbitMQ")
