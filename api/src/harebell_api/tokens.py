"""Kubernetes tokens: the API server says whose one is, and what they may do is what RBAC lets them do.

A ``TokenReview`` says who it is, a ``SubjectAccessReview`` each what they may do. Answers are kept for some
seconds, under a hash of the token, for a bounded number of tokens.
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication
"""

import asyncio
import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from harebell_crds import GROUP
from harebell_crds.keys import Scope

from .auth import Ended
from .kube import Object, Reviewer
from .kube_errors import RETRY_SECONDS, ApiServerError, ApiServerUnreachableError
from .permissions import Access
from .problems import ProblemError, ProblemType

KEPT_SECONDS = 8.0
"""How long an answer holds, and so how long one that was taken back may still do something."""
KEPT_TOKENS = 1024
"""Of those that are good, and as many of the others."""
AT_ONCE = 8
"""Tokens under review: whoever sends made-up ones keeps the API server no busier than that. As many more of
those that were good when last looked at, which need not wait behind the others."""
MOST_WAITING = 256
"""Reviews under way or waiting, beyond which no token is reviewed that was not good before."""
_SHORTEST_PAUSE = 1.0
LONGEST_TOKEN = 16 * 1024

RIGHTS: dict[Scope, tuple[tuple[str, str], ...]] = {
    Scope.READ: tuple(
        (verb, kind) for kind in ("tasks", "agents", "announcements") for verb in ("get", "list")
    ),
    Scope.DISPATCH: (("create", "tasks"),),
    Scope.CANCEL: (("patch", "tasks"),),
    Scope.ADMIN: (("patch", "agents"), ("create", "announcements"), ("delete", "announcements")),
}
"""What one has to be allowed in Kubernetes, as verb and resource, to have a scope. Admin, which includes all
others, takes theirs as well."""

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""The compact serialization of RFC 7515. No API key looks like it: these have no dot."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answer:
    """What was found about a token, None if it is not good, and until when that holds by ``clock``."""

    access: Access | None
    until: float


class Tokens:
    """Lets in whom the API server knows, with what they may do in ``namespace``."""

    def __init__(
        self,
        reviewer: Reviewer,
        namespace: str,
        audience: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reviewer, self._namespace, self._audience = reviewer, namespace, audience
        self._clock, self._sleep = clock, sleep
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        """Of good tokens, by their hashes, the one used longest ago first."""
        self._refusals: OrderedDict[bytes, _Answer] = OrderedDict()
        """Of all others, apart, because anybody can make up so many that nothing else would be kept."""
        self._asking: dict[bytes, asyncio.Future[Access | None]] = {}
        self._slots = {known: asyncio.Semaphore(AT_ONCE) for known in (False, True)}

    def takes(self, presented: str) -> bool:
        """Whether it looks like a token."""
        return len(presented) <= LONGEST_TOKEN and _JWT.fullmatch(presented) is not None

    async def admit(self, presented: str) -> tuple[Access, Ended]:
        """Return whose token it is. :raises ProblemError: nobody's, or the API server does not say."""
        digest = _digest(presented)
        known = digest in self._answers or digest in self._asking or self._kept(digest) is not None
        if not known and len(self._asking) >= MOST_WAITING:
            raise _unavailable("too many tokens are being reviewed")
        try:
            access = await self._access(presented)
        except (ApiServerError, ApiServerUnreachableError) as error:
            logger.warning("a token cannot be reviewed: %s", error)
            raise _unavailable("the Kubernetes API server does not say now whose token this is") from error
        if access is None:
            detail = f"Kubernetes does not know the token, or it is not for the audience {self._audience}"
            raise ProblemError(ProblemType.UNAUTHENTICATED, detail)
        return access, partial(self._ended, presented, access)

    async def _ended(self, token: str, granted: Access) -> str:
        """Wait until a token is not good any more, or for something else, and return which.

        While the API server does not answer, a WebSocket stays: it shows nothing new either.
        """
        while True:
            kept = self._answers.get(_digest(token))
            await self._sleep(max(_SHORTEST_PAUSE, kept.until - self._clock() if kept else 0.0))
            try:
                access = await self._access(token)
            except (ApiServerError, ApiServerUnreachableError) as error:
                logger.warning("a token cannot be reviewed again: %s", error)
                continue
            if access is None:
                return "the token is not good any more"
            if access != granted:
                return f"what {granted.client} may do was changed"

    async def _access(self, token: str) -> Access | None:
        """Return whose token it is and what they may do, or None.

        :raises ApiServerError, ApiServerUnreachableError: that cannot be said now.
        """
        digest = _digest(token)
        kept = self._kept(digest)
        if kept is not None:
            return kept.access
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(digest, token))
            self._asking[digest] = asking
            asking.add_done_callback(lambda done: self._asked(digest, done))
        return await asyncio.shield(asking)  # others may wait for the same answer

    def _kept(self, digest: bytes) -> _Answer | None:
        """Return what was found, if that still holds."""
        for answers in (self._answers, self._refusals):
            kept = answers.get(digest)
            if kept is not None and self._clock() < kept.until:
                answers.move_to_end(digest)
                return kept
        return None

    def _keep(self, digest: bytes, answer: _Answer) -> None:
        self._answers.pop(digest, None)
        self._refusals.pop(digest, None)
        answers = self._refusals if answer.access is None else self._answers
        answers[digest] = answer
        while len(answers) > KEPT_TOKENS:
            answers.popitem(last=False)

    def _asked(self, digest: bytes, done: "asyncio.Future[Access | None]") -> None:
        del self._asking[digest]
        if not done.cancelled():
            done.exception()  # told to those who wait, if any still do

    async def _ask(self, digest: bytes, token: str) -> Access | None:
        async with self._slots[digest in self._answers]:
            asked_at = self._clock()
            user = await self._user(token)
            access = None if user is None else Access(user["username"], await self._scopes(user))
        self._keep(digest, _Answer(access, asked_at + KEPT_SECONDS))
        return access

    async def _user(self, token: str) -> Object | None:
        spec = {"token": token, "audiences": [self._audience]}
        status = await self._reviewer.review("authentication.k8s.io", "TokenReview", spec)
        # An API server that does not know audiences names none, and then has not looked at ours.
        if not status.get("authenticated") or self._audience not in (status.get("audiences") or ()):
            return None
        user: dict[str, Any] = status["user"]
        return user if user.get("username") else None

    async def _scopes(self, user: Object) -> frozenset[Scope]:
        wanted = [(scope, verb, resource) for scope, rights in RIGHTS.items() for verb, resource in rights]
        allowed = await asyncio.gather(*(self._may(user, verb, resource) for _, verb, resource in wanted))
        lacking = {scope for (scope, _, _), may in zip(wanted, allowed, strict=True) if not may}
        return frozenset(Scope) - lacking - ({Scope.ADMIN} if lacking else set())

    async def _may(self, user: Object, verb: str, resource: str) -> bool:
        spec = {
            "user": user["username"],
            "groups": user.get("groups") or [],
            "uid": user.get("uid") or "",
            "extra": user.get("extra") or {},
            "resourceAttributes": {
                "namespace": self._namespace,
                "group": GROUP,
                "resource": resource,
                "verb": verb,
            },
        }
        status = await self._reviewer.review("authorization.k8s.io", "SubjectAccessReview", spec)
        return bool(status.get("allowed")) and not status.get("denied")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _unavailable(detail: str) -> ProblemError:
    return ProblemError(ProblemType.UNAVAILABLE, detail, headers={"Retry-After": RETRY_SECONDS})
