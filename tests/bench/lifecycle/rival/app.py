"""Celery as one would set it up for work that must not be lost; the broker's URL is in ``RIVAL_BROKER``."""

import os
from typing import Any

from celery import Celery

QUEUE = "rival"

app = Celery("rival", broker=os.environ["RIVAL_BROKER"], backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    task_default_queue_type="quorum",
    # Delayed delivery, which comes with quorum queues, binds to nothing else.
    task_default_exchange_type="topic",
    worker_detect_quorum_queues=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"confirm_publish": True},
    # RabbitMQ 4.3 refuses transient queues that others may use.
    result_persistent=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
)


@app.task  # type: ignore[untyped-decorator]
def echo(payload: Any) -> Any:
    """Return the payload."""
    return payload
