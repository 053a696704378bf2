"""The pages that a user sees: my sessions, why I was signed out, security notice, my address.

    app.mount("/sessions", Pages().asgi)        # or set web.path, and mount nothing
    DispatcherMiddleware(app, {"/sessions": Pages().wsgi})

Written once, as coroutines over a Visit; `asgi` awaits them and `wsgi` runs them to their end, as
the middleware does with everything (gatehound._sync). Outside of both stands the middleware, which
turns what the pages raise (an outage, a sign-in that is not fresh) into its own answers.

Rules
  1. A user reaches their own sessions alone, and not the current one by its id.
  2. What acts is a POST from this site with the token of the form. A redirect goes to a path that
     we signed, or back to the pages.
  3. Every page forbids scripts and styles that are not our files, frames, caches, and other targets
     of forms.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, TypeAlias

from gatehound.errors import FreshLoginRequired, UsageError
from gatehound.model import Ended, EndReason
from gatehound.visit import SyncVisit, current
from gatehound.web import api, noticing
from gatehound.web.asking import SAFE, Ask, Receive, from_environ, from_scope
from gatehound.web.demand import (
    FORM,
    HEADERS,
    TITLES,
    demand_fresh,
    done_in,
    in_order,
    is_signed_in,
    may_trace,
    with_done,
)
from gatehound.web.render import environment, rendered
from gatehound.web.reply import Reply, step_up_link, way_back

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Act: TypeAlias = Callable[["Pages", Ask], Awaitable[Reply]]

STATIC: Final = {"gatehound.css": "text/css", "gatehound.js": "text/javascript"}
_HTML: Final = ("Content-Type", "text/html; charset=utf-8")


class Pages:
    """The pages of a site, behind the middleware: `asgi` and `wsgi` are apps to mount.

    Settings are those of the guard around it (`web`). UsageError where no middleware is around it,
    SettingsError where jinja2 is not installed.
    """

    def __init__(self) -> None:
        environment(None)

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; a websocket is refused."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        visit = current(scope)
        ask = await from_scope(scope, receive, visit)
        reply = await self.answer(ask)
        headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in reply.sized()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body_for(ask.request)})

    def wsgi(
        self, environ: Mapping[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Serve one request."""
        visit = current(environ)
        if not isinstance(visit, SyncVisit):
            raise UsageError("Pages.wsgi was called under ASGI; mount Pages.asgi there")
        ask = from_environ(environ, visit)
        reply: Reply = visit._run(self.answer(ask))
        start_response(reply.status_line, reply.sized())
        return [reply.body_for(ask.request)]

    async def answer(self, ask: Ask) -> Reply:
        """Answer one request; what it raises is for the middleware."""
        name, slash, rest = ask.path.removeprefix("/").partition("/")
        if name == "static":
            return _static(ask, rest)
        if name == "api":
            return await api.answer(ask, rest)
        if not ask.path:
            return _to(f"{ask.request.path.rpartition('/')[2]}/")
        is_deep = name in _DEEP and rest != "" and "/" not in rest
        if ask.is_ambiguous or (slash and not is_deep):
            return _nothing()  # in words alone: nobody knows where a link of it would lead
        methods = _ROUTES.get(name)
        if methods is None:
            return self.told(ask, 404, "not_found")
        method = ask.request.method
        act = methods.get("GET" if method == "HEAD" else method)
        if act is None:
            return self.told(ask, 405, "not_allowed", ("Allow", ", ".join(_allowed(methods))))
        if method not in SAFE:
            if ask.body is None:
                return self.told(ask, 413, "too_long")
            if not ask.is_from_here:
                return self.told(ask, 403, "elsewhere")
        try:
            return await act(self, ask)
        except FreshLoginRequired:
            return self._sign_in_again(ask)

    # --- pages ---

    async def sessions(self, ask: Ask) -> Reply:
        """List the user's sessions; to nobody signed in, say why and where to sign in."""
        visit = ask.visit
        if not is_signed_in(visit):
            return self._signed_out(ask)
        await demand_fresh(visit)
        sessions = in_order(await visit.sessions())
        return self.page(
            ask,
            "sessions.html",
            sessions=sessions,
            token=visit.csrf_token(FORM),
            done=done_in(ask.query),
        )

    async def ended(self, ask: Ask) -> Reply:
        """Say why somebody was signed out."""
        is_here, ended = is_signed_in(ask.visit), ask.visit.ended
        if not is_here and ended is None and "signed-out" in ask.parameters:
            ended = Ended(EndReason.LOGOUT, 0.0)
        return self.page(ask, "ended.html", ended=ended)

    async def address(self, ask: Ask) -> Reply:
        """Show the address that was found, and to `web.trace_roles` how."""
        visit = ask.visit
        return self.page(
            ask,
            "address.html",
            client_ip=visit.client_ip,
            network=visit._guard.network_of(visit.client_ip.address),
            trace=visit.client_ip.explain() if may_trace(visit) else (),
        )

    # --- forms ---

    async def end(self, ask: Ask) -> Reply:
        """End one other session."""
        if (refusal := await self._refused(ask)) is not None:
            return refusal
        ended = await ask.visit.terminate(ask.form.get("session", ""))
        return self._back(ask, "ended" if ended else "gone")

    async def end_others(self, ask: Ask) -> Reply:
        """End all sessions but this one."""
        if (refusal := await self._refused(ask)) is not None:
            return refusal
        count = await ask.visit.terminate_others()
        return self._back(ask, "others" if count else "nothing")

    async def sign_out(self, ask: Ask) -> Reply:
        """End this session; where it is over already, say why."""
        if is_signed_in(ask.visit):
            if (refusal := self._forged(ask)) is not None:
                return refusal
        elif ask.visit.ended is not None:
            return _to(f"{ask.root}ended")
        await ask.visit.logout()
        return _to(f"{ask.root}ended?signed-out")

    async def confirm(self, ask: Ask) -> Reply:
        """The user says "this was me"; from a place that is not known that needs a proof."""
        if not is_signed_in(ask.visit):
            return self._signed_out(ask)
        if (refusal := self._forged(ask)) is not None:
            return refusal
        done = await ask.visit.confirm()
        return self._back(ask, "confirmed" if done else "nothing")

    # --- answers ---

    def page(self, ask: Ask, name: str, status: int = 200, **values: Any) -> Reply:
        """Make a page out of a template."""
        visit = ask.visit
        settings = visit._guard.settings.web
        shown = {
            "root": ask.root,
            "mark": marks(),
            "sign_in_url": settings.sign_in_url,
            "password_url": settings.password_url,
            "home_url": settings.home_url,
            "signed_in": visit._passage.record is not None,
            **values,
        }
        now = visit._passage.now / 1000 or time.time()  # 0 where no store was asked
        accepted = ask.request.header("accept-language")
        made = rendered(settings, accepted, name, now, shown)
        about = (("Content-Language", made.language), ("Vary", "Accept-Language, Cookie"))
        return Reply(status, TITLES[status], (_HTML, *about, *HEADERS), made.text.encode())

    def told(self, ask: Ask, status: int, what: str, *headers: tuple[str, str]) -> Reply:
        """Say in a page why something was not done."""
        reply = self.page(ask, "told.html", status, what=what)
        return Reply(reply.status, reply.phrase, (*reply.headers, *headers), reply.body)

    async def _refused(self, ask: Ask) -> Reply | None:
        """Refuse a form that ends sessions: of nobody, without its token, or not fresh."""
        if not is_signed_in(ask.visit):
            return self._signed_out(ask)
        if (refusal := self._forged(ask)) is not None:
            return refusal
        await demand_fresh(ask.visit)
        return None

    def _forged(self, ask: Ask) -> Reply | None:
        if ask.visit.check_csrf(ask.form.get("token", ""), FORM):
            return None
        return self.told(ask, 403, "stale")

    def _signed_out(self, ask: Ask) -> Reply:
        return self.page(ask, "ended.html", 401, ended=ask.visit.ended)

    def _sign_in_again(self, ask: Ask) -> Reply:
        """Send a person to sign in again, and from there to the list that they were on.

        A form that was sent from it is lost, and was one click.
        """
        visit, passage = ask.visit, ask.visit._passage
        passage.raised = None  # it is answered here
        settings = visit._guard.settings
        if settings.web.step_up_url is None:
            return self.told(ask, 401, "fresh")
        sealed = ask.form.get("next") or way_back(passage, settings, ask.above)
        return _to(step_up_link(settings.web.step_up_url, sealed))

    def _back(self, ask: Ask, done: str) -> Reply:
        """Go to the page that had the form: one of the app's, or ours with a word of it.

        The app's too by a relative path: a proxy may strip a prefix and not say so.
        """
        if "next" in ask.form:
            up = "../" * (ask.request.path.count("/") - 1) or "./"
            return _to(up + with_done(ask.visit.next_target(ask.form["next"]), done)[1:])
        return _to(with_done(ask.root, done))


