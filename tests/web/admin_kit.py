"""A guarded site with the pages of admins below /admin, and what admins send them."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from web_kit import CHROME, FIREFOX, ORIGIN, TOKEN, Person, Place
from werkzeug.test import EnvironBuilder

from gatehound import Event
from gatehound.stores.base import Store
from gatehound.testing import FakeClock

MakeDesk = Callable[..., Place]
DESK = "203.0.113.9"  # where admins are
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
FORM = re.compile(r'<form method="post" action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
# Where a GET shows something, and the forms with fields that they know.
PAGES = ("", "sessions", "user?id=ann", "matching?user=ann", "matching", "events", "health")
EXPORTS = ("events.jsonl", "events.csv")
FORMS = {
    "end": {"user": "ann", "session": "0" * 16},
    "end-user": {"user": "ann"},
    "clear": {"user": "ann", "session": "0" * 16},
    "disable": {"user": "ann"},
    "enable": {"user": "ann"},
    "export": {"user": "ann"},
    "forget": {"user": "ann", "sure": "yes"},
    "matching": {"user": "ann", "asked": "1800000000"},
    "everyone": {"sure": "yes"},
}


@pytest.fixture
def make_desk(make_place: Callable[..., Place]) -> MakeDesk:
    def make(store: Store | None = None, guard: Any = None, **settings: Any) -> Place:
        web = {"admin_path": "/admin", **settings.pop("web", {})}
        return make_place(store, guard, web=web, **settings)

    return make


@pytest.fixture
def desk(make_desk: MakeDesk) -> Place:
    return make_desk()


def admin_of(place: Place, name: str = "root") -> Person:
    """Sign an admin in."""
    return place.person(CHROME, DESK).login(name, "admin")


def sign_in(place: Place, *names: str, address: str = "203.0.113.7") -> list[Person]:
    """Sign people in, each in a browser of their own."""
    return [place.person(FIREFOX, address).login(name) for name in names]


def rob(person: Person, clock: FakeClock) -> None:
    """Let a thief use somebody's session, and give it back."""
    before = person.headers["user-agent"], person.address
    clock.advance(60)
    person.headers["user-agent"], person.address = CHROME, "198.51.100.9"
    person.get("/")
    person.headers["user-agent"], person.address = before


def see(person: Person, page: str = "", **options: Any) -> httpx.Response:
    return person.get(f"/admin/{page}", **options)


def token_of(person: Person) -> str:
    """The token of the forms of admins."""
    found = TOKEN.search(see(person, "matching").text)
    assert found is not None
    return found[1]


def act(person: Person, name: str, /, **fields: str) -> httpx.Response:
    """Send a form as a browser does, with the token unless one is given."""
    fields = {"token": token_of(person), **fields} if "token" not in fields else fields
    sent = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
    return person.ask("POST", f"/admin/{name}", data=fields, headers=sent)


def forms_of(answer: httpx.Response, name: str) -> list[dict[str, str]]:
    """The fields of each form that a page has for a name."""
    return [
        {field: html.unescape(value) for field, value in HIDDEN.findall(body)}
        for action, body in FORM.findall(answer.text)
        if action.removeprefix("./") == name
    ]


def link_of(answer: httpx.Response, text: str) -> str:
    """Where a link leads that says a text; "" where there is none."""
    found = re.search(rf'<a[^>]* href="\./([^"]*)"[^>]*>{re.escape(text)}</a>', answer.text)
    return html.unescape(found[1]) if found else ""


def users_in(answer: httpx.Response | str) -> list[str]:
    """The ids of those whose sessions a list shows, in order; of a page its first list."""
    text = answer if isinstance(answer, str) else answer.text.partition("<h2>")[0]
    found = re.findall(r'data-label="User"><a href="\./user\?id=([^"]+)"', text)
    return [unquote(one.replace("+", " ")) for one in found]


def marked_in(answer: httpx.Response) -> str:
    """The list of sessions that were flagged from a network; "" where there is none."""
    return answer.text.partition("<h2>Flagged from this network</h2>")[2]


def acts_in(place: Place) -> list[Event]:
    return [event for event in place.events if event.name == "admin_acted"]


def said_in(answer: httpx.Response) -> list[str]:
    """What a page says of what was done, or is wrong."""
    found = re.findall(r'<p class="gh-told[^"]*"[^>]*>(.*?)</p>', answer.text, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", one)).split()) for one in found]


def parts_of(person: Person, path: str) -> list[bytes]:
    """The body of an answer in the parts in which a server gets it."""
    if person.place.world == "wsgi":
        return list(body_of(person, path))
    return asyncio.run(_asgi_parts(person, path))


def body_of(person: Person, path: str) -> Iterable[bytes]:
    """What a WSGI server is given as the body."""
    name, _, query = path.partition("?")
    builder = EnvironBuilder(name, query_string=query, headers=_headers(person).items())
    environ = dict(builder.get_environ(), REMOTE_ADDR=person.address)
    environ["wsgi.url_scheme"] = "https"
    body: Iterable[bytes] = person.place.app(environ, lambda status, headers, *more: None)
    return body


def _headers(person: Person) -> dict[str, str]:
    cookie = "; ".join(f"{one.name}={one.value}" for one in person.cookies.jar)
    return {**person.headers, "cookie": cookie, "host": "shop.example"}


async def _asgi_parts(person: Person, path: str) -> list[bytes]:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message.get("body", b""))

    async def receive() -> Any:
        return {"type": "http.request"}

    name, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": name,
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in _headers(person).items()],
        "client": (person.address, 50_000),
    }
    await person.place.app(scope, receive, send)
    return sent
