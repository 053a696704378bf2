"""The pages in each framework, followed as a browser follows them: links, forms, redirects, files.

Three fronts: none, one that says which prefix it keeps, and a proxy that strips one without a word.
nginx does the last of them for real. Not checked here: what a browser shows; see tests/e2e.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from wsgiref.validate import validator

import apps_django
import apps_pages
import httpx
import pytest
from apps_pages import PAGES
from django.template import engines
from framework_site import around_asgi, around_wsgi

from gatehound import UsageError
from parts import require
from passthrough_kit import make_guard
from serving import Servers, free_port, servers

PREFIX = "/shop"
FRONTS = ("none", "told", "stripped")
WEB_PATH = {"path": PAGES}
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"

# name: (makes the app, puts our middleware around it, whether the app mounts the pages itself)
SITES: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], Any], bool]] = {
    "starlette": (lambda: apps_pages.starlette(False), around_asgi, False),
    "starlette-mount": (lambda: apps_pages.starlette(True), around_asgi, True),
    "fastapi": (lambda: apps_pages.fastapi(False), around_asgi, False),
    "fastapi-mount": (lambda: apps_pages.fastapi(True), around_asgi, True),
    "flask": (lambda: apps_pages.with_flask(False), around_wsgi, False),
    "flask-dispatcher": (lambda: apps_pages.with_flask(True), around_wsgi, True),
    "django-asgi": (apps_django.django_asgi, around_asgi, False),
    "django-wsgi": (apps_django.django_wsgi, around_wsgi, False),
    "pyramid": (lambda: apps_pages.pyramid(False), around_wsgi, False),
    "pyramid-wsgiapp": (lambda: apps_pages.pyramid(True), around_wsgi, True),
}


class Shown(HTMLParser):
    """What of a page leads elsewhere: links, files, and forms with their fields."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.files: list[str] = []
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(found["href"])
        elif tag in ("link", "script"):
            self.files.append(found.get("href") or found["src"])
        elif tag == "form":
            self.forms.append((found["action"], {}))
        elif tag == "input":
            self.forms[-1][1][found["name"]] = found["value"]


@dataclass
class Browser:
    """A browser with its cookies, on one page at a time; `send` is its way to the site."""

    send: Callable[[httpx.Request], httpx.Response]
    agent: str
    url: str
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)
    page: httpx.Response = field(default_factory=lambda: httpx.Response(204))

    def go(self, to: str, form: dict[str, str] | None = None) -> httpx.Response:
        """Follow a link or send a form of this page, and then redirects."""
        url, method = urljoin(self.url, to), "GET" if form is None else "POST"
        for _ in range(4):
            self.page = self._ask(method, url, form)
            self.url = url
            if not self.page.is_redirect:
                return self.page
            url, method, form = urljoin(url, self.page.headers["location"]), "GET", None
        raise AssertionError(f"redirects without end at {url}")

    def submit(self, name: str) -> httpx.Response:
        """Send the form of this page whose address ends in a name."""
        forms = Shown(self.page.text).forms
        return self.go(*next(form for form in forms if form[0].rpartition("/")[2] == name))

    def fetch(self, to: str) -> httpx.Response:
        """Load a file of this page, and stay on it."""
        return self._ask("GET", urljoin(self.url, to), None)

    def _ask(self, method: str, url: str, form: dict[str, str] | None) -> httpx.Response:
        headers = {"user-agent": self.agent, "accept": "text/html", "sec-fetch-mode": "navigate"}
        if form is not None:
            where = urlsplit(url)
            headers["origin"] = f"{where.scheme}://{where.netloc}"
            headers["sec-fetch-site"] = "same-origin"
        request = httpx.Request(method, url, headers=headers, data=form, cookies=self.cookies)
        answer = self.send(request)
        answer.request = request
        self.cookies.extract_cookies(answer)
        return answer


def front_asgi(app: Any, front: str) -> Any:
    """Stand before an ASGI app as a server with a root path, or a proxy that strips it."""

    async def fronted(scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].startswith(f"{PREFIX}/"):
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body"})
            return
        changes = {"root_path": PREFIX}
        if front == "stripped":
            path = scope["path"].removeprefix(PREFIX)
            changes = {"path": path, "raw_path": path.encode()}
        await app({**scope, **changes}, receive, send)

    return app if front == "none" else fronted


def front_wsgi(app: Any, front: str) -> Any:
    """Stand before a WSGI app as a server with a script name, or a proxy that strips it."""

    def fronted(environ: Any, start_response: Any) -> Any:
        if not environ["PATH_INFO"].startswith(f"{PREFIX}/"):
            start_response("502 Bad Gateway", [("Content-Type", "text/plain")])
            return [b""]
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(PREFIX)
        if front == "told":
            environ["SCRIPT_NAME"] = PREFIX
        return app(environ, start_response)

    return app if front == "none" else fronted


def over_asgi(app: Any) -> Callable[[httpx.Request], httpx.Response]:
    async def ask(request: httpx.Request) -> httpx.Response:
        answer = await httpx.ASGITransport(app, client=("192.0.2.7", 4711)).handle_async_request(
            request
        )
        await answer.aread()
        return answer

    return lambda request: asyncio.run(ask(request))


def over_wsgi(app: Any) -> Callable[[httpx.Request], httpx.Response]:
    transport = httpx.WSGITransport(validator(app), remote_addr="192.0.2.7")

    def ask(request: httpx.Request) -> httpx.Response:
        answer = transport.handle_request(request)
        answer.read()
        return answer

    return ask


