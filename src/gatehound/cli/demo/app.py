"""The app that `gatehound demo` serves: what is written here is what any app would write.

All of it is plain HTML and forms; there is no script, and the policy of each page forbids
one. Every form carries a CSRF token of its session and of its own path. The sign-in form has
no session yet: there the browser's Origin header is compared instead (login CSRF).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gatehound import Event, FreshLoginRequired, Guard, LoginRefused, Visit, current
from gatehound.cli.demo.replay import TITLES, replay, sign_in_elsewhere
from gatehound.cli.demo.words import ago, until
from gatehound.cli.demo.world import (
    ADMIN_PATH,
    ADMINS,
    DEVICES,
    OFFERED,
    PLACE_COOKIE,
    USERS,
    Place,
    place_in,
    place_of,
)
from gatehound.detection import decide
from gatehound.detection.settings import MODES
from gatehound.events import NAMES
from gatehound.model import Signal

MAX_FORM: Final = 16 * 1024  # bytes; the longest form here has under 200
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it browsers send "Origin: null", and the sign-in form needs it.
    "Referrer-Policy": "same-origin",
}
SHOWN_EVENTS: Final = 15  # what a phone can scroll through
MEANINGS: Final = {
    "allow": "nothing to say",
    "record": "write it down",
    "flag": "mark the session",
    "notify": "mark the session, and tell its user",
    "step_up": "ask for a fresh sign-in",
    "terminate": "end the session",
}
STATIC: Final = {"demo.css": "text/css", "icon.svg": "image/svg+xml"}

Act = Callable[[Request, Visit, dict[str, str]], Awaitable[Response]]


class Demo:
    """The pages over one guard; `here` is host and port, to which the thief connects."""

    def __init__(self, guard: Guard, here: tuple[str, int]) -> None:
        self.guard = guard
        self.here = here
        self._pages = Environment(
            loader=PackageLoader("gatehound.cli.demo"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.globals.update(
            ago=ago, until=until, users=USERS, names=NAMES, meanings=MEANINGS
        )
        static = files("gatehound.cli.demo") / "static"
        self._static = {name: (static / name).read_bytes() for name in STATIC}

    def app(self) -> Starlette:
        """Return the app, not yet wrapped."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/who", self.who),
                Route("/static/{name}", self.static),
                Route("/sign-in", self.sign_in, methods=["POST"]),
                self._form("/sign-out", self.sign_out),
                self._form("/end", self.end),
                self._form("/end-others", self.end_others),
                self._form("/confirm", self.confirm),
                self._form("/again", self.again),
                self._form("/move", self.move),
                self._form("/elsewhere", self.elsewhere),
                self._form("/replay", self.replay),
            ],
            exception_handlers={404: self.not_found, LoginRefused: self.refused},
        )

    # --- pages ---

    async def home(self, request: Request) -> Response:
        """Show who is here; or the sign-in form, and why a session is over."""
        visit: Visit = current(request)
        if visit.session is None:
            return self._page(
                "sign_in.html",
                visit=visit,
                offered=OFFERED,
                signed_out="signed-out" in request.query_params,
                now=time.time(),
            )
        sessions = await visit.sessions()
        address = visit.client_ip.address
        thief = await visit.data.get("replay")
        return self._page(
            "home.html",
            visit=visit,
            sessions=sessions,
            mine=next((one for one in sessions if one.current), visit.session),
            network=self.guard.networks.lookup(address) if address is not None else None,
            place=_place(request),
            offered=OFFERED,
            devices=DEVICES,
            events=await self._events(visit),
            place_of_address=self._place_of_address,
            limit=self.guard.settings.session.max_per_user,
            mode=self.guard.settings.detection.mode,
            thief=thief,
            again="again" in request.query_params,
            modes=self._modes(thief),
            admin_path=ADMIN_PATH if visit.user_id in ADMINS else "",
            now=time.time(),
        )

    async def who(self, request: Request) -> Response:
        """Say the same to programs; the thief asks here."""
        visit: Visit = current(request)
        sessions = await visit.sessions()
        events = await self._events(visit)
        return JSONResponse(
            {
                "user": visit.user_id,
                "ended": visit.ended.text if visit.ended else None,
                "address": str(visit.client_ip.address),
                "trace": visit.client_ip.explain(),
                "action": visit.action.name.lower(),
                "score": round(visit.verdict.score, 1),
                "signals": [
                    {
                        "code": one.code,
                        "weight": round(one.weight, 2),
                        "reason": one.reason,
                        "remembered": time.time() - one.at > 1,
                    }
                    for one in visit.signals
                ],
                "sessions": [
                    {
                        "public_id": one.public_id,
                        "device": one.device,
                        "place": one.place,
                        "address": str(one.address),
                        "current": one.current,
                        "flagged": one.flagged,
                        "reasons": one.reasons,
                    }
                    for one in sessions
                ],
                "events": [
                    {"name": one.name, "reason": one.reason, "address": one.address}
                    for one in events
                ],
            },
            headers=HEADERS,
        )

    async def static(self, request: Request) -> Response:
        """Serve the style sheet and the icon."""
        name = request.path_params["name"]
        if name not in STATIC:
            return await self.not_found(request, None)
        headers = {**HEADERS, "Cache-Control": "max-age=300"}
        return Response(self._static[name], media_type=STATIC[name], headers=headers)

    async def not_found(self, request: Request, error: Exception | None) -> Response:
        """Answer for paths that are not there."""
        return self._told("Not found", "There is no such page in this demo.", 404)

    async def refused(self, request: Request, error: Exception) -> Response:
        """Say why a login may not happen."""
        return self._told("Sign-in refused", str(error), 403)

    # --- forms ---

    async def sign_in(self, request: Request) -> Response:
        """Sign in as one of the users; there are no passwords in this demo."""
        if not _same_origin(request):
            return self._told("Refused", "This form was not sent by a page of this demo.", 403)
        visit: Visit = current(request)
        form = await _read_form(request)
        user, place = form.get("user", ""), place_of(form.get("place", ""))
        if user not in USERS:
            await visit.login_failed(user[:64], "unknown user")
            names = ", ".join(USERS)
            return self._told("Sign-in failed", f"The users of this demo are {names}.", 403)
        if place != _place(request):
            # The edge goes by the cookie: the same form again, now from the chosen network.
            return _with_place(RedirectResponse("/sign-in", 307, HEADERS), place)
        attempt = await visit.begin_login(user)
        await visit.login(user, attempt, roles=("admin",) if user in ADMINS else ())
        return _to("/")

    async def sign_out(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """End this session."""
        await visit.logout()
        return _to("/?signed-out")

    async def end(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """End one other session."""
        await visit.terminate(form.get("session", ""))
        return _to("/#sessions")

    async def end_others(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """End all other sessions."""
        await visit.terminate_others()
        return _to("/#sessions")

    async def confirm(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """The visitor says "this was me"; from a suspicious place that is not enough."""
        try:
            await visit.confirm()
        except FreshLoginRequired:
            return _to("/?again")
        return _to("/#sessions")

    async def again(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """The visitor signs in again, which proves what "this was me" cannot."""
        await visit.reauthenticate()
        return _to("/#sessions")

    async def move(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """The visitor goes elsewhere with the same browser."""
        return _with_place(_to("/"), place_of(form.get("place", "")))

    async def elsewhere(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """Sign the visitor in on another, played device."""
        computer = DEVICES.get(form.get("device", ""))
        if computer is not None:
            user = visit.user_id or ""
            await asyncio.to_thread(sign_in_elsewhere, computer, self.here, user)
        return _to("/#sessions")

    async def replay(self, request: Request, visit: Visit, form: dict[str, str]) -> Response:
        """Let a thief use the visitor's cookie, and keep for the page what came of it."""
        kind, name = form.get("thief", ""), self.guard.cookies.shape.name
        if kind in TITLES:
            agent = request.headers.get("user-agent", "")
            cookie = (name, request.cookies.get(name, ""))
            shown = await asyncio.to_thread(replay, kind, self.here, cookie, agent, _place(request))
            await visit.data.set("replay", {**shown, "at": time.time()})
        return _to("/#thief")

    # --- shared ---

    def _form(self, path: str, act: Act) -> Route:
        """Guard a form: a session, and a token made for it and for this path."""

        async def endpoint(request: Request) -> Response:
            visit: Visit = current(request)
            if visit.user_id is None:
                return _to("/")  # the page there says why
            form = await _read_form(request)
            if not visit.check_csrf(form.get("csrf", ""), path):
                return self._told(
                    "Refused",
                    "This form carried no valid token of your session, so nothing was done. "
                    "Go back, reload the page and try again.",
                    403,
                )
            return await act(request, visit, form)

        return Route(path, endpoint, methods=["POST"])

    async def _events(self, visit: Visit) -> tuple[Event, ...]:
        """The newest events of the visitor."""
        if visit.user_id is None:
            return ()
        return (await self.guard.events(user_id=visit.user_id, limit=SHOWN_EVENTS)).events

    def _modes(self, thief: dict[str, Any] | None) -> list[tuple[str, str]]:
        """What each detection mode makes of the thief's score."""
        told = thief["told"] if thief else {}
        signals = [Signal(s["code"], s["weight"], s["reason"]) for s in told.get("signals", ())]
        if not signals:
            return []
        policy = self.guard.settings.policy
        return [
            (mode, decide(signals, told["score"], mode=mode, policy=policy).name.lower())
            for mode in MODES
        ]

    def _place_of_address(self, address: str) -> str:
        return self.guard.networks.lookup(ip_address(address)).place if address else ""

    def _told(self, title: str, text: str, status: int) -> Response:
        return self._page("told.html", status, title=title, text=text)

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        page = self._pages.get_template(template).render(values)
        return HTMLResponse(page, status, headers=HEADERS)


def _to(path: str) -> Response:
    """Redirect after a form, so that a reload does not send it again (303)."""
    return RedirectResponse(path, 303, headers=HEADERS)


def _with_place(response: Response, place: Place) -> Response:
    response.set_cookie(PLACE_COOKIE, place.key, httponly=True, samesite="lax")
    return response


def _place(request: Request) -> Place:
    return place_in(request.headers.get("cookie", ""))


def _same_origin(request: Request) -> bool:
    """True where the browser names this site as the sender, or where no browser sent it."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host')}"


async def _read_form(request: Request) -> dict[str, str]:
    """Read a urlencoded body; {} for anything else or anything long."""
    if int(request.headers.get("content-length") or 0) > MAX_FORM:
        return {}
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            return {}
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=20))
    except ValueError:
        return {}
