"""Where the broker is and who we are there, from the environment.

``HAREBELL_AMQP_URL``        ``amqp://user:password@host:port/vhost`` or ``amqps://``
``HAREBELL_AMQP_URL_FILE``   a file that holds it; read again at every connect, so credentials can rotate
``HAREBELL_AMQP_CA_FILE``    certificates to verify an ``amqps`` server with, instead of the system's
``HAREBELL_AMQP_CERT_FILE``  the certificate to show to the server, with its chain, if it asks for one
``HAREBELL_AMQP_KEY_FILE``   its private key

All files are PEM but the URL's, and are read again at every connect.
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
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "BrokerSettings":
        """Read the settings. :raises BrokerSettingsError: a pair of variables is not as it must be."""
        literal, file = environment.get("HAREBELL_AMQP_URL"), environment.get("HAREBELL_AMQP_URL_FILE")
        if bool(literal) == bool(file):
            raise BrokerSettingsError("set exactly one of HAREBELL_AMQP_URL and HAREBELL_AMQP_URL_FILE")
        names = ("HAREBELL_AMQP_CA_FILE", "HAREBELL_AMQP_CERT_FILE", "HAREBELL_AMQP_KEY_FILE")
        ca_file, cert_file, key_file = (Path(f) if (f := environment.get(n)) else None for n in names)
        if bool(cert_file) != bool(key_file):
            raise BrokerSettingsError(
                "set both or none of HAREBELL_AMQP_CERT_FILE and HAREBELL_AMQP_KEY_FILE"
            )
        return cls(literal or None, Path(file) if file else None, ca_file, cert_file, key_file)

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
        """Return how to verify the server and what to show it, or None for a plain connection.

        The server's certificate must be valid, of the CA, and for the URL's host.

        :raises BrokerUnavailableError: a file is missing or no PEM, as while it is being exchanged.
        """
        if self.url().scheme != "amqps":
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise BrokerUnavailableError(f"HAREBELL_AMQP_CA_FILE {self.ca_file}: {error}") from error
        if self.cert_file is not None:
            try:
                context.load_cert_chain(self.cert_file, self.key_file)
            except OSError as error:
                names = f"HAREBELL_AMQP_CERT_FILE {self.cert_file}, HAREBELL_AMQP_KEY_FILE {self.key_file}"
                raise BrokerUnavailableError(f"{names}: {error}") from error
        return context
