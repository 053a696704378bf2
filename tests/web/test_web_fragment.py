"""The list of sessions in pages of an app, through both adapters, Jinja2 and Django's templates.

Not checked here: Django's own settings and INSTALLED_APPS; see tests/frameworks.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import product
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from jinja2 import Environment
from markupsafe import Markup
from web_kit import CHROME, FIREFOX, ORIGIN, Person, Place, only_asgi

from gatehound import UsageError, Visit
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.testing import FakeClock
from gatehound.web import render_sessions
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware

STYLES = ("default", "minimal", "compact")
TO_SIGN_IN = "Where you are signed in is shown only after a recent sign-in."


class Tree(HTMLParser):
    """What a page is made of: tags with their attributes, and forms with their fields."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag == "form":
            self.forms.append((found["action"], {}))
        if tag == "input":
            self.forms[-1][1][found["name"]] = found["value"]

    def values(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]

    def form(self, name: str) -> tuple[str, dict[str, str]]:
        return next(form for form in self.forms if form[0].endswith(f"/{name}"))


def shows(place: Place, *styles: str, **options: Any) -> None:
    """Let every page of the app hold one fragment a style."""

    async def awaited(visit: Any) -> str:
        return "".join([await render_sessions(visit, one, **options) for one in styles])  # type: ignore[call-overload] # any text

    def job(visit: Any) -> Any:
        if isinstance(visit, Visit):
            return awaited(visit)
        return "".join(render_sessions(visit, one, **options) for one in styles)  # type: ignore[call-overload] # as above

    place.job = job


def send(person: Person, page: str, form: tuple[str, dict[str, str]]) -> httpx.Response:
    """Send a form of a page as a browser does."""
    headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
    path = urljoin(page, form[0])
    answer = person.ask("POST", path, data=form[1], headers=headers)
    if "location" in answer.headers:
        answer.headers["location"] = urljoin(path, answer.headers["location"])
    return answer


def two(place: Place) -> tuple[Person, Person]:
    """One user at home and elsewhere."""
    elsewhere = place.person(FIREFOX, "198.51.100.4").login()
    return place.person().login(), elsewhere


@pytest.mark.parametrize("style", STYLES)
def test_sessions_are_shown(place: Place, style: str) -> None:
    home, _ = two(place)
    shows(place, style)
    text = home.get("/account").text
    assert f'class="gh-sessions gh-{style}"' in text
    assert text.index("Chrome on Windows") < text.index("Firefox on Linux")
    assert ("198.51.100.4" in text) == (style != "minimal")
    assert ("Each line is one sign-in" in text) == (style == "default")
    assert {one[0] for one in Tree(text).forms} == {
        "/sessions/sign-out",
        "/sessions/end",
        "/sessions/end-others",
    }
    assert "<html" not in text


def test_several_on_one_page_share_no_id(place: Place) -> None:
    home, _ = two(place)
    shows(place, *STYLES, "default")
    tree = Tree(home.get("/account").text)
    ids = tree.values("id")
    assert len(ids) == len(set(ids)) == 12
    named = tree.values("aria-labelledby") + tree.values("aria-describedby")
    assert set(named) == set(ids)
    shows(place, "default")
    assert Tree(home.get("/account").text).values("id")[0] == "gh-1-title"  # each page anew


def test_level_of_the_heading(place: Place) -> None:
    home, _ = two(place)
    shows(place, "compact", level=3)
    text = home.get("/account").text
    assert "<h3" in text
    assert "<h2" not in text


def test_nothing_is_shown_to_nobody(place: Place) -> None:
    shows(place, *STYLES)
    answer = place.person().get("/account")
    assert answer.text == ""
    assert "set-cookie" not in answer.headers


def test_nothing_is_shown_where_no_session_is_looked_up(make_place: Callable[..., Place]) -> None:
    place = make_place(ignore_paths=["/health"])
    home, _ = two(place)
    shows(place, "default")
    assert home.get("/health").text == ""


@pytest.mark.parametrize("path", ["/account/security?tab=2&q=a%20b", "/", "/a%20b/x:y"])
def test_form_ends_a_session_and_leads_back(place: Place, path: str) -> None:
    home, elsewhere = two(place)
    shows(place, "compact")
    page = Tree(home.get(path).text)
    answer = send(home, path, page.form("end"))
    assert answer.status_code == 303
    back = f"{path.replace(':', '%3A')}{'&' if '?' in path else '?'}gh-done="
    assert answer.headers["location"] == f"{back}ended"
    assert elsewhere.get("/sessions/").status_code == 401
    text = home.get(f"{back}ended").text
    assert "You are signed in here and nowhere else." in text
    assert text.count("That device is signed out.") == 1
    # Of two forms in turn the last one says what it did.
    place.person(FIREFOX).login()
    once_more = send(home, f"{back}ended", Tree(home.get(f"{back}ended").text).form("end-others"))
    assert once_more.headers["location"] == f"{back}others"


