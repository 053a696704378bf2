"""Cursors of the JSON API: where a list of sessions goes on, signed for one session.

A cursor says when the last one shown was active, and its id: nothing that its holder has not
seen. It is signed all the same, so that a list begins where we stopped and nowhere else, and with
a purpose of its own, so that nothing else that we sign is a cursor. The session's sid is signed and
not sent, as in gatehound.tokens; it survives a new secret.
"""

from __future__ import annotations

from collections.abc import Sequence

from itsdangerous import BadSignature

from gatehound.tokens import signer


class Cursors:
    """Makes and opens cursors of one namespace; keys are newest first."""

    def __init__(self, *, secret_keys: Sequence[str], namespace: str) -> None:
        self._signer = signer("cursor", secret_keys, namespace)

    def make(self, owner: bytes, active: int, public_id: str) -> str:
        """Return a cursor behind a session, for the one with the sid `owner`.

        `active` is when it was, in milliseconds since 1970.
        """
        signed = self._signer.sign(f"{owner.hex()}.{active}.{public_id}")
        return signed.decode("ascii").partition(".")[2]

    def open(self, cursor: str, owner: bytes) -> tuple[int, str] | None:
        """Return what `make` was given; None for any text that it did not return for `owner`."""
        try:
            signed = f"{owner.hex()}.{cursor}".encode("ascii")
            _, active, public_id = self._signer.unsign(signed).decode("ascii").split(".")
            return int(active), public_id
        except (BadSignature, ValueError):  # the latter also where it is no ASCII
            return None
