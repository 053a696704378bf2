"""Links in security notices: "this was not me", for somebody who is not signed in.

Rules
  1. A link names one session of one user, and is signed with a purpose of its own. Whoever has it
     may end that session, and learns its device and place: it goes to its user alone.
  2. It works once: what it names is a living session, which is over afterwards.
  3. It is opened by a GET, which mail programs do by themselves, and acts by a POST alone.
"""

from __future__ import annotations

import hashlib
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from itsdangerous import BadSignature, TimestampSigner

LIFE: Final = 7 * 86_400  # seconds: for a mail that is read after a week away
CLOCK_SLACK: Final = 60  # seconds; whoever signed may have a clock that is ahead of ours
_ALIAS: Final = 12  # bytes
_SID: Final = 8
_LONGEST: Final = 200  # characters; one of ours has under 100


class NoticeTokens:
    """Makes and opens the tokens of notices; keys are newest first."""

    def __init__(self, *, secret_keys: Sequence[str], namespace: str) -> None:
        # itsdangerous signs with the last key of its list and accepts all of them.
        self._signer = TimestampSigner(
            list(reversed(secret_keys)),
            salt=f"gatehound.notice.{namespace}",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )

    def make(self, alias: bytes, sid: bytes) -> str:
        """Return a token that names a session; it needs no quoting in a path."""
        return self._signer.sign(urlsafe_b64encode(alias + sid).rstrip(b"=")).decode("ascii")

    def open(self, token: str) -> tuple[bytes, bytes] | None:
        """Return the alias and the sid, None for what we did not make within LIFE."""
        if len(token) > _LONGEST:
            return None
        try:
            payload, made = self._signer.unsign(token.encode("ascii"), return_timestamp=True)
            named = urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        except (BadSignature, ValueError):  # the latter where it is no ASCII, or no base64
            return None
        if not -CLOCK_SLACK <= time.time() - made.timestamp() <= LIFE:
            return None
        return (named[:_ALIAS], named[_ALIAS:]) if len(named) == _ALIAS + _SID else None
