"""The answers that gatehound gives itself, each of which says why.

An app meets them as exceptions (StoreUnavailable, FreshLoginRequired). Where it lets them
through, or its framework has turned them into a 500, the adapter sends these instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

import msgspec

from gatehound.clientip import ClientIPResolver
from gatehound.errors import (
    FreshLoginRequired,
    GatehoundError,
    LoginRefused,
    SessionSuperseded,
)
from gatehound.model import Action, Activity, Request
from gatehound.passage import Passage
from gatehound.settings import Settings
from gatehound.wayback import HOME, MAX_TARGET, NOBODY, WayBack, is_local, target_of

_TEXT = "text/plain; charset=utf-8"
_RESERVED = "%/?:@!$&'()*+,;=~"  # of RFC 3986, as they stand in a URL that was written by hand
_STEP_UP = (
    "step-up-required",
    "This session looks as if somebody else may be using it. Please sign in again to go on.",
)
_FRESH = ("fresh-login-required", "This needs a recent sign-in. Please sign in again.")
_LOST = "What you sent did not go through: after that, go back and send it again."
_CROSS_SITE = {
    "wrong-token": "The token in the header X-CSRF-Token was not made for this session, or over 12 "
    "hours ago, so nothing was done. For developers: send one of visit.csrf_token().",
    "another-site": "Another site sent this request, so nothing was done. To do it, open the page "
    "on this site and send it from there. For developers: send a token of the session in the "
    "header X-CSRF-Token, or name the other site in csrf.trusted_origins.",
    "another-origin": "The header Origin of this request names another site than the host that was "
    "asked, so nothing was done. To do it, open the page on this site and send it from there. For "
    "developers: send a token of the session in the header X-CSRF-Token, name the other site in "
    "csrf.trusted_origins, and behind a proxy that changes Host the header with the real one in "
    "client_ip.host_header.",
    "no-origin": "This request came with a session and did not say which site sent it, so nothing "
    "was done. To do it, use a current browser. For developers: send a token of the session in "
    "the header X-CSRF-Token, or a header Origin with the address of this site.",
}
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Reply(msgspec.Struct, frozen=True):
    """A whole response: status line text, headers, body, or the parts of a long one."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    parts: AsyncIterator[bytes] | None = None

    @property
    def status_line(self) -> str:
        """Status and phrase, as WSGI wants them."""
        return f"{self.status} {self.phrase}"

    def sized(self) -> list[tuple[str, str]]:
        """The headers, with the length of the body where it is known."""
        if self.parts is not None:
            return [*self.headers]
        return [*self.headers, ("Content-Length", str(len(self.body)))]

    def body_for(self, request: Request) -> bytes:
        """The body, which HEAD does not get."""
        return b"" if request.method == "HEAD" else self.body


def reply_for(
    error: GatehoundError, passage: Passage, settings: Settings, *, to_program: bool = False
) -> Reply:
    """Turn what an app let through into an answer that the client can act on.

    With `to_program` it is a problem (RFC 9457), whatever the client says that it accepts.
    """
    if isinstance(error, FreshLoginRequired):
        return _sign_in_again(error, passage, settings, to_program=to_program)
    if isinstance(error, SessionSuperseded):
        return _problem(
            passage.request,
            401,
            "Unauthorized",
            "superseded",
            "Your session was renewed a moment ago in another request. Please try again.",
            to_program=to_program,
        )
    if isinstance(error, LoginRefused):
        return _problem(
            passage.request,
            403,
            "Forbidden",
            "login-refused",
            f"{error}.",
            to_program=to_program,
            reason=error.reason,
        )
    return _problem(
        passage.request,
        503,
        "Service Unavailable",
        "session-store-down",
        "Sessions cannot be read or changed at this moment. Nobody has been signed out: "
        "please try again in a few seconds.",
        retry_after=settings.outage.retry_after,
        to_program=to_program,
    )


def development_refusal(
    request: Request, settings: Settings, resolver: ClientIPResolver
) -> Reply | None:
    """Refuse any host or peer but loopback in development mode, whose cookies are not Secure."""
    if not settings.development:
        return None
    name = request.host.rpartition(":")[0] if ":" in request.host else request.host
    peer = request.locate(resolver).peer
    is_far = isinstance(peer, IPv4Address | IPv6Address) and not peer.is_loopback
    if not is_far and (request.host in LOOPBACK or name in LOOPBACK):
        return None
    return _problem(
        request,
        403,
        "Forbidden",
        "development-mode",
        "gatehound runs in development mode here, and answers only on localhost, 127.0.0.1 "
        "and [::1]. Set secret_keys and identity_key, and remove development.",
    )


