"""Publishing with confirms.

A message counts as published when the broker confirmed it (RabbitMQ documentation, "Consumer Acknowledgements
and Publisher Confirms"), and is refused rather than dropped when no queue takes it (``mandatory``).
"""

import asyncio

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError, PublishError

from . import envelopes
from .codec import CONTENT_TYPE, encode
from .errors import BrokerUnavailableError, RefusedError, UnroutableError
from .link import describe

APP_ID = "harebell"


class Publisher:
    """Publishes over whichever channel is attached at the moment.

    The time limit covers everything: waiting for a connection, for the channel and for the confirm.
    """

    def __init__(self, timeout_seconds: float = 10.0) -> None:
        self._timeout = timeout_seconds
        self._channel: AbstractChannel | None = None
        self._attached = asyncio.Event()

    def attach(self, channel: AbstractChannel) -> None:
        """Use this channel from now on. It must confirm, and raise on returned messages."""
        self._channel = channel
        self._attached.set()

    def detach(self) -> None:
        """Have publishers wait until a channel is attached again."""
        self._channel = None
        self._attached.clear()

    @property
    def attached(self) -> bool:
        """Whether there is a channel to publish over."""
        return self._attached.is_set()

    async def publish(
        self,
        exchange: str,
        message: envelopes.Message | bytes,
        *,
        message_id: str,
        routing_key: str = "",
        correlation_id: str | None = None,
        priority: int | None = None,
        persistent: bool = True,
        headers: dict[str, str | int] | None = None,
        mandatory: bool = True,
    ) -> None:
        """Publish and wait for the confirm. Repeat with the same ``message_id`` after an error.

        :raises BrokerUnavailableError: no confirm in time; the message may or may not have arrived.
        :raises UnroutableError: no queue is bound for it.
        :raises RefusedError: the broker would not take it.
        """
        wire = Message(
            message if isinstance(message, bytes) else encode(message),
            content_type=CONTENT_TYPE,
            type=None if isinstance(message, bytes) else message.kind,
            app_id=APP_ID,
            message_id=message_id,
            correlation_id=correlation_id,
            priority=priority,
            delivery_mode=DeliveryMode.PERSISTENT if persistent else DeliveryMode.NOT_PERSISTENT,
            headers=dict(headers or {}),
        )
        try:
            async with asyncio.timeout(self._timeout):
                await self._attached.wait()
                channel = self._channel
                if channel is None:
                    raise BrokerUnavailableError("the connection was lost while publishing")
                target = await channel.get_exchange(exchange, ensure=False)
                await target.publish(wire, routing_key, mandatory=mandatory)
        except PublishError as error:
            raise UnroutableError(f"no queue takes {exchange!r} {routing_key!r}") from error
        except DeliveryError as error:
            raise RefusedError(f"the broker refused a message to {exchange!r}") from error
        except TimeoutError as error:
            raise BrokerUnavailableError(f"no confirm within {self._timeout:g} s") from error
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            raise BrokerUnavailableError(describe(error)) from error
