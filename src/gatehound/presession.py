"""Forms before sign-in: a cookie for a quarter of an hour, and the CSRF tokens bound to it.

A sign-in form needs protection too: without it another site signs a visitor in under its own
account, and reads what they then do there. Nothing is stored: the cookie is signed with a
purpose of its own, so that it is never a session's, nor a session's cookie one of these. A tab
that opens the form later gets the same pre-session, or the forms of earlier tabs would fail.

Times are seconds of this machine's clock: no store is asked, so there is no other.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

from gatehound.cookies import REMEMBERED, Ticket
from gatehound.errors import UsageError
from gatehound.guard import Guard
from gatehound.passage import Passage

LIFE: Final = 900  # seconds: long enough to find a password, and nothing to keep


def make_token(guard: Guard, passage: Passage, action: str) -> str:
    """Return a token for a form of a visitor; the cookie that it needs goes out with the page.

    UsageError where that cookie is due and the response has begun.
    """
    now, ticket = time.time(), _find(guard, passage)
    if ticket is None and passage.started:
        raise UsageError(
            "csrf_token() for nobody signed in was called after the response had begun: its "
            "cookie cannot be sent any more; call it before the first byte of the response"
        )
    if ticket is None:
        ticket = _send(guard, passage, secrets.token_bytes(32), now)
    elif ticket.expires - now < LIFE / 2 and not passage.started:
        ticket = _send(guard, passage, ticket.secret, now)
    return guard.presession_csrf.make(ticket.secret, action)


def check_token(guard: Guard, passage: Passage, token: str, action: str) -> bool:
    """Say whether a form was made for this visitor and action."""
    ticket = _find(guard, passage)
    return ticket is not None and guard.presession_csrf.check(token, ticket.secret, action)


def end(guard: Guard, passage: Passage) -> None:
    """Remove the cookie with the response of a login: its tokens are worth nothing any more."""
    name = guard.presession_cookies.shape.name
    if name in passage.cookies or f"{name}=" in passage.request.cookie:
        passage.clear(guard.presession_cookies)
    passage.presession = None


def _find(guard: Guard, passage: Passage) -> Ticket | None:
    """The pre-session that this request brought or was given, and None where it is over."""
    if passage.presession is None:
        ticket = guard.open(passage, guard.presession_cookies)
        if ticket is not None and ticket.expires > time.time():
            passage.presession = ticket
    return passage.presession


def _send(guard: Guard, passage: Passage, secret: bytes, now: float) -> Ticket:
    passage.presession = ticket = Ticket(
        sid=bytes(8),
        alias=bytes(12),
        secret=secret,
        expires=int(now) + LIFE,
        flags=REMEMBERED,
        attributes=guard.presession_cookies.shape.digest,
    )
    passage.send(guard.presession_cookies, ticket, now=int(now))
    return ticket
