"""API keys: a file of them, and the middleware that lets nothing in without one.

The file has a key a line, optionally ``name:key``; the name appears in logs. Empty lines and lines that
start with ``#`` do not count. A key that browsers are to use in a WebSocket subprotocol has to be a token of
RFC 9110: letters, digits, ``-``, ``.``, ``_`` or ``~``. Keys of one name may overlap, so a key is rotated by
adding the new one, moving the clients, and removing the old one. The file is read again whenever it changes.
"""

import hashlib
import hmac
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from starlette import types
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Send

from .permissions import Access, Scope, grant
from .problems import Problem, ProblemType

MIN_KEY_LENGTH = 16
SUBPROTOCOL = "harebell.v1"
_BEARER_SUBPROTOCOL = "bearer."
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,62}):(?P<key>.*)")
_KEY = re.compile(r"[\x21-\x7e]*")

logger = logging.getLogger(__name__)


class KeyFileError(ValueError):
    """The key file cannot be read, or holds no usable keys. The message never holds a key."""


@dataclass(frozen=True)
class _Key:
    name: str
    digest: bytes


def parse_keys(text: str) -> tuple[_Key, ...]:
    """Return the keys in ``text``, hashed. :raises KeyFileError: there is none, or one is too short."""
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        named = _NAMED.fullmatch(line)
        name, key = (named["name"], named["key"].strip()) if named else (f"line-{number}", line)
        if not _KEY.fullmatch(key):
            raise KeyFileError(f"line {number}: a key is made of ASCII characters without spaces")
        if len(key) < MIN_KEY_LENGTH:
            raise KeyFileError(f"line {number}: a key needs at least {MIN_KEY_LENGTH} characters")
        keys.append(_Key(name, _digest(key)))
    if not keys:
        raise KeyFileError("there is no key in it")
    return tuple(keys)


class KeyRing:
    """The keys of a file, as the file is now."""

    def __init__(self, file: Path) -> None:
        """Read the file. :raises KeyFileError: it holds no usable keys."""
        self._file = file
        try:
            self._seen = self._version()
            self._keys = parse_keys(file.read_text())
        except (OSError, UnicodeDecodeError, KeyFileError) as error:
            raise KeyFileError(f"key file {file}: {error}") from error

    def owner(self, key: str) -> str | None:
        """Return the name of ``key``, or None when it is not a key."""
        self._refresh()
        presented, found = _digest(key), None
        for known in self._keys:  # all of them: the time taken does not tell which one matched
            if hmac.compare_digest(known.digest, presented):
                found = known.name
        return found

    def _refresh(self) -> None:
        """Read the file again if it changed. A file that became unusable leaves the keys as they are."""
        try:
            version = self._version()
            if version == self._seen:
                return
            self._seen = version
            self._keys = parse_keys(self._file.read_text())
        except (OSError, UnicodeDecodeError, KeyFileError) as error:
            logger.error("the key file changed and cannot be used, the old keys stay valid: %s", error)
        else:
            logger.info("read %d API keys anew", len(self._keys))

    def _version(self) -> tuple[int, int, int]:
        stat = self._file.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


class AuthMiddleware:
    """Answers 401 to every request and WebSocket handshake without a key, but for the public paths.

    A middleware, so that nothing of a request is parsed before its key is known to be good, and a route
    added later is protected without its author's doing.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, public: Iterable[str]) -> None:
        self._app, self._keys, self._public = app, keys, frozenset(public)

    async def __call__(self, scope: types.Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        key = presented_key(HTTPConnection(scope))
        owner = self._keys.owner(key) if key else None
        if owner is not None:
            grant(HTTPConnection(scope), Access(owner, frozenset({Scope.ADMIN})))
            await self._app(scope, receive, send)
            return
        await _refuse(key).to_response(scope["path"])(scope, receive, send)


def presented_key(connection: HTTPConnection) -> str | None:
    """Return the key a request carries, in its header or, as browsers must, in a subprotocol."""
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    if connection.scope["type"] == "websocket":
        for protocol in connection.scope.get("subprotocols", []):
            if protocol.startswith(_BEARER_SUBPROTOCOL):
                return str(protocol.removeprefix(_BEARER_SUBPROTOCOL))
    return None


def _refuse(key: str | None) -> Problem:
    detail = "the API key is not valid" if key else "an API key is needed: Authorization: Bearer <key>"
    challenge = 'Bearer realm="harebell"' + (', error="invalid_token"' if key else "")
    return Problem(ProblemType.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": challenge})


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="replace")).digest()
