"""The pages of a user, through both adapters."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_kit import CHROME, FIREFOX, ORIGIN, SESSION, Person, Place
from werkzeug.test import EnvironBuilder

from gatehound import SettingsError
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.web.demand import done_in, with_done

ADMIN = "admin"


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


@pytest.mark.parametrize("length", ["9" * 4301, "99999", "\N{SUPERSCRIPT TWO}", "-1", "x"])
def test_length_that_is_none_is_no_fault_of_ours(place: Place, length: str) -> None:
    if place.world == "asgi":
        return  # there the server counts
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


@pytest.mark.parametrize(
    "path", ["/sessions/a%2Fb", "/sessions/notice%2Fx", "/sessions/notice/a/b", "/sessions/x/y"]
)
def test_page_whose_links_would_lead_elsewhere_has_none(place: Place, path: str) -> None:
    answer = place.person().get(path)
    if place.world == "wsgi" and "%2F" in path:
        return  # this server does not say what was sent
    assert answer.status_code == 404
    assert answer.text == "There is no such page.\n"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_static_files_are_only_read(place: Place, method: str) -> None:
    answer = place.person().ask(method, "/sessions/static/gatehound.css")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert "no-store" in answer.headers["cache-control"]


def test_reason_is_not_hidden_by_a_late_sign_out(place: Place) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    token = other.token()
    person.submit("end-others")
    assert other.submit("sign-out", token=token).status_code == 303
    other.login()  # its cookie is gone: what is over is not told to the next one
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
