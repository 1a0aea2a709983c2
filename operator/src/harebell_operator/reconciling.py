"""One step of a reconciler, whatever the kind: it is counted, and tried again when it failed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from . import metrics
from .apiserver import KubeError, NotFoundError, RefusedError
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""When the API server could not be reached, or somebody else wrote in between."""
FAULT_SECONDS = 60.0
"""When trying again at once would end the same way."""


async def take_step(
    kind: str, name: str, key: str, queue: WorkQueue[str], step: Awaitable[None], gone: Callable[[str], None]
) -> None:
    """Await ``step``; when it fails, say so and queue ``key`` again.

    :param gone: Told ``key`` when the object turns out to be deleted.
    """
    outcome, again = "success", None
    try:
        await step
    except NotFoundError:
        outcome = "gone"
        gone(key)
    except RefusedError as error:
        outcome, again = "refused", FAULT_SECONDS
        logger.error("what was to be written of %s %s was refused: %s", kind, name, error)
    except KubeError as error:
        outcome, again = "error", RETRY_SECONDS
        logger.warning("%s %s: %s", kind, name, error)
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and _called_off():
            raise
        # A fault of ours with one object must not take the others down with it. A cancellation that nobody
        # asked for is one too: a client gave up what was awaited, and a task group would not miss the worker.
        outcome, again = "fault", FAULT_SECONDS
        logger.exception("%s %s could not be reconciled", kind, name)
    metrics.RECONCILES.labels(kind, outcome).inc()
    if again is not None:
        queue.add_after(key, again)


def _called_off() -> bool:
    """Return whether somebody asked the running task to end."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
