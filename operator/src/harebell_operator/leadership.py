"""Leadership by a Lease (``coordination.k8s.io``): of several replicas one works, the others stand by.

The election is the official client's. Three things are added: every call ends within a time limit and fails
in the one way the election knows; the work's own end ends the leadership, so that nobody leads who does
nothing; and leadership ends a fixed time after the last renewal, whatever call is under way then, before
another replica may take it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, CoordinationV1Api, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from harebell_bus.link import describe

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10
"""A leader that died is replaced after this and at most one :data:`RETRY_SECONDS`."""
RENEW_SECONDS = 7
"""A leader that could not renew for so long stops: safely before its Lease is over."""
RETRY_SECONDS = 2
CALL_SECONDS = 3.0


class LeadershipLostError(Exception):
    """The Lease could not be renewed in time; somebody else may lead now."""


class Lock(LeaseLock):
    """The Lease, as the election reads and writes it."""

    held_at: float | None = None
    """When the write began that last made or kept the Lease ours, in the event loop's time."""

    async def expired(self) -> None:
        """Return when the Lease was ours and has not been renewed for :data:`RENEW_SECONDS`."""
        clock = asyncio.get_running_loop().time
        while True:
            # Before anything is ours there is nothing to lose.
            left = RENEW_SECONDS if self.held_at is None else self.held_at + RENEW_SECONDS - clock()
            if left <= 0:
                return
            await asyncio.sleep(min(left, RETRY_SECONDS))

    async def get(self, name: str, namespace: str) -> Any:
        """Read the Lease."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await super().get(name, namespace)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return False, ApiException(status=0, reason=describe(error))

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
    api: ApiClient, namespace: str, lease: str, identity: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Wait until this replica leads, then work until the work ends; then let another lead.

    :raises LeadershipLostError: somebody else may lead now. The work may still go on: end the process.
    """
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def started() -> None:
        logger.info("%s leads", identity)
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is raised again by whoever waits)
            ended.set_exception(error)
        else:
            ended.set_result(None)

    async def stopped() -> None:
        logger.warning("%s leads no longer", identity)

    lock = Lock(lease, namespace, identity, api)
    election = LeaderElection(Config(lock, LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, started, stopped))
    logger.info("%s waits to lead", identity)
    running = asyncio.ensure_future(election.run())
    expired = asyncio.ensure_future(lock.expired())
    waiting: set[asyncio.Future[Any]] = {running, expired, ended}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            if running.done():
                running.result()
            raise LeadershipLostError(f"the Lease {lease} could not be renewed for {RENEW_SECONDS} s")
    finally:
        running.cancel()
        expired.cancel()
        await asyncio.gather(running, expired, return_exceptions=True)
    await _release(api, namespace, lease)
    ended.result()


async def _release(api: ApiClient, namespace: str, lease: str) -> None:
    """Give the Lease up, so that the next leader need not wait until it is over."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await CoordinationV1Api(api).patch_namespaced_lease(
                lease, namespace, {"spec": {"holderIdentity": None}}
            )
    except (ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
        logger.warning("the Lease was not given up: %s", describe(error))
