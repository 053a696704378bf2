"""The way back: where a person wanted to go, while they prove who they are.

Rules
  1. What comes out is a path of this site, or nothing. Browsers drop tabs and line breaks from
     URLs and read a backslash as a slash (URL standard, "basic URL parser"), and servers between
     decode once more: so none of these may be there, nor what becomes one of them when decoded.
  2. It is signed, with a purpose of its own, and for one session: a link that somebody else made
     leads nowhere, whatever path it names. Where there is no session it is for nobody, and then it
     is worth no more than a plain link to that path.
  3. It is short-lived, and looked at again when it comes back.

The session's sid is signed and not sent, as in gatehound.tokens; it survives a new secret.
"""

from __future__ import annotations

import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from itsdangerous import BadSignature

from gatehound.model import Request
from gatehound.tokens import signer

LIFE: Final = 3600  # seconds; as long as a person may look for a password and a second factor
CLOCK_SLACK: Final = 60  # seconds; whoever signed may have a clock that is ahead of ours
HOME: Final = "/"
NOBODY: Final = b""
# Characters. With what base64 adds it stays under the 4 KiB that some proxies take of a header.
MAX_TARGET: Final = 2000
_MAX_VALUE: Final = MAX_TARGET * 4 // 3 + 100
_MAX_DECODINGS: Final = 4  # of our own, of a server, of a proxy before it, and one that finds none
# A second slash at the start names a host. Browsers send no dot segments; U+FFFD stands for bytes
# that were no UTF-8, and the page that they named cannot be named any more.
_UNSAFE: Final = re.compile(
    r"^(?!/)|^//|/\.{1,2}(?=/|\Z)|[\x00-\x1f\x7f-\x9f\\\ud800-\udfff\ufffd]"
)
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_QUERY_SAFE: Final = "%&+,/:;=?@!$*~"


class WayBack:
    """Seals the target of a request into a `next` value, and opens it again."""

    def __init__(self, *, secret_keys: Sequence[str], namespace: str) -> None:
        self._signer = signer("next", secret_keys, namespace)

    def seal(self, target: str, owner: bytes) -> str:
        """Return what leads the session with the sid `owner` to `target`; needs no quoting."""
        payload = urlsafe_b64encode(target.encode("ascii")).decode("ascii").rstrip("=")
        return self._signer.sign(f"{owner.hex()}.{payload}").decode("ascii").partition(".")[2]

    def open(self, value: str | None, owner: bytes) -> str:
        """Return the target of a value of this session; "/" for any other, and never raise."""
        if not isinstance(value, str) or len(value) > _MAX_VALUE:
            return HOME  # a framework's form may hold anything
        try:
            signed = f"{owner.hex()}.{value}".encode("ascii")
            text, made = self._signer.unsign(signed, return_timestamp=True)
            if not -CLOCK_SLACK <= time.time() - made.timestamp() <= LIFE:
                return HOME
            payload = text.partition(b".")[2]
            target = urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)).decode("ascii")
        except (BadSignature, ValueError):  # the latter also where it is no ASCII
            return HOME
        return target if is_local(target.partition("?")[0]) else HOME


def target_of(request: Request) -> str:
    """Return path and query of a request as a URL of this site; "/" where that is not safe.

    A query is left out where it holds control characters, or makes the whole too long.
    """
    path, query = request.path, request.query.encode("latin-1", "replace")
    if not is_local(path):
        return HOME
    target = quote(path, safe="/")
    if query and not _CONTROL.search(unquote_to_bytes(query)):
        whole = f"{target}?{quote(query, safe=_QUERY_SAFE)}"
        target = whole if len(whole) <= MAX_TARGET else target
    return target if len(target) <= MAX_TARGET else HOME


def is_local(path: str) -> bool:
    """True for a path that every browser and server reads as one of this site."""
    for _ in range(_MAX_DECODINGS):
        if _UNSAFE.search(path):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False
