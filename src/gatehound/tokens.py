"""Signed tokens that name a session: for forms (CSRF), and for the links of security notices.

A CSRF token says: this form was made for this session, for this action, lately. It is bound to
the session's sid, which survives rotation, so that a form stays valid when the secret
changes; before sign-in it is bound to a pre-session (gatehound.presession).

A notice's token lets somebody say "this was not me" who is not signed in.
  1. It names one session of one user. Whoever has it may end that session, and learns its device
     and place: it goes to its user alone.
  2. It works once: what it names is a living session, which is over afterwards.
  3. Its link is opened by a GET, which mail programs do by themselves, and acts by a POST alone.

API tokens will live here too.
"""

from __future__ import annotations

import hashlib
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from itsdangerous import BadSignature, TimestampSigner

CLOCK_SLACK = 60  # seconds
CSRF_LIFE = 12 * 3600  # seconds; a form may stay open for half a day, as WordPress's nonces do
NOTICE_LIFE: Final = 7 * 86_400  # seconds: for a mail that is read after a week away
_ALIAS: Final = 12  # bytes
_SID: Final = 8
_LONGEST: Final = 200  # characters; a notice's token has under 100


def signer(purpose: str, secret_keys: Sequence[str], namespace: str) -> TimestampSigner:
    """Return what signs for one purpose (a-z and "-"); keys are newest first.

    What is signed for one purpose or namespace verifies for no other.
    """
    return TimestampSigner(
        list(reversed(secret_keys)),  # it signs with the last key of its list, and accepts all
        salt=f"gatehound.{purpose}.{namespace}",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )


class CSRFTokens:
    """Makes and checks CSRF tokens of one namespace; keys are newest first.

    Tokens of one `purpose` (a-z and "-") are none of another.
    """

    def __init__(
        self, *, secret_keys: Sequence[str], namespace: str, purpose: str = "csrf"
    ) -> None:
        self._signer = signer(purpose, secret_keys, namespace)

    def make(self, owner: bytes, action: str = "") -> str:
        """Return a token for a form of this session; `action` "" means any ordinary form.

        `owner` is what names the session, always of the same length for one purpose.
        """
        return self._signer.sign(_claim(owner, action)).decode("ascii").partition(".")[2]

    def check(self, token: str, owner: bytes, action: str = "") -> bool:
        """Say whether `token` was made for this session and action in the last 12 hours."""
        try:
            signed = f"{_claim(owner, action)}.{token}".encode("ascii")
            _, made = self._signer.unsign(signed, return_timestamp=True)
        except (BadSignature, UnicodeEncodeError):
            return False
        # Whoever made it may have a clock that is ahead of ours.
        return -CLOCK_SLACK <= time.time() - made.timestamp() <= CSRF_LIFE


class NoticeTokens:
    """Makes and opens the tokens of notices; keys are newest first."""

    def __init__(self, *, secret_keys: Sequence[str], namespace: str) -> None:
        self._signer = signer("notice", secret_keys, namespace)

    def make(self, alias: bytes, sid: bytes) -> str:
        """Return a token that names a session; it needs no quoting in a path."""
        return self._signer.sign(urlsafe_b64encode(alias + sid).rstrip(b"=")).decode("ascii")

    def open(self, token: str) -> tuple[bytes, bytes] | None:
        """Return the alias and the sid, None for what we did not make within NOTICE_LIFE."""
        if len(token) > _LONGEST:
            return None
        try:
            payload, made = self._signer.unsign(token.encode("ascii"), return_timestamp=True)
            named = urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        except (BadSignature, ValueError):  # the latter where it is no ASCII, or no base64
            return None
        if not -CLOCK_SLACK <= time.time() - made.timestamp() <= NOTICE_LIFE:
            return None
        return (named[:_ALIAS], named[_ALIAS:]) if len(named) == _ALIAS + _SID else None


def _claim(owner: bytes, action: str) -> str:
    """What is signed and not sent: the server knows both parts.

    Hashed, so that no text of an action can look like another session and action.
    """
    return hashlib.sha256(owner + action.encode("utf-8", "surrogatepass")).hexdigest()
