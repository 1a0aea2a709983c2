"""Waiting until this replica knows what a client has seen at another."""

from harebell_api.problems import ProblemError

from .message import TRY_AGAIN, End
from .sources import EndedError, ResetError, Sources

RESTORED = "the cluster was restored from a backup that is older than what was told"


async def reach(sources: Sources, seen: int) -> None:
    """Wait until Tasks were listed and everything up to the version ``seen`` was delivered.

    :raises ResetError: there is no such version any more.
    :raises EndedError: it has not come in time.
    """
    if await sources.feed.reached(seen, sources.patience.catch_up):
        return
    if not sources.feed.filled:
        raise EndedError(End(TRY_AGAIN, "the API has not listed the Tasks yet"))
    try:
        current = await sources.tasks.current_version()
    except ProblemError as error:
        raise EndedError(End(TRY_AGAIN, error.problem.detail)) from error
    if current < seen:
        raise ResetError(RESTORED)
    raise EndedError(End(TRY_AGAIN, "this replica of the API is behind"))
