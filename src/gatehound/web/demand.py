"""What the pages, the fragment and the JSON API of a user have in common.

Belongs here: headers, statuses, what is demanded before, who sees what, and in which order. Does
not: how it is said (pages.py, api.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gatehound.model import Session
from gatehound.visit import Visit

FORM: Final = "gatehound.sessions"  # what the tokens of our own forms, and of the API, are for
TITLES: Final = {
    200: "OK",
    303: "See Other",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    503: "Service Unavailable",
}
# No inline code; forms and links of ours stay here. What one user sees is in no cache and no frame.
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("Cache-Control", "private, no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    # Not no-referrer: with it browsers send "Origin: null" with our own forms.
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


# What is said after a form was sent: a word in the query, so that nothing of it is echoed.
_DONE: Final = (
    *("ended", "gone", "others", "confirmed", "nothing"),
    *("all-ended", "cleared", "disabled", "enabled", "forgotten", "not-sure", "again"),  # of admins
)
_SAID: Final = re.compile(rf"(?:^|(?<=&))gh-done=({'|'.join(_DONE)})(?:&|$)")


def with_done(target: str, done: str) -> str:
    """Return a path with the word for what a form has done, in place of an earlier one."""
    path, _, query = target.partition("?")
    rest = _SAID.sub("", query).rstrip("&")
    return f"{path}?{rest}{'&' if rest else ''}gh-done={done}"


def done_in(query: str) -> str:
    """Return the word that `with_done` put into a query, "" where there is none."""
    found = _SAID.search(query)
    return found[1] if found else ""


def is_signed_in(visit: Visit) -> bool:
    """Say whether somebody is signed in; an outage raises, whatever `outage.policy` is.

    The app may go on without sessions then. Here they are the subject, and "you are signed out"
    would be untrue.
    """
    if visit.session is not None:
        return True
    passage = visit._passage
    if passage.outage is not None:
        raise passage.raise_later(passage.outage)
    return False


async def demand_fresh(visit: Visit) -> None:
    """Raise FreshLoginRequired without a recent sign-in, where `web.require_fresh` asks for one."""
    if visit._guard.settings.web.require_fresh:
        await visit.require_fresh()


def may_trace(visit: Visit) -> bool:
    """True for who may see how an address was found: it names the proxies of the site."""
    session, roles = visit.session, visit._guard.settings.web.trace_roles
    return session is not None and not set(roles).isdisjoint(session.roles)


def in_order(sessions: Iterable[Session]) -> list[Session]:
    """Return the current session first, then the most recently active ones."""
    return sorted(sessions, key=rank)


def rank(session: Session) -> tuple[bool, int, str]:
    """Return where a session stands in a list; no two stand in one place."""
    return not session.current, -active(session), session.public_id


def active(session: Session) -> int:
    """When a session was last active, in milliseconds."""
    return round(session.last_seen * 1000)
