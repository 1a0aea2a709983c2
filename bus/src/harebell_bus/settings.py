"""Where the broker is and who we are there, from the environment.

``HAREBELL_AMQP_URL``        ``amqp://user:password@host:port/vhost`` or ``amqps://``
``HAREBELL_AMQP_URL_FILE``   a file that holds it; read again at every connect, so credentials can rotate
``HAREBELL_AMQP_CA_FILE``    certificates to verify an ``amqps`` server with, instead of the system's
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from .errors import BrokerUnavailableError


class BrokerSettingsError(ValueError):
    """The environment does not say where the broker is."""


@dataclass(frozen=True)
class BrokerSettings:
    """How to reach the broker."""

    url_literal: str | None = field(default=None, repr=False)
    url_file: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "BrokerSettings":
        """Read the settings. :raises BrokerSettingsError: neither variable is set, or both are."""
        literal, file = environment.get("HAREBELL_AMQP_URL"), environment.get("HAREBELL_AMQP_URL_FILE")
        if bool(literal) == bool(file):
            raise BrokerSettingsError("set exactly one of HAREBELL_AMQP_URL and HAREBELL_AMQP_URL_FILE")
        ca_file = environment.get("HAREBELL_AMQP_CA_FILE")
        return cls(literal or None, Path(file) if file else None, Path(ca_file) if ca_file else None)

    def url(self) -> URL:
        """Return the URL as it is now.

        :raises OSError: its file cannot be read.
        :raises BrokerUnavailableError: it is no URL of a broker, as in a file that is just being written.
        """
        text = self.url_file.read_text() if self.url_file else self.url_literal
        try:
            url = URL((text or "").strip())
        except ValueError:
            url = URL()
        if url.scheme not in ("amqp", "amqps") or not url.host:
            # Without the value, which holds a password.
            raise BrokerUnavailableError("the URL must be amqp://user:password@host:port/vhost or amqps://")
        return url

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return how to verify the server, or None for a plain connection."""
        if self.url().scheme != "amqps":
            return None
        return ssl.create_default_context(cafile=self.ca_file)
