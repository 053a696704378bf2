"""The JSON API of a user, below `api/` where the pages are: the same powers, for programs.

Rules
  1. What it can do, a page can: nothing here reaches further, and each demand of a page (a session,
     its token, a fresh sign-in, this very site) is one of its route.
  2. What changes something carries the token in a header, which no form of another site can send;
     there is no CORS header, so that no script of another site reads or sends anything.
  3. Every refusal is a problem (RFC 9457) that gatehound.web.openapi names, whatever the client
     accepts. What the middleware refuses before it calls anybody is told as it is anywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from gatehound.errors import GatehoundError
from gatehound.listing import sid_of
from gatehound.model import Session
from gatehound.visit import Visit
from gatehound.web.asking import SAFE, Ask
from gatehound.web.cursor import Cursors
from gatehound.web.demand import (
    FORM,
    HEADERS,
    TITLES,
    active,
    demand_fresh,
    in_order,
    is_signed_in,
    may_trace,
    rank,
)
from gatehound.web.openapi import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    PROBLEMS,
    TOKEN_HEADER,
    Confirming,
    Ending,
    Listed,
    Listing,
    Token,
    Whereabouts,
    document,
)
from gatehound.web.reply import Reply, problem, reply_for

Act: TypeAlias = Callable[[Ask], Awaitable[Reply]]

_JSON: Final = ("Content-Type", "application/json")


class Route(msgspec.Struct, frozen=True):
    """What one method of one path does, and what it demands before.

    `is_open`: anybody may. `is_fresh`: not without a fresh sign-in, where `web.require_fresh` says
    so.
    """

    act: Act
    is_open: bool = False
    is_fresh: bool = False


async def answer(ask: Ask, path: str) -> Reply:
    """Answer one request; `path` is below `api/`. What it raises is a fault of the server."""
    passage = ask.visit._passage
    try:
        reply = await _routed(ask, path)
    except GatehoundError as error:
        if error is not passage.raised:
            raise
        reply = reply_for(error, passage, ask.visit._guard.settings, to_program=True)
    kept = [line for line in reply.headers if line[0] != "Cache-Control"]
    return Reply(reply.status, reply.phrase, (*kept, *HEADERS), reply.body)


async def _routed(ask: Ask, path: str) -> Reply:
    name, slash, below = path.partition("/")
    is_named = bool(below) and "/" not in below if slash else not below
    methods = _ROUTES.get(name + slash) if is_named and not ask.is_ambiguous else None
    if methods is None:
        return _refusal("no-such-path")
    method = ask.request.method
    route = methods.get("GET" if method == "HEAD" else method)
    if route is None:
        return _refusal("method-not-allowed", headers=(("Allow", _allowed(methods)),))
    if method not in SAFE and (refusal := _misdirected(ask)) is not None:
        return refusal
    if not route.is_open and (refusal := await _refused(ask, route)) is not None:
        return refusal
    return await route.act(ask)


# --- what a route demands ---


def _misdirected(ask: Ask) -> Reply | None:
    if ask.body is None:
        return _refusal("too-long")
    return None if ask.is_from_here else _refusal("cross-site")


async def _refused(ask: Ask, route: Route) -> Reply | None:
    visit = ask.visit
    if not is_signed_in(visit):
        return _signed_out(visit)
    if ask.request.method not in SAFE:
        token = ask.request.header(TOKEN_HEADER.lower())
        if not visit.check_csrf(token, FORM):
            return _refusal("csrf-token")
    if route.is_fresh:
        await demand_fresh(visit)
    return None


def _signed_out(visit: Visit) -> Reply:
    """Say that nobody is signed in, and why where a session is known to be over."""
    ended = visit.ended
    return _refusal(
        "signed-out",
        None if ended is None else ended.text,
        reason=None if ended is None else ended.reason,
        ended_at=None if ended is None else ended.at,
        sign_in_url=visit._guard.settings.web.sign_in_url,
    )


# --- routes ---


async def _sessions(ask: Ask) -> Reply:
    """List the user's sessions: the current one, then the most recently active."""
    visit = ask.visit
    limit, owner = _limit(ask), _owner(visit)
    if limit is None:
        return _refusal("bad-limit")
    listed = in_order(await visit.sessions())
    cursors, cursor = _cursors(visit), ask.parameters.get("cursor")
    if cursor is not None:
        if (last := cursors.open(cursor, owner)) is None:
            return _refusal("bad-cursor")
        listed = _behind(listed, *last, own=owner.hex())
    page = listed[:limit]
    more = len(listed) > limit
    following = cursors.make(owner, active(page[-1]), page[-1].public_id) if more else None
    return _said(Listing(tuple(_listed(one) for one in page), following))


