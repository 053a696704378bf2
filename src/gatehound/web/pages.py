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

from gatehound.errors import UsageError
from gatehound.model import Ended, EndReason
from gatehound.visit import SyncVisit, Visit, current
from gatehound.web import noticing
from gatehound.web.asking import SAFE, Ask, Receive, from_environ, from_scope
from gatehound.web.render import language_for, rendered, words_of
from gatehound.web.reply import Reply

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Page: TypeAlias = Callable[["Pages", Ask], Awaitable[Reply]]

FORM: Final = "gatehound.sessions"  # what the tokens of our own forms are for
STATIC: Final = {"gatehound.css": "text/css", "gatehound.js": "text/javascript"}
_PHRASES: Final = {
    200: "OK",
    303: "See Other",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
}
# No inline code; forms and links of ours stay here. A page of one user is in no cache and no frame.
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
_HTML: Final = ("Content-Type", "text/html; charset=utf-8")
# What a page says after a form was sent: a word in the query, so that nothing of it is echoed.
DONE: Final = ("ended", "gone", "others", "confirmed", "nothing")


class Pages:
    """The pages of a site, behind the middleware: `asgi` and `wsgi` are apps to mount.

    Settings are those of the guard around it (`web`). UsageError where no middleware is around it.
    """

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
            return _static(rest, ask.parameters.get("v", ""))
        if name == "api":
            from gatehound.web import api  # it takes what pages share from here

            return await api.answer(ask, rest)
        if not ask.path:
            return _to(f"{ask.request.path.rpartition('/')[2]}/")
        methods = _ROUTES.get(name) if not slash or name in _DEEP else None
        if methods is None:
            return self.told(ask, 404, "not_found")
        method = ask.request.method
        page = methods.get("GET" if method == "HEAD" else method)
        if page is None:
            return self.told(ask, 405, "not_allowed", ("Allow", ", ".join(_allowed(methods))))
        if method not in SAFE:
            if ask.body is None:
                return self.told(ask, 413, "too_long")
            if not ask.is_from_here:
                return self.told(ask, 403, "elsewhere")
        return await page(self, ask)

    # --- pages ---

    async def sessions(self, ask: Ask) -> Reply:
        """List the user's sessions; to nobody signed in, say why and where to sign in."""
        visit = ask.visit
        if visit.session is None:
            return self.page(ask, "ended.html", 401, ended=visit.ended)
        await self._demand_fresh(visit)
        sessions = sorted(await visit.sessions(), key=lambda one: not one.current)
        done = ask.parameters.get("done", "")
        return self.page(
            ask,
            "sessions.html",
            sessions=sessions,
            token=visit.csrf_token(FORM),
            done=done if done in DONE else "",
        )

    async def ended(self, ask: Ask) -> Reply:
        """Say why somebody was signed out."""
        ended = ask.visit.ended
        if ask.visit.session is None and "signed-out" in ask.parameters:
            ended = Ended(EndReason.LOGOUT, 0.0)
        return self.page(ask, "ended.html", ended=ended)

    async def address(self, ask: Ask) -> Reply:
        """Show the address that was found, and to `web.trace_roles` how."""
        visit = ask.visit
        session, roles = visit.session, _settings(visit).trace_roles
        may_trace = session is not None and not set(roles).isdisjoint(session.roles)
        return self.page(
            ask,
            "address.html",
            client_ip=visit.client_ip,
            network=visit._guard.network_of(visit.client_ip.address),
            trace=visit.client_ip.explain() if may_trace else (),
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
        """End this session; where it is over already there is nothing to check."""
        if ask.visit.session is not None:
            if (refusal := self._forged(ask)) is not None:
                return refusal
            await ask.visit.logout()
        return _to(f"{ask.root}ended?signed-out")

    async def confirm(self, ask: Ask) -> Reply:
        """The user says "this was me"; from a place that is not known that needs a proof."""
        if ask.visit.session is None:
            return self.page(ask, "ended.html", 401, ended=ask.visit.ended)
        if (refusal := self._forged(ask)) is not None:
            return refusal
        done = await ask.visit.confirm()
        return self._back(ask, "confirmed" if done else "nothing")

    # --- answers ---

    def page(self, ask: Ask, name: str, status: int = 200, **values: Any) -> Reply:
        """Make a page out of a template."""
        visit = ask.visit
        settings = _settings(visit)
        accepted = ask.request.header("accept-language")
        language = language_for(settings.language, accepted)
        shown = {
            "root": ask.root,
            "mark": marks(),
            "sign_in_url": settings.sign_in_url,
            "signed_in": visit._passage.record is not None,
            "user": visit._passage.record.user_id if visit._passage.record else "",
            **values,
        }
        now = visit._passage.now / 1000 or time.time()  # 0 where no store was asked
        body = rendered(settings.templates, name, words_of(language), now, shown).encode()
        about = (("Content-Language", language), ("Vary", "Accept-Language, Cookie"))
        return Reply(status, _PHRASES[status], (_HTML, *about, *HEADERS), body)

    def told(self, ask: Ask, status: int, what: str, *headers: tuple[str, str]) -> Reply:
        """Say in a page why something was not done."""
        reply = self.page(ask, "told.html", status, what=what)
        return Reply(reply.status, reply.phrase, (*reply.headers, *headers), reply.body)

    async def _refused(self, ask: Ask) -> Reply | None:
        """Refuse a form that ends sessions: of nobody, without its token, or not fresh."""
        if ask.visit.session is None:
            return self.page(ask, "ended.html", 401, ended=ask.visit.ended)
        if (refusal := self._forged(ask)) is not None:
            return refusal
        await self._demand_fresh(ask.visit)
        return None

    def _forged(self, ask: Ask) -> Reply | None:
        if ask.visit.check_csrf(ask.form.get("token", ""), FORM):
            return None
        return self.told(ask, 403, "stale")

    async def _demand_fresh(self, visit: Visit) -> None:
        if _settings(visit).require_fresh:
            await visit.require_fresh()

    def _back(self, ask: Ask, done: str) -> Reply:
        """Go to the page that had the form: one of the app's, or ours with a word of it.

        The app's too by a relative path: a proxy may strip a prefix and not say so.
        """
        if "next" in ask.form:
            up = "../" * (ask.request.path.count("/") - 1) or "./"
            return _to(f"{up}{ask.visit.next_target(ask.form['next'])[1:]}")
        return _to(f"{ask.root}?done={done}")


_DEEP: Final = frozenset({"notice"})
_ROUTES: Final[Mapping[str, Mapping[str, Page]]] = {
    "": {"GET": Pages.sessions},
    "ended": {"GET": Pages.ended},
    "address": {"GET": Pages.address},
    "notice": {"GET": noticing.show, "POST": noticing.act},
    "end": {"POST": Pages.end},
    "end-others": {"POST": Pages.end_others},
    "sign-out": {"POST": Pages.sign_out},
    "confirm": {"POST": Pages.confirm},
}


def _settings(visit: Visit) -> Any:
    return visit._guard.settings.web


def _allowed(methods: Mapping[str, Page]) -> list[str]:
    return [*(["GET", "HEAD"] if "GET" in methods else []), *sorted(set(methods) - {"GET"})]


def _to(where: str) -> Reply:
    headers = (("Location", where), ("Content-Type", "text/plain; charset=utf-8"), *HEADERS)
    return Reply(303, _PHRASES[303], headers, b"")


@lru_cache(maxsize=1)
def _files() -> Mapping[str, bytes]:
    folder = files("gatehound.web") / "static"
    return {name: (folder / name).read_bytes() for name in STATIC}


@lru_cache(maxsize=1)
def marks() -> Mapping[str, str]:
    """Return what stands for the contents of each static file, for its address."""
    return {name: hashlib.sha256(data).hexdigest()[:12] for name, data in _files().items()}


def _static(name: str, mark: str) -> Reply:
    """Serve a file of ours; an address with its mark changes with it, so caches may keep that."""
    data = _files().get(name)
    if data is None:
        return Reply(404, _PHRASES[404], (("Content-Type", "text/plain"), *HEADERS), b"Not found\n")
    age = "31536000, immutable" if mark == marks()[name] else "300"
    headers = (
        ("Content-Type", f"{STATIC[name]}; charset=utf-8"),
        ("Cache-Control", f"public, max-age={age}"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )
    return Reply(200, _PHRASES[200], headers, data)
