"""Several cookies on one response, and one answer however a browser sends them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from flow_kit import Site, each

from gatehound import Event, Guard
from gatehound.clientip import ClientIP
from gatehound.cookies import MAX_CANDIDATES
from gatehound.model import Activity, Request
from gatehound.passage import Passage
from gatehound.transport import is_own_host
from gatehound.web.headers import can_carry, changes, is_due

MakeSite = Callable[..., Site]
NAME, PRE, ANONYMOUS = "__Host-gatehound", "__Host-gatehound-pre", "__Host-gatehound-anonymous"


def cookie_names(lines: list[str]) -> list[str]:
    return [line.partition("=")[0] for line in lines]


# --- several on one response ---


def test_each_cookie_of_a_response_goes_out_with_the_rules_of_one(site: Site) -> None:
    alice = site.browser()
    both = alice.do(
        each(lambda visit: visit.csrf_token(), lambda visit: visit.anonymous.set("a", 1))
    )
    assert cookie_names(both.all("set-cookie")) == [PRE, ANONYMOUS]
    assert (both.header("cache-control"), both.header("vary")) == ("private, no-store", "Cookie")
    assert alice.names == {PRE, ANONYMOUS}
    third = alice.do(lambda visit: visit.login("alice", carry=("a",)), method="POST")
    assert cookie_names(third.set_cookies) == [NAME, PRE, ANONYMOUS]
    assert [("Max-Age=0" in line) for line in third.set_cookies] == [False, True, True]
    assert third.header("cache-control") == "private, no-store"
    assert alice.names == {NAME}


def test_no_cookie_goes_with_a_304(site: Site) -> None:
    reply = site.browser().do(lambda visit: visit.csrf_token(), status=304)
    assert (reply.all("set-cookie"), reply.all("vary"), reply.all("cache-control")) == ([], [], [])


@pytest.mark.parametrize(
    ("status", "carries"),
    [
        *((100, False), (101, True), (103, False), (200, True), (204, True), (302, True)),
        *((304, False), (404, True)),
    ],
)
def test_statuses_that_carry_cookies(guard: Guard, status: int, carries: bool) -> None:
    passage = make_passage(guard)
    assert is_due(passage, status) is False
    passage.cookies["a"] = "a=1"
    assert is_due(passage, status) is can_carry(status) is carries
    assert is_due(passage, 500)  # a new secret reaches the browser all the same
    assert not can_carry(500)


@pytest.mark.parametrize(
    "name",
    [
        *("CDN-Cache-Control", "Akamai-Cache-Control", "X-LiteSpeed-Cache-Control"),
        *("Surrogate-Control", "Edge-Control", "X-Accel-Expires", "Expires", "Pragma"),
    ],
)
def test_what_tells_caches_otherwise_goes_with_any_cookie(guard: Guard, name: str) -> None:
    passage = make_passage(guard)
    passage.cookies["a"] = "a=1"
    gone, added = changes(passage, [(name, "max-age=60"), ("ETag", '"1"')])
    assert name.lower() in gone
    assert "etag" not in gone
    assert ("Cache-Control", "private, no-store") in added


@pytest.fixture
def guard(make_guard: Callable[..., Guard]) -> Guard:
    return make_guard()


def make_passage(guard: Guard) -> Passage:
    class Bare(Request):
        __slots__ = ()

        def header(self, name: str) -> str:
            return ""

        def locate(self, resolver: object) -> ClientIP:
            return guard.resolver.resolve(peer="192.0.2.1", headers=[])

    request = Bare()
    return Passage(request, Activity.NAVIGATE, request.locate(None))


# --- however they are sent ---


@pytest.mark.parametrize("joins_by", [",", ", ", "; "])
@pytest.mark.parametrize(
    "text",
    [
        "theme=dark\n{ours}\nlang=en",  # h2 crumbs, and a second line
        "{forged}\n{ours}",
        "{ours}\n{forged}",
        "theme=dark; {forged}; {ours}",
        "a=1\nb=2; {ours}",
    ],
)
def test_lines_and_crumbs_read_the_same(
    site: Site, events: list[Event], text: str, joins_by: str
) -> None:
    alice = site.browser()
    alice.login()
    site.joins_by = joins_by
    ours = f"{NAME}={alice.cookies[NAME]}"
    forged = f"{ours[:-6]}AAAAAA"
    sent = text.format(ours=ours, forged=forged)
    assert alice.see(headers={"cookie": sent}).user_id == "alice"
    told = [event.reason for event in events if event.name == "token_forged"]
    assert told == (["did not verify"] if "{forged}" in text else [])


@pytest.mark.parametrize("count", [MAX_CANDIDATES, MAX_CANDIDATES + 1])
def test_more_than_four_cookies_of_our_name_are_none(
    site: Site, events: list[Event], count: int
) -> None:
    alice = site.browser()
    alice.login()
    sent = "; ".join([f"{NAME}=x"] * (count - 1) + [f"{NAME}={alice.cookies[NAME]}"])
    few = count == MAX_CANDIDATES
    assert alice.see(headers={"cookie": sent}).user_id == ("alice" if few else None)
    assert (events[-1].name, events[-1].reason) == (
        "token_forged",
        "did not verify" if few else "too many cookies of our name",
    )


@pytest.mark.parametrize("kind", [PRE, ANONYMOUS])
def test_a_forged_cookie_of_another_of_our_names_is_told_with_its_name(
    site: Site, events: list[Event], kind: str
) -> None:
    stranger = site.browser()
    stranger.cookies = {kind: "x" * 124}
    assert stranger.do(lambda visit: visit.check_csrf("t")).value is False
    assert stranger.do(lambda visit: visit.anonymous.get("a")).value is None
    assert [(e.name, e.reason) for e in events] == [("token_forged", f"{kind}: did not verify")]


def test_no_cookie_of_one_kind_is_one_of_another(site: Site) -> None:
    """Each has a purpose of its own in its MAC."""
    alice = site.browser()
    alice.login()
    alice.do(each(lambda visit: visit.anonymous.set("a", 1)))
    visitor = site.browser()
    token = visitor.do(lambda visit: visit.csrf_token("in")).value
    values = {name: {**alice.cookies, **visitor.cookies}[name] for name in (NAME, PRE, ANONYMOUS)}
    guard = site.guard
    for codec in (guard.cookies, guard.presession_cookies, guard.anonymous_cookies):
        opened = [name for name, value in values.items() if codec.open(value)]
        assert opened == [codec.shape.name]
    for name in values:
        for other in values.keys() - {name}:
            mixed = site.browser()
            mixed.cookies = {name: values[other]}
            assert mixed.see().user_id is None
            assert mixed.do(lambda visit: visit.anonymous.all()).value == {}
            assert mixed.do(lambda visit: visit.check_csrf(token, "in")).value is False


def test_a_session_cookie_that_names_an_anonymous_session_opens_nothing(
    site: Site, events: list[Event]
) -> None:
    """Even if it verified, as it would if two purposes were ever mixed up."""
    visitor = site.browser()
    visitor.do(lambda visit: visit.anonymous.set("a", 1))
    ticket = site.guard.anonymous_cookies.open(visitor.cookies[ANONYMOUS])
    assert ticket is not None
    visitor.cookies = {NAME: site.guard.cookies.seal(ticket)}
    seen = visitor.see()
    assert (seen.user_id, seen.session, seen.ended) == (None, None, None)
    alice = site.browser()
    alice.login()
    own = site.guard.cookies.open(alice.cookies[NAME])
    assert own is not None
    alice.cookies = {ANONYMOUS: site.guard.anonymous_cookies.seal(own)}
    alice.do(lambda visit: visit.anonymous.set("a", 1))
    assert len(site.guard.sync.sessions_of("alice")) == 1


@pytest.mark.parametrize(("given", "pre"), [("lax", "Lax"), ("strict", "Lax"), ("none", "None")])
def test_other_cookies_follow_the_settings_of_the_session_cookie(
    make_site: MakeSite, given: str, pre: str
) -> None:
    cookie = {"name": "__Secure-app", "domain": "example.com", "samesite": given}
    visitor = make_site(cookie=cookie).browser()
    reply = visitor.do(
        each(lambda visit: visit.csrf_token(), lambda visit: visit.anonymous.set("a", 1))
    )
    first, second = reply.all("set-cookie")
    assert first.startswith("__Secure-app-pre=")
    assert first.endswith(
        f"; Max-Age=900; Domain=example.com; Path=/; Secure; HttpOnly; SameSite={pre}"
    )
    assert second.startswith("__Secure-app-anonymous=")
    assert second.endswith(f"; Secure; HttpOnly; SameSite={given.capitalize()}")


# --- plain HTTP ---


@pytest.mark.parametrize(
    ("scheme", "host", "settings", "is_told"),
    [
        ("http", "example.com", {}, True),
        ("http", "192.0.2.1:8000", {}, True),
        ("https", "example.com", {}, False),
        ("http", "localhost:8000", {}, False),
        ("http", "app.localhost", {}, False),
        ("http", "127.0.0.1:8000", {}, False),
        ("http", "[::1]:8000", {}, False),
        ("http", "", {}, False),
        ("http", "example.com", {"cookie": {"name": "dev", "secure": False}}, False),
    ],
)
def test_a_login_whose_cookie_browsers_drop_is_told_loudly(
    make_site: MakeSite,
    events: list[Event],
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    host: str,
    settings: dict[str, object],
    is_told: bool,
) -> None:
    site = make_site(**settings)
    site.scheme = scheme
    for _ in range(2):
        with caplog.at_level(logging.WARNING, "gatehound"):
            reply = site.browser().do(lambda visit: visit.login("alice"), headers={"host": host})
        assert reply.error is None
    warned = [one for one in caplog.records if "over plain HTTP" in one.getMessage()]
    told = [event for event in events if event.name == "login_over_http"]
    assert (len(warned), len(told)) == (int(is_told), int(is_told))
    assert not is_told or repr(host) in warned[0].getMessage()


def test_what_the_proxy_says_of_the_scheme_counts(make_site: MakeSite, events: list[Event]) -> None:
    trusts = {"mode": "x-forwarded-for", "trusted_proxies": ["203.0.113.0/24"]}
    site = make_site(client_ip={**trusts, "scheme_header": "x-forwarded-proto"})
    site.scheme = "http"
    headers = {"host": "example.com", "x-forwarded-for": "198.51.100.1"}
    for proto in ("https", "http"):
        site.browser().do(
            lambda visit: visit.login("alice"), headers={**headers, "x-forwarded-proto": proto}
        )
    assert [e.name for e in events].count("login_over_http") == 1


def test_a_browser_that_sends_our_cookie_has_kept_it(site: Site, events: list[Event]) -> None:
    site.scheme = "http"
    alice = site.browser()
    headers = {"host": "example.com"}
    alice.do(lambda visit: visit.csrf_token(), headers=headers)
    alice.do(lambda visit: visit.login("alice"), headers=headers)
    assert "login_over_http" not in [event.name for event in events]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("app.LocalHost:80", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("[::1]:443", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("example.com:80", False),
        ("[2001:db8::1]:80", False),
        ("\xff", False),
    ],
)
def test_loopback_hosts(host: str, expected: bool) -> None:
    assert is_own_host(host) is expected


def test_a_wide_cookie_name_leaves_room_for_the_others(make_site: MakeSite) -> None:
    site = make_site(cookie={"name": "x" * 240})
    visitor = site.browser()
    visitor.do(lambda visit: visit.anonymous.set("a", 1))
    assert list(visitor.cookies) == ["x" * 240 + "-anonymous"]