async def _end(ask: Ask) -> Reply:
    """End another session; the user's own sessions are all that can be named."""
    public_id = ask.path.rpartition("/")[2]
    if sid_of(public_id) == _owner(ask.visit):
        return _refusal("current-session")
    if not await ask.visit.terminate(public_id):
        return _refusal("no-such-session")
    return _said(Ending(1))


async def _end_others(ask: Ask) -> Reply:
    return _said(Ending(await ask.visit.terminate_others()))


async def _sign_out(ask: Ask) -> Reply:
    return _said(Ending(int(await ask.visit.logout())))


async def _confirm(ask: Ask) -> Reply:
    return _said(Confirming(await ask.visit.confirm()))


async def _token(ask: Ask) -> Reply:
    return _said(Token(ask.visit.csrf_token(FORM)))


async def _address(ask: Ask) -> Reply:
    """Show the address that was found, and to `web.trace_roles` how."""
    visit = ask.visit
    guard, found, traces = visit._guard, visit.client_ip, may_trace(visit)
    network = guard.network_of(found.address)
    said = Whereabouts(
        address=None if found.address is None else str(found.address),
        country=network.country,
        place=network.place,
        reason=found.reason if traces else msgspec.UNSET,
        trace=found.explain() if traces else msgspec.UNSET,
    )
    return _said(said)


async def _openapi(ask: Ask) -> Reply:
    body = document(ask.visit._guard.cookies.shape.name)
    return Reply(200, TITLES[200], (_JSON,), body)


_ROUTES: Final[Mapping[str, Mapping[str, Route]]] = {
    "sessions": {"GET": Route(_sessions, is_fresh=True)},
    "sessions/": {"DELETE": Route(_end, is_fresh=True)},
    "end-others": {"POST": Route(_end_others, is_fresh=True)},
    "sign-out": {"POST": Route(_sign_out)},
    "confirm": {"POST": Route(_confirm)},
    "token": {"GET": Route(_token)},
    "address": {"GET": Route(_address, is_open=True)},
    "openapi.json": {"GET": Route(_openapi, is_open=True)},
}


def _allowed(methods: Mapping[str, Route]) -> str:
    return "GET, HEAD" if "GET" in methods else ", ".join(sorted(methods))


# --- lists ---


def _owner(visit: Visit) -> bytes:
    """The sid of the session in which somebody asks."""
    record = visit._passage.record
    return b"" if record is None else record.sid


def _limit(ask: Ask) -> int | None:
    text = ask.parameters.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        return None
    return int(text) if 1 <= int(text) <= MAX_LIMIT else None


def _cursors(visit: Visit) -> Cursors:
    settings = visit._guard.settings
    return Cursors(secret_keys=settings.secret_keys, namespace=settings.namespace)


def _behind(listed: list[Session], active: int, public_id: str, *, own: str) -> list[Session]:
    """Return what comes after the last one shown, whether that is there still or not.

    The current one was shown first, and is active again with every request: it never comes twice.
    """
    last = (public_id != own, -active, public_id)
    return [one for one in listed if not one.current and rank(one) > last]


def _listed(session: Session) -> Listed:
    return Listed(
        id=session.public_id,
        current=session.current,
        device=session.device,
        agent=session.agent,
        address=None if session.address is None else str(session.address),
        country=session.country,
        place=session.place,
        methods=session.methods,
        remembered=session.remembered,
        created=session.created,
        authenticated_at=session.authenticated_at,
        last_seen=session.last_seen,
        expires=session.expires,
        idle_expires=session.idle_expires,
        flagged=session.flagged,
        reasons=session.reasons,
    )


# --- answers ---


def _said(value: Any) -> Reply:
    return Reply(200, TITLES[200], (_JSON,), msgspec.json.encode(value))


def _refusal(
    code: str,
    text: str | None = None,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    **more: str | float | None,
) -> Reply:
    """Refuse with a problem of the table; `text` is instead of what the table says."""
    status, said = PROBLEMS[code]
    return problem(status, TITLES[status], code, text or said, *headers, **more)
