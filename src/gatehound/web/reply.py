"""The answers that gatehound gives itself, each of which says why.

An app meets them as exceptions (StoreUnavailable, FreshLoginRequired). Where it lets them
through, or its framework has turned them into a 500, the adapter sends these instead.
"""

from __future__ import annotations

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
from gatehound.wayback import NOBODY, WayBack, target_of

_TEXT = "text/plain; charset=utf-8"
_RESERVED = "%/?:@!$&'()*+,;=~"  # of RFC 3986, as they stand in a URL that was written by hand
_STEP_UP = (
    "step-up-required",
    "This session looks as if somebody else may be using it. Please sign in again to go on.",
)
_FRESH = ("fresh-login-required", "This needs a recent sign-in. Please sign in again.")
_LOST = "What you sent did not go through: after that, go back and send it again."
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Reply(msgspec.Struct, frozen=True):
    """A whole response: status line text, headers, body."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status_line(self) -> str:
        """Status and phrase, as WSGI wants them."""
        return f"{self.status} {self.phrase}"

    def sized(self) -> list[tuple[str, str]]:
        """The headers, with the length of the body."""
        return [*self.headers, ("Content-Length", str(len(self.body)))]

    def body_for(self, request: Request) -> bytes:
        """The body, which HEAD does not get."""
        return b"" if request.method == "HEAD" else self.body


def reply_for(error: GatehoundError, passage: Passage, settings: Settings) -> Reply:
    """Turn what an app let through into an answer that the client can act on."""
    if isinstance(error, FreshLoginRequired):
        return _sign_in_again(error, passage, settings)
    if isinstance(error, SessionSuperseded):
        return _problem(
            passage.request,
            401,
            "Unauthorized",
            "superseded",
            "Your session was renewed a moment ago in another request. Please try again.",
        )
    if isinstance(error, LoginRefused):
        return _problem(
            passage.request, 403, "Forbidden", "login-refused", f"{error}.", reason=error.reason
        )
    return _problem(
        passage.request,
        503,
        "Service Unavailable",
        "session-store-down",
        "Sessions cannot be read or changed at this moment. Nobody has been signed out: "
        "please try again in a few seconds.",
        retry_after=settings.outage.retry_after,
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


def _sign_in_again(error: FreshLoginRequired, passage: Passage, settings: Settings) -> Reply:
    """Send a page load to where its person can prove who they are; tell all others.

    What somebody posted would be lost on the way there, and nobody would say so: it gets the 401.
    """
    url, request = settings.web.step_up_url, passage.request
    is_read = request.method in ("GET", "HEAD")
    if url is not None and is_read and passage.activity is Activity.NAVIGATE:
        headers = (("Location", _to(url, passage, settings)), *_no_store(_TEXT))
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
        max_age=None if has_to_step_up else error.max_age,
        step_up_url=url,
        reasons=reasons or None,
    )


def _to(url: str, passage: Passage, settings: Settings) -> str:
    """The step-up page, with the way back to this very request in `next`."""
    back = WayBack(secret_keys=settings.secret_keys, namespace=settings.namespace)
    owner = NOBODY if passage.ticket is None else passage.ticket.sid
    sealed = back.seal(target_of(passage.request), owner)
    return f"{quote(url, safe=_RESERVED)}{'&' if '?' in url else '?'}next={sealed}"


def _problem(
    request: Request,
    status: int,
    phrase: str,
    code: str,
    text: str,
    *,
    retry_after: float | None = None,
    link: str | None = None,
    **more: str | float | list[str] | None,
) -> Reply:
    """A page for browsers, application/problem+json (RFC 9457) for programs."""
    extra = () if retry_after is None else (("Retry-After", str(max(1, round(retry_after)))),)
    if "text/html" in request.header("accept"):
        import html  # with its entities; most processes never show a page

        way = f'<p><a href="{html.escape(link)}">Sign in again</a></p>' if link else ""
        body = (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width'>"
            f"<title>{html.escape(phrase)}</title>"
            f"<h1>{html.escape(phrase)}</h1><p>{html.escape(text)}</p>{way}</html>"
        ).encode()
        return Reply(status, phrase, (*extra, *_no_store("text/html; charset=utf-8")), body)
    fields = {
        "type": f"urn:gatehound:{code}",
        "title": phrase,
        "status": status,
        "detail": text,
        **{name: value for name, value in more.items() if value is not None},
    }
    body = msgspec.json.encode(fields)
    return Reply(status, phrase, (*extra, *_no_store("application/problem+json")), body)


def _no_store(content_type: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", content_type), ("Cache-Control", "private, no-store"))