_DEEP: Final = frozenset({"notice"})
_ROUTES: Final[Mapping[str, Mapping[str, Act]]] = {
    "": {"GET": Pages.sessions},
    "ended": {"GET": Pages.ended},
    "address": {"GET": Pages.address},
    "notice": {"GET": noticing.show, "POST": noticing.act},
    "end": {"POST": Pages.end},
    "end-others": {"POST": Pages.end_others},
    "sign-out": {"POST": Pages.sign_out},
    "confirm": {"POST": Pages.confirm},
}


def _allowed(methods: Mapping[str, Act]) -> list[str]:
    return [*(["GET", "HEAD"] if "GET" in methods else []), *sorted(set(methods) - {"GET"})]


def _to(where: str) -> Reply:
    headers = (("Location", where), ("Content-Type", "text/plain; charset=utf-8"), *HEADERS)
    return Reply(303, TITLES[303], headers, b"")


@lru_cache(maxsize=1)
def _files() -> Mapping[str, bytes]:
    folder = files("gatehound.web") / "static"
    return {name: (folder / name).read_bytes() for name in STATIC}


@lru_cache(maxsize=1)
def marks() -> Mapping[str, str]:
    """Return what stands for the contents of each static file, for its address."""
    return {name: hashlib.sha256(data).hexdigest()[:12] for name, data in _files().items()}


def _static(ask: Ask, name: str) -> Reply:
    """Serve a file of ours; an address with its mark changes with it, so caches may keep that."""
    data = _files().get(name)
    if data is None:
        return _nothing()
    if ask.request.method not in ("GET", "HEAD"):
        return _plain(405, "Only GET and HEAD are allowed.", ("Allow", "GET, HEAD"))
    age = "31536000, immutable" if ask.parameters.get("v") == marks()[name] else "300"
    headers = (
        ("Content-Type", f"{STATIC[name]}; charset=utf-8"),
        ("Cache-Control", f"public, max-age={age}"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )
    return Reply(200, TITLES[200], headers, data)


def _nothing() -> Reply:
    return _plain(404, "There is no such page.")


def _plain(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    about = ("Content-Type", "text/plain; charset=utf-8")
    return Reply(status, TITLES[status], (about, *headers, *HEADERS), f"{text}\n".encode())
