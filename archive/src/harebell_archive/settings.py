"""The archiver's settings, from the environment.

``HAREBELL_AMQP_URL``, ``HAREBELL_AMQP_URL_FILE``, ``HAREBELL_AMQP_CA_FILE``   as for every component
``HAREBELL_DATABASE_URL``        ``postgresql://user:password@host:port/database``
``HAREBELL_DATABASE_URL_FILE``   a file that holds it; read again at every connect, so credentials can rotate
``HAREBELL_READER_PASSWORD_FILE``   a file with the password of the role ``harebell_reader``, then made
                                 if need be; otherwise an administrator makes it
``HAREBELL_RETENTION_DAYS``      how long messages stay in the database, 365
``HAREBELL_PORT``                of probes and metrics, 9092
``HAREBELL_LOG_LEVEL``           INFO
``POD_NAME``                     who this is, harebell-archiver
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harebell_bus.settings import BrokerSettings, BrokerSettingsError

from .errors import DatabaseUnavailableError


class SettingsError(ValueError):
    """The environment lacks a setting or holds a wrong one; the message says which."""


@dataclass(frozen=True)
class DatabaseSettings:
    """Where the database is."""

    url_literal: str | None = field(default=None, repr=False)
    url_file: Path | None = None
    reader_password_file: Path | None = None

    def reader_password(self) -> str | None:
        """Return the reader's password as it is now. :raises DatabaseUnavailableError: it cannot be read."""
        return (
            _content("the reader's password", self.reader_password_file)
            if self.reader_password_file
            else None
        )

    def url(self) -> str:
        """Return the URL as it is now. :raises DatabaseUnavailableError: its file cannot be read."""
        return self.url_literal or "" if self.url_file is None else _content("the URL", self.url_file)


def _content(what: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise DatabaseUnavailableError(f"{what} cannot be read: {error}") from error


def database_settings(environment: Mapping[str, str]) -> DatabaseSettings:
    """Read where the database is. :raises SettingsError: neither variable is set, or both are."""
    literal, file = environment.get("HAREBELL_DATABASE_URL"), environment.get("HAREBELL_DATABASE_URL_FILE")
    if bool(literal) == bool(file):
        raise SettingsError("set exactly one of HAREBELL_DATABASE_URL and HAREBELL_DATABASE_URL_FILE")
    password = environment.get("HAREBELL_READER_PASSWORD_FILE")
    return DatabaseSettings(
        literal or None, Path(file) if file else None, Path(password) if password else None
    )


@dataclass(frozen=True)
class Settings:
    """What the archiver needs to know before it starts."""

    broker: BrokerSettings
    database: DatabaseSettings
    retention_days: int = 365
    port: int = 9092
    log_level: str = "INFO"
    identity: str = "harebell-archiver"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings. :raises SettingsError: one is missing or wrong."""
        try:
            broker = BrokerSettings.from_environment(environment)
        except BrokerSettingsError as error:
            raise SettingsError(str(error)) from error
        return cls(
            broker,
            database_settings(environment),
            _number(environment, "HAREBELL_RETENTION_DAYS", cls.retention_days, 1, 36_500),
            _number(environment, "HAREBELL_PORT", cls.port, 0, 65_535),
            environment.get("HAREBELL_LOG_LEVEL") or cls.log_level,
            environment.get("POD_NAME") or cls.identity,
        )


def _number(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name) or str(default)
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not least <= number <= most:
        raise SettingsError(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return number
