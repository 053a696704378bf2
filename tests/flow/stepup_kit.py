"""A thief whom a detector always sees, and requests that need a raw path or a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flow_kit import FIREFOX, NAVIGATE, POLL, Browser, Result, Site

from gatehound import Detector, Observation, Signal

MakeSite = Callable[..., Site]
ODD = "Used by somebody with an odd header"
FORM = {**NAVIGATE, "origin": "https://localhost"}


class OddHeader(Detector):
    """Weighs a header, so that no test depends on what the built-in detectors weigh."""

    name = "odd_header"

    def inspect(self, observation: Observation) -> Iterable[Signal]:
        if observation.request.header("x-odd"):
            yield Signal("odd_header", 7.0, ODD)


def asking(*, mode: str = "step-up", **more: Any) -> dict[str, Any]:
    """Settings under which `OddHeader` makes a session step up."""
    web = {"step_up_url": "/again", **more.pop("web", {})}
    detection = {"mode": mode, **more.pop("detection", {})}
    guard = {"detectors": [OddHeader()], **more.pop("guard", {})}
    return {"web": web, "detection": detection, "guard": guard, **more}


class Thief(Browser):
    """Somebody with a copy of another browser's cookies, and the odd header."""

    def do(self, *args: Any, **options: Any) -> Result:
        headers = options.pop("headers", None) or NAVIGATE
        return super().do(*args, **options, headers={**headers, "x-odd": "1"})


def thief_of(browser: Browser, address: str = "198.51.100.7") -> Thief:
    return Thief(browser.site, FIREFOX, address, dict(browser.cookies))


def sought(browser: Browser) -> Thief:
    """Let a thief use the cookie once, so that its session has to step up."""
    thief = thief_of(browser)
    assert thief.do(reached, path="/sought").value is None
    return thief


def reached(visit: Any) -> str:
    """A job that tells that the app was called."""
    return "reached"


def reaches(browser: Browser, path: str = "/", **options: Any) -> bool:
    """True where the app is called; else it is answered for, in one of the known ways."""
    reply = browser.do(reached, path=path, **options)
    if reply.value is None:
        assert reply.status in (303, 401, 503)
        assert "no-store" in reply.header("cache-control")
    return bool(reply.value == "reached")


def next_of(reply: Result) -> str:
    """The `next` value of a redirect, as the page gets it."""
    assert reply.status == 303
    (value,) = parse_qs(urlsplit(reply.header("location")).query, strict_parsing=True)["next"]
    return value


def back(browser: Browser, value: str | None) -> str:
    """What the app's page is told to go on to."""
    reply = browser.do(lambda visit: visit.next_target(value), path="/again", method="POST")
    assert reply.error is None
    assert isinstance(reply.value, str)
    return reply.value


@contextmanager
def as_sent(
    site: Site,
    *,
    path: bytes | str | None = None,
    query: bytes = b"",
    method: str | None = None,
) -> Iterator[None]:
    """Send what a client sent, once decoded by a server, whatever `do` is told."""
    app = site.app

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        scope["query_string"] = query
        scope["method"] = method or scope["method"]
        if path is not None:
            scope["path"] = path if isinstance(path, str) else path.decode("utf-8", "replace")
        await app(scope, receive, send)

    def wsgi(environ: Any, start: Any) -> Any:
        environ["QUERY_STRING"] = query.decode("latin-1")
        environ["REQUEST_METHOD"] = method or environ["REQUEST_METHOD"]
        if path is not None:
            raw = path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")
            environ["PATH_INFO"] = raw.decode("latin-1")
        return app(environ, start)

    site.app = asgi if site.world == "asgi" else wsgi
    try:
        yield
    finally:
        site.app = app


__all__ = ["FORM", "ODD", "POLL", "MakeSite", "OddHeader", "Thief", "as_sent", "asking", "back"]
__all__ += ["next_of", "reached", "reaches", "sought", "thief_of"]