def problem(
    status: int,
    phrase: str,
    code: str,
    text: str,
    *headers: tuple[str, str],
    **more: str | float | list[str] | None,
) -> Reply:
    """Say to a program why something was not done (RFC 9457); what is None is left out."""
    fields = {
        "type": f"urn:gatehound:{code}",
        "title": phrase,
        "status": status,
        "detail": text,
        **{name: value for name, value in more.items() if value is not None},
    }
    body = msgspec.json.encode(fields)
    return Reply(status, phrase, (*headers, *_no_store("application/problem+json")), body)


def cross_site_refusal(request: Request, reason: str) -> Reply:
    """Refuse what another site may have made a browser send; `reason` is a key of _CROSS_SITE."""
    return _problem(request, 403, "Forbidden", "cross-site", _CROSS_SITE[reason], reason=reason)


def _sign_in_again(
    error: FreshLoginRequired, passage: Passage, settings: Settings, *, to_program: bool
) -> Reply:
    """Send a page load to where its person can prove who they are; tell all others.

    What somebody posted would be lost on the way there, and nobody would say so: it gets the 401.
    """
    url, request = settings.web.step_up_url, passage.request
    is_read = request.method in ("GET", "HEAD")
    is_page = passage.activity is Activity.NAVIGATE and not to_program
    if url is not None and is_read and is_page:
        headers = (("Location", step_up_link(url, way_back(passage, settings))), *_no_store(_TEXT))
        return Reply(303, "See Other", headers, b"Please sign in again.\n")
    has_to_step_up = passage.record is not None and passage.verdict.action is Action.STEP_UP
    code, text = _STEP_UP if has_to_step_up else _FRESH
    reasons = [signal.reason for signal in passage.verdict.signals] if has_to_step_up else []
    return _problem(
        request,
        401,
        "Unauthorized",
        code,
        text if is_read else f"{text} {_LOST}",
        link=url,
        to_program=to_program,
        max_age=None if has_to_step_up else error.max_age,
        step_up_url=url,
        reasons=reasons or None,
    )


def step_up_link(url: str, sealed: str) -> str:
    """Return the address of the step-up page with a `next` that `way_back` made."""
    return f"{quote(url, safe=_RESERVED)}{'&' if '?' in url else '?'}next={quote(sealed)}"


def way_back(passage: Passage, settings: Settings, path: str | None = None, query: str = "") -> str:
    """Return the `next` that leads the session of a request to a path; None is this very request.

    To "/" where the path is not safe. `query` is one that urlencode made, left out where the whole
    gets too long.
    """
    back = WayBack(secret_keys=settings.secret_keys, namespace=settings.namespace)
    owner = NOBODY if passage.ticket is None else passage.ticket.sid
    if path is None:
        return back.seal(target_of(passage.request), owner)
    if not is_local(path):
        return back.seal(HOME, owner)
    target = quote(path)
    whole = f"{target}?{query}" if query else target
    return back.seal(whole if len(whole) <= MAX_TARGET else target, owner)


def _problem(
    request: Request,
    status: int,
    phrase: str,
    code: str,
    text: str,
    *,
    retry_after: float | None = None,
    link: str | None = None,
    to_program: bool = False,
    **more: str | float | list[str] | None,
) -> Reply:
    """A page for browsers, application/problem+json (RFC 9457) for programs."""
    extra = () if retry_after is None else (("Retry-After", str(max(1, round(retry_after)))),)
    if not to_program and "text/html" in request.header("accept"):
        import html  # with its entities; most processes never show a page

        way = f'<p><a href="{html.escape(link)}">Sign in again</a></p>' if link else ""
        body = (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width'>"
            f"<title>{html.escape(phrase)}</title>"
            f"<h1>{html.escape(phrase)}</h1><p>{html.escape(text)}</p>{way}</html>"
        ).encode()
        return Reply(status, phrase, (*extra, *_no_store("text/html; charset=utf-8")), body)
    return problem(status, phrase, code, text, *extra, **more)


def _no_store(content_type: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", content_type), ("Cache-Control", "private, no-store"))
