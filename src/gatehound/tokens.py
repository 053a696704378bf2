"""CSRF tokens: bound to a session and an action, signed, short-lived.

A token says: this form was made for this session, for this action, lately. It is bound to
the session's sid, which survives rotation, so that a form stays valid when the secret
changes; before sign-in it is bound to a pre-session (gatehound.presession). API tokens will
live here too.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from itsdangerous import BadSignature, TimestampSigner

CLOCK_SLACK = 60  # seconds
CSRF_LIFE = 12 * 3600  # seconds; a form may stay open for half a day, as WordPress's nonces do


class CSRFTokens:
    """Makes and checks CSRF tokens of one namespace; keys are newest first.

    Tokens of one `purpose` (a-z and "-") are none of another.
    """

    def __init__(
        self, *, secret_keys: Sequence[str], namespace: str, purpose: str = "csrf"
    ) -> None:
        # itsdangerous signs with the last key of its list and accepts all of them.
        self._signer = TimestampSigner(
            list(reversed(secret_keys)),
            salt=f"gatehound.{purpose}.{namespace}",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )

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


def _claim(owner: bytes, action: str) -> str:
    """What is signed and not sent: the server knows both parts.

    Hashed, so that no text of an action can look like another session and action.
    """
    return hashlib.sha256(owner + action.encode("utf-8", "surrogatepass")).hexdigest()
