"""What all our pages have in common: how they are served, what is refused, and how they look.

Written once, as coroutines over a Visit; `asgi` awaits them and `wsgi` runs them to their end, as
the middleware does with everything (gatehound._sync). Outside of both stands the middleware, which
turns what the pages raise (an outage, a sign-in that is not fresh) into its own answers.

Rules
  1. What acts is a POST from this site with the token of the form. A redirect goes to a path that
     we signed, or back to the pages.
  2. Every page forbids scripts and styles that are not our files, frames, caches, and other targets
     of forms.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from functools import lru_cache
from importlib.resources import files
from typing import Any, ClassVar, Final, TypeAlias

from gatehound.errors import FreshLoginRequired, StoreError, UsageError
from gatehound.visit import SyncVisit, current
from gatehound.web.asking import SAFE, Ask, Receive, from_environ, from_scope
from gatehound.web.demand import HEADERS, TITLES
from gatehound.web.render import environment, rendered
from gatehound.web.reply import Reply, step_up_link, way_back

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Act: TypeAlias = Callable[[Any, Ask], Awaitable[Reply]]
Routes: TypeAlias = Mapping[str, Mapping[str, Act]]

STATIC: Final = {"gatehound.css": "text/css", "gatehound.js": "text/javascript"}
_HTML: Final = ("Content-Type", "text/html; charset=utf-8")


class Served:
    """Pages behind the middleware: `asgi` and `wsgi` are apps to mount.

    Settings are those of the guard around it (`web`). UsageError where no middleware is around it,
    SettingsError where jinja2 is not installed.
    """

    form: ClassVar[str]  # what the tokens of its forms are for

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
        if reply.parts is not None and ask.request.method != "HEAD":
            async for part in reply.parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": reply.body_for(ask.request)})

    def wsgi(
        self, environ: Mapping[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Serve one request."""
        visit = current(environ)
        if not isinstance(visit, SyncVisit):
            name = type(self).__name__
            raise UsageError(f"{name}.wsgi was called under ASGI; mount {name}.asgi there")
        ask = from_environ(environ, visit)
        reply: Reply = visit._run(self.answer(ask))
        start_response(reply.status_line, reply.sized())
        if reply.parts is not None and ask.request.method != "HEAD":
            return _in_turn(visit, reply.parts)
        return [reply.body_for(ask.request)]

    # --- which page ---

    def routes(self) -> Routes:
        """Return what is done for each name and method."""
        raise NotImplementedError

    def is_deep(self, name: str) -> bool:
        """True for a page below which are others: `name/what`."""
        return False

    async def beside(self, ask: Ask, name: str, rest: str) -> Reply | None:
        """Answer what is no page, such as the API; None for pages."""
        return None

    async def barred(self, ask: Ask) -> Reply | None:
        """Refuse who may see none of the pages; None where somebody may."""
        return None

    def before(self, ask: Ask) -> str:
        """Return the page from which a form was sent, made of its fields; "" for the first one."""
        return ""

    async def answer(self, ask: Ask) -> Reply:
        """Answer one request; what it raises is for the middleware."""
        name, slash, rest = ask.path.removeprefix("/").partition("/")
        if name == "static":
            return _static(ask, rest)
        if (reply := await self.beside(ask, name, rest)) is not None:
            return reply
        if not ask.path:
            return to(f"{ask.request.path.rpartition('/')[2]}/")
        is_deep = self.is_deep(name) and rest != "" and "/" not in rest
        if ask.is_ambiguous or (slash and not is_deep):
            return _nothing()  # in words alone: nobody knows where a link of it would lead
        try:
            return await self._page(ask, name)
        except FreshLoginRequired:
            return self._sign_in_again(ask)

    async def _page(self, ask: Ask, name: str) -> Reply:
        if (refusal := await self.barred(ask)) is not None:
            return refusal
        methods = self.routes().get(name)
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
        return await act(self, ask)

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
            "posted": ask.request.method not in SAFE,
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

    def signed_out(self, ask: Ask) -> Reply:
        """Say that nobody is signed in, and why."""
        return self.page(ask, "ended.html", 401, ended=ask.visit.ended)

    def forged(self, ask: Ask) -> Reply | None:
        """Refuse a form without its token."""
        if ask.visit.check_csrf(ask.form.get("token", ""), self.form):
            return None
        return self.told(ask, 403, "stale")

    def _sign_in_again(self, ask: Ask) -> Reply:
        """Send a person to sign in again, and from there to the page that they were on.

        A form that was sent from it is lost, and was one click; `before` names a page that says so.
        """
        visit, passage = ask.visit, ask.visit._passage
        passage.raised = None  # it is answered here
        settings = visit._guard.settings
        if settings.web.step_up_url is None:
            return self.page(ask, "told.html", 401, what="fresh", before=self.before(ask))
        name, _, query = self.before(ask).partition("?")
        sealed = ask.form.get("next") or way_back(passage, settings, ask.above + name, query)
        return to(step_up_link(settings.web.step_up_url, sealed))


def _in_turn(visit: SyncVisit, parts: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Run an iterator to its end, a part at a time; nothing in it waits for an event loop."""

    async def following() -> bytes | None:
        return await anext(parts, None)

    while (part := visit._run(following())) is not None:
        yield part


def outage(ask: Ask, error: StoreError) -> StoreError:
    """Note that the store is down; the middleware answers 503."""
    ask.visit._guard.note_outage(error)
    return ask.visit._passage.raise_later(error)


def _allowed(methods: Mapping[str, Act]) -> list[str]:
    return [*(["GET", "HEAD"] if "GET" in methods else []), *sorted(set(methods) - {"GET"})]


def to(where: str) -> Reply:
    """Send the browser on."""
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