@dataclass
class Place:
    """A site as browsers see it: `home` is its first page, `at` what a fragment has to be told."""

    send: Callable[[httpx.Request], httpx.Response]
    home: str
    at: str | None
    redirects: bool = True  # from where the pages are to the same with a slash

    def browser(self, agent: str = CHROME) -> Browser:
        browser = Browser(self.send, agent, self.home)
        assert browser.go("login").status_code == 200
        browser.url = self.home
        return browser

    @property
    def account(self) -> str:
        return "account/security" + ("" if self.at is None else f"?at={self.at}")


def make_place(name: str, front: str) -> Place:
    make_app, wrap, mounts = SITES[name]
    guard = make_guard(web={} if mounts else WEB_PATH)
    app = wrap(make_app(), guard)
    prefix = "" if front == "none" else PREFIX
    is_asgi = wrap is around_asgi
    at = f"{prefix}{PAGES}/" if mounts or front == "stripped" else None
    send = over_asgi(front_asgi(app, front)) if is_asgi else over_wsgi(front_wsgi(app, front))
    return Place(send, f"https://shop.example{prefix}/", at, redirects=not mounts)


# WebOb writes whole URLs into redirects, of what it knows of the site.
PLACES = [
    (name, front)
    for name in SITES
    for front in FRONTS
    if (name, front) != ("pyramid-wsgiapp", "stripped")
]


@pytest.fixture(params=PLACES, ids="-".join)
def place(request: pytest.FixtureRequest) -> Place:
    return make_place(*request.param)


def follow_pages(place: Place) -> None:
    """Open the pages, follow all that is on them, and end the session elsewhere."""
    elsewhere, browser = place.browser(FIREFOX), place.browser()
    browser.go(PAGES[1:] if place.redirects else f"{PAGES[1:]}/")
    assert browser.url == f"{place.home}{PAGES[1:]}/"
    assert "Firefox on Linux" in browser.page.text
    shown = Shown(browser.page.text)
    kinds = {browser.fetch(file).headers["content-type"] for file in shown.files}
    assert kinds == {"text/css; charset=utf-8", "text/javascript; charset=utf-8"}
    start = browser.url
    for link in shown.links:
        assert browser.go(link).status_code == 200
        assert {browser.fetch(one).status_code for one in Shown(browser.page.text).files} == {200}
        browser.url = start
    browser.go("")
    assert browser.submit("end").status_code == 200
    assert "That device is signed out." in browser.page.text
    elsewhere.go(f"{PAGES[1:]}/")
    assert elsewhere.page.status_code == 401
    assert "You ended this session from another device." in elsewhere.page.text
    assert browser.submit("sign-out").status_code == 200
    assert "You signed out." in browser.page.text
    assert browser.url == f"{place.home}{PAGES[1:]}/ended?signed-out"


def follow_fragment(place: Place) -> None:
    """Open a page of the app, end the session elsewhere from it, and be back."""
    elsewhere, browser = place.browser(FIREFOX), place.browser()
    page = browser.go(place.account)
    assert page.text.startswith("<h1>Account</h1><section")
    assert "Firefox on Linux" in page.text
    was = browser.url
    assert browser.submit("end").status_code == 200
    assert browser.url == f"{was}{'&' if '?' in was else '?'}gh-done=ended"
    assert "That device is signed out." in browser.page.text
    assert "You are signed in here and nowhere else." in browser.page.text
    elsewhere.go(f"{PAGES[1:]}/")
    assert elsewhere.page.status_code == 401
    assert browser.submit("sign-out").status_code == 200
    assert browser.url == f"{place.home}{PAGES[1:]}/ended?signed-out"


@pytest.mark.slow  # the first one of a framework pays for its lazy imports
def test_pages_are_found_wherever_they_are(place: Place) -> None:
    follow_pages(place)


@pytest.mark.slow  # as above
def test_fragment_leads_to_the_pages_and_back(place: Place) -> None:
    follow_fragment(place)


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({}, "found no request: render with django.shortcuts.render"),
        ({"request": {}}, "no gatehou"),
    ],
)
def test_tag_of_django_says_what_it_misses(context: dict[str, Any], said: str) -> None:
    page = engines["django"].from_string("{% load gatehound %}{% gatehound_sessions %}")
    with pytest.raises(UsageError, match=said):
        page.render(context)


# --- a real proxy that strips a prefix ---


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("servers")) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_nginx_that_strips_a_prefix(started: Servers, kind: str) -> None:
    port, upstream = free_port(), free_port()
    folder = started.folder / kind
    folder.mkdir()
    _start_site(started, kind, upstream)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, upstream=upstream))
    command = [require("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    started.start(f"nginx-{kind}", [*command, "-e", str(folder / "error.log")], port)
    with httpx.HTTPTransport() as transport:

        def ask(request: httpx.Request) -> httpx.Response:
            answer = transport.handle_request(request)
            answer.read()
            return answer

        place = Place(ask, f"http://localhost:{port}{PREFIX}/", f"{PREFIX}{PAGES}/")
        follow_pages(place)
        follow_fragment(place)


def _start_site(started: Servers, kind: str, port: int) -> None:
    here = str(Path(__file__).parent)
    environ = {
        "XDG_STATE_HOME": str(started.folder / kind),
        "STORE": f"sqlite:///{started.folder / kind}/sessions.db",
        "PYTHONPATH": here,
    }
    command = [sys.executable, "-m"]
    if kind == "asgi":
        command += ["uvicorn", "apps_pages:live_asgi", "--factory", "--port", str(port)]
    else:
        command += ["gunicorn", "apps_pages:live_wsgi()", "--bind", f"127.0.0.1:{port}"]
    started.start(kind, command, port, environ)


_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /shop/ {{
      proxy_pass http://127.0.0.1:{upstream}/;
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""
