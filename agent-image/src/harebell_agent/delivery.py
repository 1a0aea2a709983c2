"""A message as the worker sees it, and the right to work on one."""

from collections.abc import Callable
from typing import Any, Protocol


class Delivery(Protocol):
    """What is needed of a claimed message."""

    body: bytes
    headers: dict[str, Any]
    message_id: str | None
    correlation_id: str | None
    redelivered: bool | None

    async def ack(self) -> None:
        """The message is dealt with."""

    async def nack(self, multiple: bool = ..., requeue: bool = ...) -> None:
        """The message goes back."""


class Acknowledged:
    """What is left of a message that is settled: its content."""

    def __init__(self, message: Delivery) -> None:
        self.body, self.headers = message.body, message.headers
        self.message_id, self.correlation_id = message.message_id, message.correlation_id
        self.redelivered = message.redelivered

    async def ack(self) -> None:
        """It was."""

    async def nack(self, multiple: bool = False, requeue: bool = True) -> None:
        """It cannot go back; the operator misses the attempt among those the agent lists."""


class Permit:
    """The right to work on one attempt. Whoever takes it must see to its release."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self.taken = False

    def release(self) -> None:
        """Let another attempt be claimed."""
        self._release()
