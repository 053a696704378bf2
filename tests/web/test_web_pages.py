"""The pages of a user, through both adapters."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_kit import CHROME, FIREFOX, ORIGIN, SESSION, Place, only_asgi

from gatehound import SettingsError, UsageError
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.web import Pages
from gatehound.web.demand import done_in, with_done
from gatehound.web.render import environment


def test_nobody_is_told_to_sign_in(place: Place) -> None:
    page = place.person().get("/sessions/")
    assert page.status_code == 401
    assert "Please sign in" in page.text
    assert "signed out" not in page.text
    assert 'href="/login"' in page.text
    assert place.calls == []


def test_sessions_are_listed_and_one_is_ended(place: Place) -> None:
    library, home = place.person(FIREFOX, "198.51.100.4").login(), place.person().login()
    page = home.get("/sessions/")
    assert page.status_code == 200
    assert page.text.index("Chrome on Windows") < page.text.index("Firefox on Linux")
    assert "198.51.100.4" in page.text
    assert page.text.count("This device") == 1
    [public_id] = SESSION.findall(page.text)  # there is no form for the current one
    answer = home.submit("end", session=public_id)
    assert (answer.status_code, answer.headers["location"]) == (303, "./?gh-done=ended")
    assert "That device is signed out." in home.get("/sessions/?gh-done=ended").text
    told = library.get("/sessions/")
    assert told.status_code == 401
    assert "You ended this session from another device." in told.text
    assert home.get("/sessions/").status_code == 200


def test_all_others_are_ended(place: Place) -> None:
    others = [place.person(FIREFOX).login() for _ in range(3)]
    home = place.person().login()
    assert home.submit("end-others").headers["location"] == "./?gh-done=others"
    assert [one.get("/sessions/").status_code for one in others] == [401] * 3
    assert "You are signed in here and nowhere else." in home.get("/sessions/").text
    assert home.submit("end-others").headers["location"] == "./?gh-done=nothing"


def test_sign_out(place: Place) -> None:
    person = place.person().login()
    answer = person.submit("sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "./ended?signed-out")
    assert "You signed out." in person.get("/sessions/ended?signed-out").text
    assert person.get("/sessions/").status_code == 401
    # A second click, on a page that is old by now, is no mistake of anybody.
    assert person.submit("sign-out", token="").status_code == 303


def test_fresh_sign_in_comes_first(make_place: Callable[..., Place], clock: FakeClock) -> None:
    place = make_place(web={"step_up_url": "/again"})
    person = place.person().login()
    token = person.token()
    clock.advance(601)
    other = place.person(FIREFOX).login()
    place.job = lambda visit: visit.next_target("".join(sent))
    sent: list[str] = []
    for answer in (person.get("/sessions/"), person.submit("end-others", token=token)):
        assert answer.status_code == 303
        where, _, value = answer.headers["location"].partition("?next=")
        assert where == "/again"
        sent[:] = [value]
        assert person.get("/again").text == "/sessions/"  # and never to the form, which is lost
    assert other.get("/sessions/").status_code == 200
    assert person.submit("sign-out", token=token).status_code == 303  # never needs one


def test_fresh_sign_in_without_a_page_for_it(place: Place, clock: FakeClock) -> None:
    person = place.person().login()
    token = person.token()
    clock.advance(601)
    for answer in (person.get("/sessions/"), person.submit("end-others", token=token)):
        assert answer.status_code == 401
        assert "Please sign in again" in answer.text
        assert 'href="/login"' in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_operator_is_told_that_nobody_can_be_fresh(
    make_place: Callable[..., Place], caplog: pytest.LogCaptureFixture
) -> None:
    place = make_place(web={"sign_in_url": None})
    assert "web.step_up_url is not" in caplog.text
    codes = {one.code for one in place.guard.sync.check()}
    assert {"no-way-to-be-fresh", "no-sign-in-url"} <= codes
    caplog.clear()
    for web in ({"step_up_url": "/again"}, {"require_fresh": False}):
        codes = {one.code for one in make_place(web=web).guard.sync.check()}
        assert not {"no-way-to-be-fresh", "no-sign-in-url"} & codes
    assert "web.step_up_url is not" not in caplog.text


def test_fresh_sign_in_can_be_waived(make_place: Callable[..., Place], clock: FakeClock) -> None:
    place = make_place(web={"require_fresh": False})
    person = place.person().login()
    clock.advance(1200)
    assert person.get("/sessions/").status_code == 200
    assert person.submit("end-others").status_code == 303


def test_flagged_session_is_shown_with_its_reasons(
    make_place: Callable[..., Place], clock: FakeClock
) -> None:
    place = make_place()
    person = place.person().login()
    clock.advance(60)
    person.headers["user-agent"] = FIREFOX
    person.address = "198.51.100.9"
    page = person.get("/sessions/")
    assert "Suspicious" in page.text
    assert "Operating system changed to Linux" in page.text
    assert "This was me" in page.text
    # Whoever says so from an unknown place has to prove it.
    assert person.submit("confirm").status_code == 401
    person.headers["user-agent"], person.address = CHROME, "203.0.113.7"
    assert person.submit("confirm").headers["location"] == "./?gh-done=confirmed"
    assert "Suspicious" not in person.get("/sessions/").text
    assert person.submit("confirm").headers["location"] == "./?gh-done=nothing"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sessions/end", 405),
        ("POST", "/sessions/", 405),
        ("PUT", "/sessions/end", 405),
        ("GET", "/sessions/no-such", 404),
        ("GET", "/sessions/end/more", 404),
        ("GET", "/sessions//", 404),
        ("GET", "/sessions/static/../pages.py", 404),
        ("GET", "/sessions/static/no.css", 404),
        ("HEAD", "/sessions/ended", 200),
    ],
)
def test_addresses_and_methods(place: Place, method: str, path: str, status: int) -> None:
    answer = place.person().ask(method, path, headers={"origin": ORIGIN})
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"]
    if method == "HEAD":
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 100


def test_without_the_slash_the_pages_are_found(place: Place) -> None:
    assert place.person().get("/sessions").headers["location"] == "sessions/"


@pytest.mark.parametrize("path", ["/session", "/sessionsx", "/", "/x/sessions/"])
def test_other_paths_are_the_apps(place: Place, path: str) -> None:
    assert place.person().get(path).text == "app"
    assert place.calls == [path]


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_static_files_are_only_read(place: Place, method: str) -> None:
    answer = place.person().ask(method, "/sessions/static/gatehound.css")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert "no-store" in answer.headers["cache-control"]


def test_reason_is_not_hidden_by_a_late_sign_out(place: Place) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    token = other.token()
    person.submit("end-others")
    answer = other.submit("sign-out", token=token)  # of a page that was open all the while
    assert (answer.status_code, answer.headers["location"]) == (303, "./ended")
    for path in ("/sessions/ended", "/sessions/ended?signed-out"):
        assert "You ended this session from another device." in other.get(path).text
    other.login()
    assert "You are signed in" in other.get("/sessions/ended?signed-out").text


def test_outage_is_no_sign_out(make_place: Callable[..., Place], clock: FakeClock) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    place = make_place(store=store, outage={"policy": "anonymous"})
    person = place.person().login()
    token = person.token()
    store.go_down()
    for answer in (
        person.get("/sessions/"),
        person.get("/sessions/ended"),
        person.submit("sign-out", token=token),
        person.submit("end-others", token=token),
        person.submit("confirm", token=token),
        person.get("/sessions/api/sessions"),
    ):
        assert answer.status_code == 503
    store.heal()
    assert person.get("/sessions/").status_code == 200
    assert person.submit("sign-out", token=token).status_code == 303
    assert person.get("/sessions/").status_code == 401


def test_session_in_doubt_can_be_signed_out(
    make_place: Callable[..., Place], clock: FakeClock
) -> None:
    place = make_place(detection={"mode": "step-up"}, web={"step_up_url": "/again"})
    person = place.person().login()
    token = person.token()
    clock.advance(60)
    person.headers["user-agent"], person.address = "curl/8.5.0", "198.51.100.9"
    person.get("/")
    person.headers["user-agent"] = FIREFOX
    person.get("/")
    assert person.get("/anything").status_code in (303, 401)
    assert person.get("/sessions/").status_code in (303, 401)
    assert person.get("/sessions/static/gatehound.css").status_code == 200
    assert person.get("/sessions/static/../").status_code in (303, 401)
    assert person.submit("sign-out", token=token).status_code == 303
    assert person.get("/sessions/").status_code == 401


def test_static_files_are_kept_by_their_contents(place: Place) -> None:
    person = place.person().login()
    page = person.get("/sessions/").text
    found = re.findall(r'(?:href|src)="\./(static/[^"]+)"', page)
    assert len(found) == 2
    for name in found:
        answer = person.get(f"/sessions/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert "public" in answer.headers["cache-control"]
        plain = person.get(f"/sessions/{name.partition('?')[0]}")
        assert plain.headers["cache-control"] == "public, max-age=300"


def test_address_and_its_trace(make_place: Callable[..., Place]) -> None:
    place = make_place(client_ip={"mode": "x-forwarded-for", "trusted_proxies": ["203.0.113.7"]})
    sent = {"x-forwarded-for": "192.0.2.44"}
    plain, admin = place.person(), place.person(FIREFOX)
    admin.get("/login?user=root&role=admin", headers=sent)
    plain.get("/login?user=ann", headers=sent)
    seen = plain.get("/sessions/address", headers=sent).text
    assert "192.0.2.44" in seen
    assert "203.0.113.7" not in seen
    traced = admin.get("/sessions/address", headers=sent).text
    assert "203.0.113.7" in traced
    assert "How it was found" in traced
    assert "cannot be told" in plain.get("/sessions/address", headers={"x-forwarded-for": "x"}).text


def test_ways_out_are_shown_where_they_are_set(make_place: Callable[..., Place]) -> None:
    person = make_place(web={"password_url": "/pass?a=1&b=2", "home_url": "/home"}).person().login()
    page = person.get("/sessions/").text
    assert '<a class="gh-button" href="/pass?a=1&amp;b=2">' in page
    assert '<a href="/home">Back to the site</a>' in page
    plain = make_place().person().login().get("/sessions/").text
    assert "Back to the site" not in plain
    assert "Change your password" not in plain


def test_templates_can_be_replaced(make_place: Callable[..., Place], tmp_path: Path) -> None:
    tmp_path.joinpath("ended.html").write_text(
        '{% extends "base.html" %}{% block main %}<p>Come back soon, {{ user }}</p>{% endblock %}'
    )
    place = make_place(web={"templates": str(tmp_path)})
    assert "Come back soon" in place.person().get("/sessions/").text


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({"path": "sessions"}, "web.path: 'sessions' given"),
        ({"path": "/sessions/"}, "without a slash at its end"),
        ({"path": "/"}, "web.path: '/' given"),
        ({"path": "/a b"}, "web.path: '/a b' given"),
        ({"path": "/.."}, "web.path: '/..' given"),
        ({"path": "/a/./b"}, "web.path: '/a/./b' given"),
        ({"step_up_url": "/sessions/again"}, "which is below web.path '/sessions'"),
        ({"sign_in_url": "/sessions?x"}, "which is below web.path '/sessions'"),
        ({"sign_in_url": "https://evil.example"}, "web.sign_in_url: 'https://evil.example'"),
        ({"sign_in_url": "//evil.example"}, "web.sign_in_url: '//evil.example'"),
        ({"password_url": "javascript:1"}, "web.password_url: 'javascript:1'"),
        ({"home_url": "https://evil.example"}, "web.home_url: 'https://evil.example'"),
        ({"templates": "/no/such/folder"}, "which is no folder here"),
        ({"language": "xx"}, "web.language"),
    ],
)
def test_settings_say_what_is_wrong(
    make_place: Callable[..., Place], web: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        make_place(web=web)


def test_ignored_path_cannot_have_the_pages(make_place: Callable[..., Place]) -> None:
    with pytest.raises(SettingsError, match="which ignore_paths names"):
        make_place(ignore_paths=["/sessions/"])


# --- what a form has done ---


@given(st.text("abc=&?gh-done", max_size=40), st.sampled_from(["ended", "nothing"]))
def test_word_of_what_was_done_is_found_again(query: str, done: str) -> None:
    """In any query; the rest of it stays, and one word is there at most."""
    target = with_done(f"/path?{query}", done)
    path, _, said = target.partition("?")
    assert path == "/path"
    assert done_in(said) == done
    assert with_done(target, "others").count("gh-done=others") == 1 + query.count("gh-done=others")
    assert done_in(with_done(target, "others").partition("?")[2]) == "others"


# --- what a server or an app does wrong ---


@only_asgi  # there are none under WSGI
def test_websocket_to_the_pages_is_closed(place: Place) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/sessions/", "headers": [], "client": ("192.0.2.1", 1)}
    asyncio.run(place.app(scope, receive, send))
    assert [one["type"] for one in sent] == ["websocket.close"]
    assert place.calls == []


@only_asgi
def test_pages_of_the_other_world_say_so(place: Place) -> None:
    def job(visit: Any) -> str:
        with pytest.raises(UsageError, match=r"mount Pages\.asgi there"):
            Pages().wsgi({"gatehound": visit}, lambda *told: None)
        return "told"

    place.job = job
    assert place.person().get("/").text == "told"


def test_jinja2_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    environment.cache_clear()
    with pytest.raises(SettingsError, match=r"pip install 'gatehound\[web\]'"):
        Pages()
    environment.cache_clear()