@pytest.mark.parametrize("word", ["ended", "<b>x</b>", "ended2", "", "ended%26"])
def test_word_of_what_was_done_is_one_of_ours(place: Place, word: str) -> None:
    home, _ = two(place)
    shows(place, "default", "compact")
    text = home.get(f"/account?gh-done={word}&x=1").text
    assert text.count("That device is signed out.") == (word == "ended")
    assert text.count('role="status"') == (word == "ended")


def test_sign_out_tells_what_was_done(place: Place) -> None:
    home, _ = two(place)
    shows(place, "default")
    answer = send(home, "/account", Tree(home.get("/account").text).form("sign-out"))
    assert answer.headers["location"] == "/sessions/ended?signed-out"
    assert home.get("/account").text == ""


def test_way_back_of_another_session_leads_home(place: Place) -> None:
    home, _ = two(place)
    eve = place.person().login("eve")
    shows(place, "default")
    place.person(FIREFOX).login("eve")
    hers = Tree(eve.get("/trap").text).form("end-others")[1]["next"]
    path, fields = Tree(home.get("/account").text).form("end-others")
    assert fields["next"] != hers
    for way in (hers, "https://evil.example/", "//evil.example", ""):
        answer = send(home, "/account", (path, {**fields, "next": way}))
        assert answer.headers["location"].partition("?")[0] == "/"


def test_flagged_session_can_be_confirmed(place: Place, clock: FakeClock) -> None:
    home = place.person().login()
    clock.advance(60)
    home.headers["user-agent"], home.address = FIREFOX, "198.51.100.9"
    home.get("/")
    home.headers["user-agent"], home.address = CHROME, "203.0.113.7"
    shows(place, "minimal")
    text = home.get("/account").text
    assert "Suspicious" in text
    assert send(home, "/account", Tree(text).form("confirm")).headers["location"] == (
        "/account?gh-done=confirmed"
    )
    assert "Suspicious" not in home.get("/account").text


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_what_clients_say_is_escaped(place: Place, text: str) -> None:
    agent = f"Mozilla/5.0 {text}"
    home, _ = place.person(agent).login(text), place.person(agent).login(text)
    shows(place, *STYLES)
    page = home.get(f"/{text}?{text}").text
    assert text not in page
    assert {tag for tag, _ in Tree(page).tags}.isdisjoint({"script", "img"})


def test_old_sign_in_shows_no_session(make_place: Callable[..., Place], clock: FakeClock) -> None:
    place = make_place(web={"step_up_url": "/again"})
    home, _ = two(place)
    clock.advance(601)
    shows(place, "default")
    answer = home.get("/account?tab=2")
    assert answer.status_code == 200
    assert TO_SIGN_IN in answer.text
    assert "Firefox" not in answer.text
    [link] = Tree(answer.text).values("href")
    path, _, way = link.partition("?next=")
    assert path == "/again"
    place.job = lambda visit: visit.next_target(way)
    assert home.get("/again").text == "/account?tab=2"
    assert place.person().login().get("/again").text == "/"


def test_old_sign_in_without_a_page_to_renew_it(place: Place, clock: FakeClock) -> None:
    home, _ = two(place)
    clock.advance(601)
    shows(place, "default")
    text = home.get("/account").text
    assert TO_SIGN_IN in text
    assert '<a href="/login">' in text  # the best that is known


def test_old_sign_in_is_no_excuse_for_the_app(place: Place, clock: FakeClock) -> None:
    """What the fragment has answered must not turn a later 500 of the app into ours."""
    home, _ = two(place)
    clock.advance(601)

    def job(visit: Any) -> Any:
        if isinstance(visit, Visit):
            return awaited(visit)
        render_sessions(visit)
        return visit._passage.raised

    async def awaited(visit: Any) -> Any:
        await render_sessions(visit)
        return visit._passage.raised

    place.job = job
    assert home.get("/account").text == "None"


def test_recent_sign_in_can_be_waived(make_place: Callable[..., Place], clock: FakeClock) -> None:
    place = make_place(web={"require_fresh": False})
    home, elsewhere = two(place)
    clock.advance(1200)
    shows(place, "default")
    page = Tree(home.get("/account").text)
    assert send(home, "/account", page.form("end")).headers["location"] == (
        "/account?gh-done=ended"
    )
    assert elsewhere.get("/sessions/").status_code == 401


def test_language_is_that_of_the_settings_and_said(make_place: Callable[..., Place]) -> None:
    place = make_place(web={"language": "de"})
    home, _ = two(place)
    shows(place, "default")
    assert Tree(home.get("/account").text).tags[0][1]["lang"] == "de"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"style": "fancy"}, "style 'fancy' given; allowed are default, minimal, compact"),
        ({"style": ""}, "style '' given; allowed are default, minimal, compact"),
        ({"level": 7}, "level 7 given; allowed are 1 to 6"),
        ({"at": "https://evil.example/"}, "at 'https://evil.example/' given; allowed is a path"),
        ({"at": "//evil.example/"}, "at '//evil.example/' given"),
        ({"at": ""}, "at '' given"),
    ],
)
def test_misuse_says_what_is_allowed(place: Place, options: dict[str, Any], said: str) -> None:
    def job(visit: Any) -> str:
        with pytest.raises(UsageError, match=re.escape(said)):
            render_sessions(visit, **options)
        return "refused"

    place.job = job
    assert place.person().get("/").text == "refused"


