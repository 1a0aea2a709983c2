"""Where API keys are kept, and what keeps a ring of them current.

In a cluster that is one Secret, read through the Kubernetes API: the kubelet takes up to a minute and more to
bring a change to a mounted Secret, and a key that was revoked must not be good for as long. Elsewhere it is a
folder. https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod
"""

import asyncio
import base64
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

from .keyring import KeyRing
from .kube import Object, Secrets
from .kube_errors import ApiServerError, ApiServerUnreachableError, status_error

WATCH_SECONDS = 5
"""Each watch begins with a read, so this, and the grace of a watch, bound what a lost event costs."""
PAUSE_SECONDS = 2.0
FOLDER_SECONDS = 1.0
_SHORTEST_WATCH_SECONDS = 1.0

logger = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class KeySourceError(Exception):
    """The keys cannot be read, and trying again would not help. The message says what to do."""


class KeySource(Protocol):
    """Keeps a ring current."""

    async def load(self) -> None:
        """Read the keys once. :raises KeySourceError: they cannot be read."""
        ...

    async def run(self) -> None:
        """Keep the ring current for ever."""
        ...


class KeySecret:
    """A :class:`KeySource` for the entries of a Secret."""

    def __init__(
        self,
        name: str,
        secrets: Secrets,
        ring: KeyRing,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._secrets, self._ring = name, secrets, ring
        self._sleep, self._clock = sleep, clock
        self._failing = False

    async def load(self) -> None:
        """Read the keys once, as soon as the API server answers. :raises KeySourceError: it refuses."""
        while True:
            try:
                await self._read()
                return
            except ApiServerError as error:
                if error.status in (401, 403):
                    detail = (
                        f"may not read Secret {self._name} of API keys, allow get and watch of it: {error}"
                    )
                    raise KeySourceError(detail) from error
                await self._pause(error)
            except ApiServerUnreachableError as error:
                await self._pause(error)

    async def run(self) -> None:
        """Keep the ring current for ever. What cannot be read leaves it as it is."""
        while True:
            try:
                await self.step()
                self._failing = False
            except (ApiServerError, ApiServerUnreachableError) as error:
                await self._pause(error)

    async def step(self) -> None:
        """Read the Secret, then watch it for some seconds."""
        version = await self._read()
        if version is None:
            await self._sleep(PAUSE_SECONDS)
            return
        opened = self._clock()
        async with aclosing(self._secrets.watch_secret(self._name, version, WATCH_SECONDS)) as events:
            async for event in events:
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        self._ring.replace(entries_of(event["object"]))
                    case "ERROR":
                        raise status_error(event["object"], int(event["object"].get("code") or 500))
                    case _:  # it was deleted: the next read tells
                        break
        if self._clock() - opened < _SHORTEST_WATCH_SECONDS:
            await self._sleep(
                PAUSE_SECONDS
            )  # however it came to that, the API server is not asked all the time

    async def _read(self) -> str | None:
        """Read the Secret and return its version, or None: there is none, and so no keys."""
        try:
            secret = await self._secrets.read_secret(self._name)
        except ApiServerError as error:
            if error.status != 404:
                raise
            self._ring.replace({})
            return None
        self._ring.replace(entries_of(secret))
        return str(secret["metadata"]["resourceVersion"])

    async def _pause(self, error: Exception) -> None:
        if not self._failing:  # once, not every two seconds
            logger.warning("Secret %s with the API keys cannot be read now: %s", self._name, error)
        self._failing = True
        await self._sleep(PAUSE_SECONDS)


class KeyFolder:
    """A :class:`KeySource` for the files of a folder, such as a mounted Secret."""

    def __init__(self, folder: Path, ring: KeyRing, sleep: Sleep = asyncio.sleep) -> None:
        self._folder, self._ring, self._sleep = folder, ring, sleep
        self._failing = False

    async def load(self) -> None:
        """Read the keys once. :raises KeySourceError: there is no such folder."""
        try:
            self.read()
        except OSError as error:
            raise KeySourceError(f"the folder of API keys cannot be read: {error}") from error

    async def run(self) -> None:
        """Keep the ring current for ever. A folder that cannot be read leaves it as it is."""
        while True:
            await self._sleep(FOLDER_SECONDS)
            try:
                self.read()
                self._failing = False
            except OSError as error:
                if not self._failing:  # once, not every second
                    logger.warning("the folder of API keys cannot be read now: %s", error)
                self._failing = True

    def read(self) -> None:
        """Read the folder. :raises OSError: it cannot be read."""
        # The kubelet's own entries begin with a dot: what the names are links to.
        files = [file for file in self._folder.iterdir() if not file.name.startswith(".")]
        self._ring.replace({file.name: file.read_bytes() for file in files})


def entries_of(secret: Object) -> dict[str, bytes]:
    """Return the entries of a Secret."""
    return {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}
