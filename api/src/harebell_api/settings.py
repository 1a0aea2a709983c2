"""The API's settings, from the environment.

One of the first three is needed: nothing is served to anybody who does not show who they are.

``HAREBELL_API_KEY_SECRET``  Secret of that namespace with API keys, as ``harebell keys`` keeps them
``HAREBELL_API_KEY_DIR``   instead: a folder with a file for each key, named by its id
``HAREBELL_KUBERNETES_TOKENS``  true: Kubernetes tokens are taken too, and do what their owners may
                           there; default false
``HAREBELL_TOKEN_AUDIENCE``  the audience such a token has to be for, default harebell
``HAREBELL_NAMESPACE``     namespace served; default ``POD_NAMESPACE``, else the service account's own
``HAREBELL_HOST``          address to listen on, default 0.0.0.0
``HAREBELL_PORT``          port to listen on, default 8080
``HAREBELL_ARCHIVE_URL``   PostgreSQL with the archive, ``postgresql://harebell_reader:password@host/database``;
                           default: none, and a Task that was deleted is not found
``HAREBELL_ARCHIVE_URL_FILE``   a file that holds it; read again at every connect
``HAREBELL_PING_SECONDS``  between signs of life on streams without news, 1 to 50, default 20
``HAREBELL_LOG_LEVEL``     debug, info, warning or error; default info
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_AUDIENCE = "harebell"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class SettingsError(ValueError):
    """A setting is missing or wrong; the message says which."""


@dataclass(frozen=True)
class ArchiveSettings:
    """Where the archive is."""

    url_literal: str | None = field(default=None, repr=False)
    url_file: Path | None = None

    def url(self) -> str:
        """Return the URL as it is now. :raises OSError: its file cannot be read."""
        return self.url_literal or "" if self.url_file is None else self.url_file.read_text().strip()


@dataclass(frozen=True)
class Settings:
    """What the API needs to know before it starts."""

    namespace: str
    key_secret: str | None = None
    key_folder: Path | None = None
    token_audience: str | None = None
    """None: Kubernetes tokens are not taken."""
    host: str = "0.0.0.0"  # noqa: S104 - a Pod's Service reaches it on the Pod's address
    port: int = 8080
    log_level: int = logging.INFO
    ping_seconds: float = 20.0
    """Proxies usually end a connection on which nothing was sent for 60 seconds."""
    archive: ArchiveSettings | None = None

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], namespace_file: Path = NAMESPACE_FILE
    ) -> "Settings":
        """Read the settings. :raises SettingsError: one is missing or wrong."""
        secret, folder = environment.get("HAREBELL_API_KEY_SECRET"), environment.get("HAREBELL_API_KEY_DIR")
        audience = _audience(environment)
        if secret and folder:
            raise SettingsError("set HAREBELL_API_KEY_SECRET or HAREBELL_API_KEY_DIR, not both")
        if not secret and not folder and audience is None:
            raise SettingsError(
                "nobody could be let in: set HAREBELL_API_KEY_SECRET to a Secret of API keys, or"
                " HAREBELL_API_KEY_DIR to a folder of them, or HAREBELL_KUBERNETES_TOKENS=true"
            )
        return cls(
            namespace=_namespace(environment, namespace_file),
            key_secret=secret or None,
            key_folder=Path(folder) if folder else None,
            token_audience=audience,
            host=environment.get("HAREBELL_HOST") or cls.host,
            port=_port(environment.get("HAREBELL_PORT") or str(cls.port)),
            log_level=_log_level(environment.get("HAREBELL_LOG_LEVEL") or "info"),
            ping_seconds=_ping_seconds(environment.get("HAREBELL_PING_SECONDS") or str(cls.ping_seconds)),
            archive=_archive(environment),
        )


def _namespace(environment: Mapping[str, str], file: Path) -> str:
    named = environment.get("HAREBELL_NAMESPACE") or environment.get("POD_NAMESPACE")
    if named:
        return named
    try:
        return file.read_text().strip()
    except OSError as error:
        raise SettingsError("set HAREBELL_NAMESPACE or POD_NAMESPACE when not running in a Pod") from error


def _audience(environment: Mapping[str, str]) -> str | None:
    wanted = environment.get("HAREBELL_KUBERNETES_TOKENS") or "false"
    if wanted.lower() not in ("true", "false"):
        raise SettingsError(f"HAREBELL_KUBERNETES_TOKENS must be true or false, not {wanted!r}")
    audience = environment.get("HAREBELL_TOKEN_AUDIENCE") or DEFAULT_AUDIENCE
    return audience if wanted.lower() == "true" else None


def _archive(environment: Mapping[str, str]) -> ArchiveSettings | None:
    literal, file = environment.get("HAREBELL_ARCHIVE_URL"), environment.get("HAREBELL_ARCHIVE_URL_FILE")
    if literal and file:
        raise SettingsError("set HAREBELL_ARCHIVE_URL or HAREBELL_ARCHIVE_URL_FILE, not both")
    if file:
        return ArchiveSettings(url_file=Path(file))
    return ArchiveSettings(literal) if literal else None


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise SettingsError(f"HAREBELL_PORT must be a port number, not {text!r}")
    return port


def _ping_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= 50:
        raise SettingsError(f"HAREBELL_PING_SECONDS must be 1 to 50 seconds, not {text!r}")
    return seconds


def _log_level(text: str) -> int:
    level = _LEVELS.get(text.lower())
    if level is None:
        raise SettingsError(f"HAREBELL_LOG_LEVEL must be one of {', '.join(_LEVELS)}, not {text!r}")
    return level
