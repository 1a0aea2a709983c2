"""Which version of a document a client has, and which it means to change: ETags (RFC 9110, 8.8.3 and 13.1).

A tag is strong. It is made of the resource's version and of a digest of the text, because a document also
shows what is not in the resource, as the place in a queue, and looks different after an upgrade. What is to
be changed is the resource, so there the version alone decides, from whichever document the tag is.
"""

import re
from hashlib import blake2b

from .problems import FieldError, ProblemError, ProblemType

_OPAQUE = r"[\x21\x23-\x7e\x80-\xff]*"
_TAG = re.compile(rf'(?P<weak>W/)?"(?P<opaque>{_OPAQUE})"')
_LIST = re.compile(rf'\s*(?:W/)?"{_OPAQUE}"\s*(?:,\s*(?:W/)?"{_OPAQUE}"\s*)*')
_VERSION = re.compile(r"(?P<version>[0-9]{1,19})(?:-[0-9a-f]+)?")


def etag(body: bytes, version: int | None = None) -> str:
    """Return the tag of a document; ``version`` is that of the one resource it shows, if it shows one."""
    digest = blake2b(body, digest_size=8).hexdigest()
    return f'"{digest}"' if version is None else f'"{version}-{digest}"'


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Whether a client that sent this ``If-None-Match`` has the document with the tag.

    A header that is none lets the client have the document: nothing is lost by that.
    """
    if if_none_match is None:
        return False
    known = {found["opaque"] for found in _TAG.finditer(if_none_match)}
    return if_none_match.strip() == "*" or tag.strip('"') in known


def wanted_versions(if_match: str | None) -> frozenset[int] | None:
    """Return the versions of a resource that ``If-Match`` lets be changed, or None: any.

    Weak tags are left out: the comparison is the strong one (RFC 9110, 13.1.1).

    :raises ProblemError: it is not a list of tags.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    if not _LIST.fullmatch(if_match):
        detail = 'If-Match takes ETags of this API, as "12345-0a1b2c3d4e5f6071", or *'
        raise ProblemError(ProblemType.INVALID, detail, [FieldError(detail, parameter="If-Match")])
    strong = (found["opaque"] for found in _TAG.finditer(if_match) if not found["weak"])
    return frozenset(int(version["version"]) for tag in strong if (version := _VERSION.fullmatch(tag)))
