"""What another site made a browser send: with `csrf.protect` it is refused before the app.

The steps are those of CrossOriginProtection.Check in net/http of Go 1.25 (src/net/http/csrf.go),
which passes every request that names neither site nor origin; step 5 does not where it brings a
session. Browsers write Sec-Fetch-Site and Origin themselves (Fetch standard, "forbidden request-
header"), and no page can make another site's browser send X-CSRF-Token unless that site allows it.

  1. A safe method passes (RFC 9110 9.2.1). The handshake of a websocket is a GET and none of these:
     what it opens acts for its session (RFC 6455 10.2).
  2. Sec-Fetch-Site `same-origin` passes, and `none`: a person typed it, or followed a bookmark.
  3. An Origin that `csrf.trusted_origins` names passes. Any other Sec-Fetch-Site does not.
  4. Without Sec-Fetch-Site, Origin has to name the host that was asked. Not the scheme: behind a
     proxy nobody here knows that. Only HSTS keeps plain http of this very host out.
  5. With neither, it passes where it brings no session of ours: there is nothing to ride on.
  6. What passed none of these does with a token of its own session in the header, and on a path of
     `csrf.exempt`, as it is written: "/hook/../pay" is no hook.

A websocket skips step 2: every browser sends its Origin, and not every one the other.

MUST NOT look at the store: a request that another site sent slides no session, is no evidence
against one, and costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from gatehound.cookies import CookieCodec, Ticket
from gatehound.detection.pattern import is_odd, matcher
from gatehound.guard import Guard
from gatehound.model import Request
from gatehound.web.demand import FORM
from gatehound.web.origin import names_host
from gatehound.web.reply import Reply, cross_site_refusal, development_refusal

Gate: TypeAlias = Callable[[Request], Reply | None]

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
HEADER: Final = "x-csrf-token"
ACTIONS: Final = ("", FORM)  # what tokens in the header are for: anything, or our own API
_OWN: Final = ("same-origin", "none")


def gate_of(guard: Guard) -> Gate:
    """Return what refuses requests before they are looked at, as the settings say."""
    settings = guard.settings
    cross_site = CrossSite(guard).refusal

    def from_afar(request: Request) -> Reply | None:
        return development_refusal(request, settings, guard.resolver)

    if not settings.csrf.protect:
        return from_afar
    if not settings.development:
        return cross_site
    return lambda request: from_afar(request) or cross_site(request)


class CrossSite:
    """Tells what another site sent from what this one did; compiled once for a middleware."""

    def __init__(self, guard: Guard) -> None:
        csrf = guard.settings.csrf
        self._guard = guard
        self._trusted = frozenset(csrf.trusted_origins)
        self._is_exempt = matcher(csrf.exempt)

    def refusal(self, request: Request) -> Reply | None:
        """Return the answer to a request that is refused, None for one that passes."""
        method, path = request.method, request.path
        if method in SAFE and not request.websocket:
            return None
        reason = self._doubt(request)
        if reason is None or self._has_token(request):
            return None
        if self._is_exempt(method, path) and not is_odd(path):
            return None
        return cross_site_refusal(request, "wrong-token" if request.header(HEADER) else reason)

    def _doubt(self, request: Request) -> str | None:
        """Why a request may be another site's, None where it is not."""
        site = "" if request.websocket else request.header("sec-fetch-site")
        origin = request.header("origin")
        if site in _OWN or origin in self._trusted:
            return None
        if site:
            return "another-site"
        if origin:
            return None if names_host(request, self._guard.resolver) else "another-origin"
        return "no-origin" if self._brings_session(request) else None

    def _brings_session(self, request: Request) -> bool:
        """True for a cookie of a user's or a visitor's session that verifies, living or not."""
        guard = self._guard
        return any(_ticket(request, one) for one in (guard.cookies, guard.anonymous_cookies))

    def _has_token(self, request: Request) -> bool:
        """True for what `visit.csrf_token()` gave to this session, or to this visitor.

        A visitor's is no token of a session: a sub-domain may plant the cookie that it needs.
        """
        token, guard = request.header(HEADER), self._guard
        if not token:
            return False
        tokens, ticket = guard.csrf, _ticket(request, guard.cookies)
        if ticket is not None:
            owner = ticket.sid
        else:
            tokens, ticket = guard.presession_csrf, _ticket(request, guard.presession_cookies)
            if ticket is None or ticket.expires <= time.time():
                return False
            owner = ticket.secret
        return any(tokens.check(token, owner, action) for action in ACTIONS)


def _ticket(request: Request, codec: CookieCodec) -> Ticket | None:
    return codec.read(request.cookie, commas=request.commas).ticket