# --- where the forms go ---


def test_mounted_pages_need_their_place(make_place: Callable[..., Place]) -> None:
    place = make_place(web={"path": None})
    home, _ = two(place)

    def job(visit: Any) -> str:
        with pytest.raises(UsageError, match="or say where you mounted Pages"):
            render_sessions(visit)
        return "refused"

    place.job = job
    assert home.get("/").text == "refused"
    for at in ("/mine/of/it/", "/mine/of/it"):
        shows(place, "default", at=at)
        assert "/mine/of/it/end-others" in dict(Tree(home.get("/").text).forms)


@pytest.mark.parametrize(
    ("world", "root"),
    [
        *product(("asgi", "wsgi"), ("/shop", "/shop/", "/a b/ü", "")),
        ("asgi", "//evil.example"),  # wsgiref.validate refuses such a name
    ],
)
def test_forms_go_below_the_prefix_of_the_app(place: Place, root: str, world: str) -> None:
    """A root that names another host is not followed: it came out of a header."""
    home, _ = two(place)
    shows(place, "default")
    inner = place.app

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await inner(
            {**scope, "root_path": root, "path": root.rstrip("/") + scope["path"]}, receive, send
        )

    def wsgi(environ: Any, start_response: Any) -> Any:
        environ["SCRIPT_NAME"] = root.rstrip("/").encode().decode("latin-1")
        return inner(environ, start_response)

    place.app = asgi if world == "asgi" else wsgi
    base = {"/shop": "/shop", "/shop/": "/shop", "/a b/ü": "/a%20b/%C3%BC"}.get(root, "")
    page = Tree(home.get("/account").text)
    assert {one[0] for one in page.forms} >= {f"{base}/sessions/end", f"{base}/sessions/sign-out"}
    path, fields = page.form("end-others")
    answer = home.ask("POST", path.removeprefix(base), data=fields, headers={"origin": ORIGIN})
    back = urljoin(path, answer.headers["location"]).partition("?")[0]
    assert back == ("/" if root == "//evil.example" else f"{base}/account")


# --- in templates ---


def test_jinja2(place: Place, world: str) -> None:
    home, _ = two(place)
    made = Environment(autoescape=True, enable_async=world == "asgi")
    made.globals["render_sessions"] = render_sessions
    template = made.from_string('<h1>Account</h1>{{ render_sessions(visit, style="compact") }}')
    render = template.render_async if world == "asgi" else template.render
    place.job = lambda visit: render(visit=visit)
    text = home.get("/account").text
    assert text.startswith('<h1>Account</h1><section class="gh-sessions gh-compact"')
    assert "&lt;" not in text


@only_asgi
def test_template_that_does_not_await_is_told_so(place: Place) -> None:
    template = Environment(autoescape=True).from_string("{{ render_sessions(visit) }}")

    def job(visit: Any) -> str:
        with pytest.raises(UsageError, match="enable_async=True"):
            template.render(visit=visit, render_sessions=render_sessions)
        with pytest.raises(UsageError, match="enable_async=True"):
            str(render_sessions(visit))
        return "refused"

    place.job = job
    assert place.person().get("/").text == "refused"


@only_asgi
def test_plain_face_under_asgi(place: Place) -> None:
    home, _ = two(place)
    place.job = lambda visit: asyncio.to_thread(render_sessions, visit.sync, "minimal")
    assert "Firefox on Linux" in home.get("/account").text


def test_what_is_returned(place: Place, world: str) -> None:
    home, _ = two(place)
    seen: list[Any] = []

    def job(visit: Any) -> str:
        seen.append(render_sessions(visit))
        return ""

    place.job = job
    home.get("/")
    assert inspect.isawaitable(seen[0]) if world == "asgi" else isinstance(seen[0], Markup)


def test_middleware_below_a_mount_knows_its_prefix(place: Place, world: str) -> None:
    """The prefix is that of the middleware, whatever the framework routes below it."""
    home, _ = two(place)
    shows(place, "default")
    wrap: Any = AsgiMiddleware if world == "asgi" else WsgiMiddleware
    assert isinstance(place.app, wrap)
    below: Any = place._asgi if world == "asgi" else place._wsgi

    async def deeper_asgi(scope: Any, receive: Any, send: Any) -> None:
        await below({**scope, "root_path": "/deeper"}, receive, send)

    def deeper_wsgi(environ: Any, start_response: Any) -> Any:
        return below({**environ, "SCRIPT_NAME": "/deeper"}, start_response)

    place.app = wrap(deeper_asgi if world == "asgi" else deeper_wsgi, place.guard)
    assert "/sessions/end" in dict(Tree(home.get("/deeper/account").text).forms)
