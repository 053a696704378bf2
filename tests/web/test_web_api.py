"""The JSON API of a user, through both adapters."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from api_kit import MakePlace, ids, is_in, listed, problem
from web_kit import CHROME, FIREFOX, ORIGIN, Place

from gatehound import UsageError
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore
from gatehound.web.demand import HEADERS, TITLES
from gatehound.web.openapi import PROBLEMS

READS = ("sessions", "token", "address", "openapi.json")
CHANGES = [
    ("DELETE", f"sessions/{'0' * 16}"),
    ("POST", "end-others"),
    ("POST", "sign-out"),
    ("POST", "confirm"),
]
CHANGE = pytest.mark.parametrize(("method", "path"), CHANGES)


# --- what it does ---


def test_sessions_are_listed_and_one_is_ended(place: Place) -> None:
    library, home = place.person(FIREFOX, "198.51.100.4").login(), place.person().login()
    here, there = listed(home)["sessions"]
    assert (here["current"], here["device"]) == (True, "Chrome on Windows")
    assert (there["current"], there["device"]) == (False, "Firefox on Linux")
    assert (there["address"], there["agent"]) == ("198.51.100.4", FIREFOX)
    assert listed(home)["cursor"] is None
    answer = home.call("DELETE", f"sessions/{there['id']}")
    assert (answer.status_code, answer.json()) == (200, {"ended": 1})
    told = library.call("GET", "sessions")
    assert problem(told) == (401, "signed-out")
    said = told.json()
    assert said["reason"] == "user"
    assert said["detail"] == "You ended this session from another device."
    assert (said["ended_at"] > 0, said["sign_in_url"]) == (True, "/login")
    assert problem(home.call("DELETE", f"sessions/{there['id']}")) == (404, "no-such-session")
    assert ids(home) == [here["id"]]


def test_list_says_what_the_session_is(place: Place) -> None:
    person = place.person().login()
    [session] = place.guard.sync.sessions_of("ann")
    [said] = listed(person)["sessions"]
    told = msgspec.json.decode(msgspec.json.encode(session, enc_hook=str))
    assert said.pop("id") == told.pop("public_id")
    assert said.pop("current")
    assert said == {name: told[name] for name in said}
    assert "user_id" not in said


def test_all_others_are_ended(place: Place) -> None:
    others = [place.person(FIREFOX).login() for _ in range(3)]
    home = place.person().login()
    assert home.call("POST", "end-others").json() == {"ended": 3}
    assert [is_in(one) for one in others] == [False] * 3
    assert home.call("POST", "end-others").json() == {"ended": 0}
    assert is_in(home)


def test_sign_out(place: Place) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    token = person.api_token()
    assert person.call("POST", "sign-out", token=token).json() == {"ended": 1}
    assert place.guard.cookies.shape.name not in person.cookies
    assert problem(person.call("POST", "sign-out", token=token)) == (401, "signed-out")
    assert is_in(other)


def test_suspicious_session_is_confirmed(make_place: MakePlace, clock: FakeClock) -> None:
    place = make_place(web={"step_up_url": "/again"})
    person = place.person().login()
    clock.advance(60)
    person.headers["user-agent"], person.address = FIREFOX, "198.51.100.9"
    [session] = listed(person)["sessions"]
    assert session["flagged"]
    assert "Operating system changed to Linux" in session["reasons"]
    # Whoever says so from an unknown place has to prove it.
    refused = person.call("POST", "confirm")
    assert problem(refused) == (401, "fresh-login-required")
    assert refused.json()["step_up_url"] == "/again"
    person.headers["user-agent"], person.address = CHROME, "203.0.113.7"
    assert person.call("POST", "confirm").json() == {"confirmed": True}
    assert person.call("POST", "confirm").json() == {"confirmed": False}
    assert not listed(person)["sessions"][0]["flagged"]


def test_address_and_its_trace(make_place: MakePlace) -> None:
    place = make_place(client_ip={"mode": "x-forwarded-for", "trusted_proxies": ["203.0.113.7"]})
    sent = {"x-forwarded-for": "192.0.2.44"}
    plain, admin, nobody = place.person(), place.person(FIREFOX), place.person()
    admin.get("/login?user=root&role=admin", headers=sent)
    plain.get("/login?user=ann", headers=sent)
    said = {"address": "192.0.2.44", "country": "", "place": ""}
    for person in (plain, nobody):
        assert person.call("GET", "address", headers=sent).json() == said
    traced = admin.call("GET", "address", headers=sent).json()
    assert any("203.0.113.7" in line for line in traced.pop("trace"))
    assert traced == {**said, "reason": "client"}
    lost = plain.call("GET", "address", headers={"x-forwarded-for": "x"}).json()
    assert lost == {"address": None, "country": "", "place": ""}


# --- whose ---


def test_only_own_sessions_can_be_named(place: Place) -> None:
    eve, ann = place.person().login("eve"), place.person(FIREFOX).login("ann")
    [foreign] = ids(ann)
    assert problem(eve.call("DELETE", f"sessions/{foreign}")) == (404, "no-such-session")
    assert foreign not in ids(eve)
    assert is_in(ann)


@pytest.mark.parametrize(
    "public_id", ["x", "00", "0" * 16, "A" * 16, "%C3%BC" * 8, "%ff", "%2e%2e", "0" * 5000]
)
def test_session_ids_are_only_looked_up(place: Place, public_id: str) -> None:
    person = place.person().login()
    assert problem(person.call("DELETE", f"sessions/{public_id}")) == (404, "no-such-session")
    assert is_in(person)


@pytest.mark.parametrize("way", ["x/{}", "x/y/{}", "{}/", "/{}", "x%2F{}"])
def test_session_is_named_by_its_very_path(place: Place, way: str) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    own, *_ = ids(other)
    refused = person.call("DELETE", f"sessions/{way.format(own)}")
    assert problem(refused)[0] == 404
    assert is_in(other)


def test_current_session_is_not_ended_by_its_id(place: Place) -> None:
    person = place.person().login()
    [own] = ids(person)
    refused = person.call("DELETE", f"sessions/{own}")
    assert problem(refused) == (404, "current-session")
    assert "sign-out" in refused.json()["detail"]
    assert is_in(person)


@CHANGE
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.shop.example", "sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": ""},
        {"origin": "https://evil.example", "sec-fetch-site": ""},
    ],
)
def test_another_site_changes_nothing(
    place: Place, method: str, path: str, headers: dict[str, str]
) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    answer = person.call(method, path, headers=headers)
    assert problem(answer) == (403, "cross-site")
    assert [is_in(one) for one in (person, other)] == [True, True]


@CHANGE
@pytest.mark.parametrize("kind", ["none", "of another session", "of another action", "rubbish"])
def test_nothing_changes_without_the_token(place: Place, method: str, path: str, kind: str) -> None:
    person, other = place.person().login(), place.person(FIREFOX).login()
    place.job = lambda visit: visit.csrf_token("something else")
    token = {
        "none": "",
        "of another session": other.api_token(),
        "of another action": person.get("/").text,
        "rubbish": "~.x",
    }[kind]
    answer = person.call(method, path, token=token)
    assert problem(answer) == (403, "csrf-token")
    assert [is_in(one) for one in (person, other)] == [True, True]


def test_token_is_good_for_12_hours(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    person = place.person().login()
    token = person.api_token()
    assert person.call("POST", "confirm", token=token).status_code == 200
    assert person.submit("confirm", token=token).status_code == 303  # that of the pages
    monkeypatch.setattr("gatehound.tokens.CSRF_LIFE", -1)
    assert problem(person.call("POST", "confirm", token=token)) == (403, "csrf-token")


def test_no_other_origin_is_let_in(place: Place) -> None:
    person = place.person().login()
    sent = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    asked = {**sent, "access-control-request-method": "DELETE"}
    answers = [person.call("GET", path, headers=sent) for path in READS]
    answers.append(person.call("OPTIONS", "end-others", headers=asked))
    assert [one.status_code for one in answers] == [200, 200, 200, 200, 405]
    for answer in answers:
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


# --- a fresh sign-in ---


def test_fresh_sign_in_comes_first(make_place: MakePlace, clock: FakeClock) -> None:
    place = make_place(web={"step_up_url": "/again"})
    person = place.person().login()
    clock.advance(601)
    other = place.person(FIREFOX).login()
    for method, path in (("GET", "sessions"), *CHANGES[:2]):
        answer = person.call(method, path, headers={"accept": "text/html"})
        assert problem(answer) == (401, "fresh-login-required")
        said = answer.json()
        assert (said["max_age"], said["step_up_url"]) == (600.0, "/again")
    # A page load gets a problem as well: what it asked for is for programs.
    read = person.get("/sessions/api/sessions")
    assert problem(read) == (401, "fresh-login-required")
    assert is_in(other)
    assert person.call("POST", "confirm").json() == {"confirmed": False}
    assert person.call("POST", "sign-out").json() == {"ended": 1}  # never needs one


def test_fresh_sign_in_can_be_waived(make_place: MakePlace, clock: FakeClock) -> None:
    place = make_place(web={"require_fresh": False})
    person = place.person().login()
    clock.advance(1200)
    assert len(ids(person)) == 1
    assert person.call("POST", "end-others").json() == {"ended": 0}
    assert problem(person.call(*CHANGES[0])) == (404, "no-such-session")


# --- how it answers ---


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "", 404, "no-such-path"),
        ("GET", "sessions/", 404, "no-such-path"),
        ("GET", "/sessions", 404, "no-such-path"),
        ("GET", "token/x", 404, "no-such-path"),
        ("POST", "sign-out/", 404, "no-such-path"),
        ("GET", "end-others", 405, "method-not-allowed"),
        ("GET", f"sessions/{'0' * 16}", 405, "method-not-allowed"),
        ("POST", "sessions", 405, "method-not-allowed"),
        ("PUT", "token", 405, "method-not-allowed"),
        ("OPTIONS", "sessions", 405, "method-not-allowed"),
    ],
)
def test_paths_and_methods(place: Place, method: str, path: str, status: int, code: str) -> None:
    sent = {"accept": "text/html"}
    for person in (place.person(), place.person().login()):
        answer = person.ask(method, f"/sessions/api/{path}", headers={"origin": ORIGIN, **sent})
        assert problem(answer) == (status, code)
        assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("path", ["sessions", "sessions/x", "end-others", "token"])
def test_allow_names_the_methods_that_there_are(place: Place, path: str) -> None:
    allowed = place.person().call("PATCH", path, token="").headers["allow"].split(", ")
    person = place.person().login()
    for method in ("GET", "HEAD", "POST", "DELETE", "PUT"):
        is_there = person.call(method, path, token="").status_code != 405
        assert is_there == (method in allowed)


@pytest.mark.parametrize("path", READS)
def test_head_is_get_without_its_body(place: Place, path: str) -> None:
    person = place.person().login()
    read, head = person.call("GET", path), person.call("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == read.headers[name]


@pytest.mark.parametrize(("method", "path"), [("GET", "sessions"), ("GET", "token"), *CHANGES])
def test_nobody_is_told_to_sign_in(place: Place, method: str, path: str) -> None:
    answer = place.person().call(method, path, token="x")
    assert problem(answer) == (401, "signed-out")
    assert "reason" not in answer.json()
    assert place.calls == []


def test_guard_against_other_sites_comes_first(make_place: MakePlace) -> None:
    person = make_place(csrf={"protect": True}).person().login()
    silent = {"origin": "", "sec-fetch-site": ""}
    refused = person.call("POST", "confirm", token="", headers=silent)
    assert problem(refused) == (403, "cross-site")
    assert person.call("POST", "confirm", headers=silent).status_code == 200  # the token is enough


def test_body_that_is_too_long_is_refused(place: Place) -> None:
    person = place.person().login()
    sent = {"origin": ORIGIN, "x-csrf-token": person.api_token()}
    answer = person.ask("POST", "/sessions/api/sign-out", headers=sent, content=b"x" * 20_000)
    assert problem(answer) == (413, "too-long")
    assert is_in(person)


def test_every_answer_is_closed(place: Place) -> None:
    person = place.person().login()
    answers = [person.call("GET", path) for path in (*READS, "nothing", "sessions?limit=0")]
    answers += [person.call(*change) for change in CHANGES]
    answers.append(person.call("GET", "sessions"))  # signed out by now
    for answer in answers:
        for name, value in HEADERS:
            assert set(value.split(", ")) <= set(answer.headers[name].split(", "))
        assert len(answer.headers.get_list("content-type")) == 1
        assert len(answer.headers.get_list("cache-control")) == 1


def test_what_clients_say_is_text(place: Place) -> None:
    person = place.person('x</script>"\\ <b>').login()
    answer = person.call("GET", "sessions")
    assert answer.json()["sessions"][0]["agent"] == 'x</script>"\\ <b>'
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("method", "path"), [("GET", "sessions"), ("GET", "address"), *CHANGES])
def test_outage_is_a_problem(
    make_place: MakePlace, clock: FakeClock, method: str, path: str
) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    person = make_place(store=store).person().login()
    token = person.api_token()
    store.go_down()
    answer = person.call(method, path, token=token, headers={"accept": "text/html"})
    assert problem(answer) == (503, "session-store-down")
    assert int(answer.headers["retry-after"]) >= 1
    store.heal()


def test_secret_that_was_replaced_a_moment_ago_is_a_problem(place: Place) -> None:
    person, late = place.person().login(), place.person()
    late.cookies = httpx.Cookies(person.cookies)
    place.job = lambda visit: visit.rotate()
    person.get("/")
    answer = late.call("GET", "sessions", headers={"accept": "text/html"})
    assert problem(answer) == (401, "superseded")
    assert is_in(person)


def test_fault_of_the_server_is_none_of_ours(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise UsageError("made up")

    monkeypatch.setattr("gatehound.visit.Visit.csrf_token", fail)
    with pytest.raises(UsageError, match="made up"):
        place.person().login().call("GET", "token")


# --- the document ---


def test_document_names_every_route_and_problem(place: Place) -> None:
    said = place.person().call("GET", "openapi.json").json()
    assert said["openapi"] == "3.1.0"
    assert said["components"]["securitySchemes"]["cookie"]["name"] == "__Host-gatehound"
    assert said["servers"] == [{"url": "../api"}]
    person = place.person().login()
    for path, methods in said["paths"].items():
        for method in methods:
            answer = person.call(method.upper(), path[1:].format(id="0" * 16), token="")
            assert answer.status_code in (200, 403)
    text = str(said)
    for code in PROBLEMS:
        assert f"urn:gatehound:{code}" in text
    assert {status for status, _ in PROBLEMS.values()} < set(TITLES)


def test_document_names_the_cookie_of_the_settings(make_place: MakePlace) -> None:
    place = make_place(cookie={"name": "sid", "domain": "shop.example"})
    schemes = place.person().call("GET", "openapi.json").json()["components"]["securitySchemes"]
    assert schemes["cookie"]["name"] == place.guard.cookies.shape.name
    assert schemes["cookie"]["name"] != "__Host-gatehound"
