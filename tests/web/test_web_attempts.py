"""What a page is sent that it must not do, through both adapters."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from web_kit import FIREFOX, ORIGIN, SESSION, Person, Place, only_asgi, only_wsgi
from werkzeug.test import EnvironBuilder


def test_only_own_sessions_can_be_named(place: Place) -> None:
    eve, ann = place.person().login("eve"), place.person(FIREFOX).login("ann")
    assert eve.submit("end", session=public_id_of(ann)).headers["location"] == "./?gh-done=gone"
    assert ann.get("/sessions/").status_code == 200


def public_id_of(person: Person) -> str:
    """The public id of a person's own session, as another one of the same user sees it."""
    other = person.place.person().login("ann")
    found = SESSION.search(other.get("/sessions/").text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("public_id", ["", "x", "00", "0" * 16, "ü" * 16, "../end", "0" * 9000])
def test_session_ids_are_only_looked_up(place: Place, public_id: str) -> None:
    person = place.person().login()
    assert person.submit("end", session=public_id).headers["location"] == "./?gh-done=gone"
    assert person.get("/sessions/").status_code == 200


def test_current_session_is_not_ended_by_its_id(place: Place) -> None:
    person = place.person().login()
    other = place.person(FIREFOX).login()
    own = SESSION.findall(other.get("/sessions/").text)
    assert person.submit("end", session=own[0]).headers["location"] == "./?gh-done=gone"
    assert person.get("/sessions/").status_code == 200


@pytest.mark.parametrize("name", ["end", "end-others", "sign-out", "confirm"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.shop.example", "sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": ""},
        {"origin": "https://shop.example.evil.example", "sec-fetch-site": ""},
        {"origin": "https://[", "sec-fetch-site": ""},
    ],
)
def test_form_of_another_site_does_nothing(
    place: Place, name: str, headers: dict[str, str]
) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    sent = {name: value for name, value in headers.items() if value}
    answer = person.ask("POST", f"/sessions/{name}", data={"token": person.token()}, headers=sent)
    assert answer.status_code == 403
    assert "another site" in answer.text
    assert [one.get("/sessions/").status_code for one in (person, other)] == [200, 200]


@pytest.mark.parametrize("name", ["end", "end-others", "sign-out", "confirm"])
@pytest.mark.parametrize("kind", ["none", "of another session", "of another action", "rubbish"])
def test_form_without_its_token_does_nothing(place: Place, name: str, kind: str) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    token = {
        "none": "",
        "of another session": other.token(),
        "of another action": "",
        "rubbish": "\N{SNOWMAN}.x",
    }[kind]
    if kind == "of another action":
        place.job = lambda visit: visit.csrf_token("something else")
        token = person.get("/").text
    answer = person.submit(name, token=token)
    assert answer.status_code == 403
    assert "made too long ago" in answer.text
    assert [one.get("/sessions/").status_code for one in (person, other)] == [200, 200]


def test_origin_is_enough_where_a_browser_sends_no_fetch_metadata(place: Place) -> None:
    person = place.person().login()
    sent = {"origin": ORIGIN}
    data = {"token": person.token()}
    assert person.ask("POST", "/sessions/sign-out", data=data, headers=sent).status_code == 303


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("shop.example:443", "https://shop.example", 303),
        ("shop.example", "https://SHOP.example", 303),
        ("shop.example:8443", "https://shop.example:8443", 303),
        ("shop.example:8443", "https://shop.example", 403),
        ("shop.example", "https://shop.example:8443", 403),
        ("shop.example", "shop.example", 403),
    ],
)
def test_origin_is_compared_with_the_host(
    place: Place, host: str, origin: str, status: int
) -> None:
    person = place.person().login()
    sent, data = {"origin": origin, "host": host}, {"token": person.token()}
    assert person.ask("POST", "/sessions/sign-out", data=data, headers=sent).status_code == status


def test_body_that_is_too_long_is_refused(place: Place) -> None:
    person = place.person().login()
    answer = person.submit("end", token="x" * 20_000)
    assert answer.status_code == 413
    assert person.get("/sessions/").status_code == 200


@only_wsgi  # under ASGI the server counts
@pytest.mark.parametrize("length", ["9" * 4301, "99999", "\N{SUPERSCRIPT TWO}", "-1", "x"])
def test_length_that_is_none_is_no_fault_of_ours(place: Place, length: str) -> None:
    environ = dict(EnvironBuilder("/sessions/sign-out", method="POST").get_environ())
    environ["CONTENT_LENGTH"] = length.encode().decode("latin-1")
    seen: list[str] = []
    place.app(environ, lambda status, headers, *more: seen.append(status))
    assert seen[0][:3] in ("303", "413")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"&".join([b"a=b"] * 500), b"token", b""])
def test_body_that_is_no_form_does_nothing(place: Place, data: bytes) -> None:
    person = place.person().login()
    answer = person.ask("POST", "/sessions/sign-out", content=data, headers={"origin": ORIGIN})
    assert answer.status_code == 403
    assert person.get("/sessions/").status_code == 200


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}"]
)
def test_what_clients_say_is_escaped(place: Place, text: str) -> None:
    person = place.person(f"Mozilla/5.0 {text}").login(text)
    other = place.person(FIREFOX).login(text)
    for page in (person.get("/sessions/"), other.get("/sessions/")):
        assert page.status_code == 200
        assert text not in page.text
        assert "49" not in re.findall(r"<strong[^>]*>[^<]*", page.text)


def test_every_answer_is_closed(place: Place) -> None:
    person = place.person().login()
    answers = [
        person.get(f"/sessions{path}")
        for path in (
            "/sessions",
            "/sessions/",
            "/sessions/ended",
            "/sessions/address",
            "/sessions/x",
        )
    ]
    answers.append(person.submit("end", session=""))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "no-store" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|javascript:", answer.text)


@pytest.mark.parametrize(
    "path", ["/sessions/a%2Fb", "/sessions/notice%2Fx", "/sessions/notice/a/b", "/sessions/x/y"]
)
def test_page_whose_links_would_lead_elsewhere_has_none(place: Place, path: str) -> None:
    answer = place.person().get(path)
    assert answer.status_code == 404
    assert answer.text == "There is no such page.\n"


@only_asgi  # under WSGI the server waits for it
def test_request_that_is_over_before_its_body_does_nothing(place: Place) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/sessions/end", "headers": []}
    asyncio.run(place.app({**scope, "client": ("192.0.2.1", 1)}, receive, send))
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("name", ["end", "end-others", "confirm"])
def test_form_of_nobody_says_why(place: Place, name: str) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    token = other.token()
    person.submit("end-others")
    answer = other.submit(name, token=token)
    assert answer.status_code == 401
    assert "You ended this session from another device." in answer.text
