"""Leadership by a Lease (``coordination.k8s.io``): whoever holds it works, and everybody else stands by.

The election is the official client's. Three things are added: every call ends within a time limit and fails
in the one way the election knows; the work's own end ends the leadership, so that nobody leads who does
nothing; and leadership ends a fixed time after the last renewal, whatever call is under way then, before
another replica may take it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, CoordinationV1Api, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from harebell_bus.link import describe

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2
CALL_SECONDS = 3.0


class LeadershipLostError(Exception):
    """The Lease could not be renewed in time; somebody else may lead now."""


@dataclass(frozen=True)
class Terms:
    """Whose Lease it is, and for how long."""

    namespace: str
    lease: str
    identity: str
    seconds: int
    """How long the Lease lasts without renewal: a leader that died is replaced after this and at most one
    :data:`RETRY_SECONDS`. A process with the identity of the one before it need not wait."""

    @property
    def renew_seconds(self) -> float:
        """A leader that could not renew for so long stops: safely before its Lease is over."""
        return 0.7 * self.seconds


class Lock(LeaseLock):
    """The Lease, as the election reads and writes it."""

    held_at: float | None = None
    """When the write began that last made or kept the Lease ours, in the event loop's time."""

    def __init__(self, terms: Terms, api: ApiClient, standing_by: Callable[[], None]) -> None:
        super().__init__(terms.lease, terms.namespace, terms.identity, api)
        self._renew_seconds = terms.renew_seconds
        self._standing_by = standing_by

    async def expired(self) -> None:
        """Return when the Lease was ours and has not been renewed for :attr:`Terms.renew_seconds`."""
        clock, renew = asyncio.get_running_loop().time, self._renew_seconds
        while True:
            # Before anything is ours there is nothing to lose.
            left = renew if self.held_at is None else self.held_at + renew - clock()
            if left <= 0:
                return
            await asyncio.sleep(min(left, RETRY_SECONDS))

    async def get(self, name: str, namespace: str) -> Any:
        """Read the Lease, and say that this replica stands by where another holds it."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                found, record = await super().get(name, namespace)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return False, ApiException(status=0, reason=describe(error))
        if isinstance(record, LeaderElectionRecord) and record.holder_identity not in (None, self.identity):
            self._standing_by()
        return found, record

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """Make the Lease, and return whether that was done."""
        return await self.write(self._create(name, namespace, election_record))

    async def _create(self, name: str, namespace: str, election_record: Any) -> bool:
        # The client's own passes an argument that the client itself refuses.
        body = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        try:
            await self.api_instance.create_namespaced_lease(namespace, body)
        except ApiException as error:
            logger.warning("the Lease was not made: %s %s", error.status, error.reason)
            return False
        return True

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        """Take or renew the Lease, and return whether that was done."""
        return await self.write(super().update(name, namespace, updated_record))

    async def write(self, call: Awaitable[bool]) -> bool:
        """Await a call that writes the Lease, and return whether it did."""
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                written = bool(await call)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("the Lease was not written: %s", describe(error))
            return False
        if written:
            self.held_at = begun
        return written


async def lead(
    api: ApiClient, terms: Terms, work: Callable[[], Awaitable[None]], standing_by: Callable[[], None]
) -> None:
    """Wait until this replica leads, then work until the work ends; then let another lead.

    ``standing_by`` is called, perhaps often, when another is seen to hold the Lease.

    :raises LeadershipLostError: somebody else may lead now. The work may still go on: end the process.
    """
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def started() -> None:
        logger.info("%s leads", terms.identity)
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is raised again by whoever waits)
            ended.set_exception(error)
        else:
            ended.set_result(None)

    async def stopped() -> None:
        logger.warning("%s leads no longer", terms.identity)

    lock = Lock(terms, api, standing_by)
    election = LeaderElection(
        Config(lock, terms.seconds, terms.renew_seconds, RETRY_SECONDS, started, stopped)
    )
    logger.info("%s waits to lead", terms.identity)
    running = asyncio.ensure_future(election.run())
    expired = asyncio.ensure_future(lock.expired())
    waiting: set[asyncio.Future[Any]] = {running, expired, ended}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            if running.done():
                running.result()
            raise LeadershipLostError(
                f"the Lease {terms.lease} could not be renewed for {terms.renew_seconds:g} s"
            )
    finally:
        running.cancel()
        expired.cancel()
        await asyncio.gather(running, expired, return_exceptions=True)
    await _release(api, terms)
    ended.result()


async def _release(api: ApiClient, terms: Terms) -> None:
    """Give the Lease up, so that the next leader need not wait until it is over."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await CoordinationV1Api(api).patch_namespaced_lease(
                terms.lease, terms.namespace, {"spec": {"holderIdentity": None}}
            )
    except (ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
        logger.warning("the Lease was not given up: %s", describe(error))
