"""What another site made a browser send, with `csrf.protect` on and off."""

from __future__ import annotations

import functools
import json
import time
from typing import Any

import pytest
from csrf_kit import ADMIN, EVIL, FORM, HERE, HERE_FORM, passes, protected, sign_in, token_of
from flow_kit import IDENTITY, SECRET, Browser, Site
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stepup_kit import MakeSite, as_sent, reached

from gatehound import Event, Guard
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore

UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "CONNECT", "QUERY", "PURGE", "post", "G\xcbT")
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE", "get")

# --- which request is whose ---

# Whether it passes with a session, and without one; headers but for the host.
TABLE: list[tuple[dict[str, str], bool, bool]] = [
    ({"sec_fetch_site": "same-origin"}, True, True),
    ({"sec_fetch_site": "none"}, True, True),
    ({"sec_fetch_site": "same-site"}, False, False),
    ({"sec_fetch_site": "cross-site"}, False, False),
    ({"sec_fetch_site": "Same-Origin"}, False, False),
    ({"sec_fetch_site": "same-origin, cross-site"}, False, False),
    ({"sec_fetch_site": "cross-site\nsame-origin"}, False, False),
    ({"sec_fetch_site": "same-origin", "origin": HERE}, True, True),
    ({"sec_fetch_site": "same-origin", "origin": "null"}, True, True),  # no-referrer does that
    ({"sec_fetch_site": "same-site", "origin": HERE}, False, False),
    ({"sec_fetch_site": "cross-site", "origin": EVIL}, False, False),
    ({"sec_fetch_site": "cross-site", "origin": ADMIN}, True, True),
    ({"sec_fetch_site": "same-site", "origin": ADMIN}, True, True),
    ({"sec_fetch_site": "", "origin": EVIL}, False, False),
    ({"origin": HERE}, True, True),
    ({"origin": "HTTPS://LOCALHOST"}, True, True),
    ({"origin": "http://localhost"}, True, True),  # see step 4
    ({"origin": "https://localhost:443"}, False, False),  # no browser writes it
    ({"origin": "https://localhost:8443"}, False, False),
    ({"origin": "https://localhost.evil.example"}, False, False),
    ({"origin": "https://evil.example/localhost"}, False, False),
    ({"origin": "https://localhost@evil.example"}, False, False),
    ({"origin": "localhost"}, False, False),
    ({"origin": EVIL}, False, False),
    ({"origin": f"{HERE}\n{EVIL}"}, False, False),
    ({"origin": f"{EVIL}\n{HERE}"}, False, False),
    ({"origin": f"{ADMIN}, {EVIL}"}, False, False),
    ({"origin": "null"}, False, False),
    ({"origin": "://"}, False, False),
    ({"origin": "https://"}, False, False),
    ({"origin": "https://[::1"}, False, False),
    ({"origin": "\xff\xfe"}, False, False),
    ({"origin": ADMIN}, True, True),
    ({"origin": "http://admin.example"}, False, False),
    ({"origin": f"{ADMIN}:8443"}, False, False),
    ({"origin": f"{ADMIN}/"}, False, False),
    ({}, False, True),
    ({"origin": ""}, False, True),
    ({"referer": f"{HERE}/form"}, False, True),
]


@pytest.mark.parametrize(("headers", "signed_in", "nobody"), TABLE)
def test_which_request_passes(
    make_site: MakeSite, headers: dict[str, str], signed_in: bool, nobody: bool
) -> None:
    site = make_site(**protected(trusted_origins=[ADMIN]))
    alice, visitor = sign_in(site.browser()), site.browser()
    assert passes(alice, **headers) is signed_in
    assert passes(visitor, **headers) is nobody
    if not signed_in:
        for token in ("", "x", "é", f"{token_of(alice)}x"):
            assert not passes(alice, **headers, x_csrf_token=token)
        assert passes(alice, **headers, x_csrf_token=token_of(alice))


@pytest.mark.parametrize("method", UNSAFE)
def test_unsafe_methods_are_asked(make_site: MakeSite, method: str) -> None:
    site = make_site(**protected())
    alice = sign_in(site.browser())
    with as_sent(site, method=method):
        assert not passes(alice, sec_fetch_site="cross-site", origin=EVIL)
        assert not passes(alice)
        assert passes(alice, sec_fetch_site="same-origin")


@pytest.mark.parametrize("method", SAFE)
def test_safe_methods_pass(make_site: MakeSite, method: str) -> None:
    site = make_site(**protected())
    alice = sign_in(site.browser())
    with as_sent(site, method=method):
        assert passes(alice, sec_fetch_site="cross-site", origin=EVIL)
        assert passes(alice)


@pytest.mark.parametrize("csrf", [{}, {"protect": False, "exempt": ["/hook"]}])
def test_without_the_setting_the_app_decides(make_site: MakeSite, csrf: dict[str, Any]) -> None:
    alice = sign_in(make_site(csrf=csrf).browser())
    assert passes(alice, sec_fetch_site="cross-site", origin=EVIL)
    assert passes(alice)


@pytest.mark.parametrize(
    ("host", "origin", "is_own"),
    [
        ("shop.example", "https://shop.example", True),
        ("SHOP.example", "https://shop.example", True),
        ("shop.example:443", "https://shop.example", True),  # as some proxies write it
        ("shop.example:80", "http://shop.example", True),
        ("shop.example:80", "https://shop.example", False),
        ("shop.example:443", "http://shop.example", False),
        ("shop.example:8443", "https://shop.example:8443", True),
        ("shop.example:8443", "https://shop.example", False),
        ("shop.example", "https://shop.example:8443", False),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443", True),
        ("", "https://shop.example", False),
        ("", "https://", False),
        (":None", "odd://", False),
    ],
)
def test_origin_names_the_host(make_site: MakeSite, host: str, origin: str, is_own: bool) -> None:
    alice = sign_in(make_site(**protected()).browser())
    assert passes(alice, host=host, origin=origin) is is_own


def test_behind_a_proxy_that_names_the_host(make_site: MakeSite) -> None:
    proxied = {
        "mode": "x-forwarded-for",
        "trusted_proxies": ["203.0.113.0/24"],
        "host_header": "x-forwarded-host",
    }
    site = make_site(**protected(), client_ip=proxied)
    alice = sign_in(site.browser())  # through the proxy 203.0.113.7
    through = {"host": "10.0.0.5:8000", "x_forwarded_for": "198.51.100.7"}
    named = {**through, "x_forwarded_host": "shop.example"}
    assert passes(alice, **named, origin="https://shop.example")
    assert passes(alice, **{**named, "x_forwarded_host": "Shop.example:443"}, origin=ADMIN) is False
    assert passes(
        alice, **{**named, "x_forwarded_host": "Shop.example:443"}, origin="https://shop.example"
    )
    assert not passes(alice, **named, origin=EVIL)
    assert not passes(alice, **through, origin="https://shop.example")
    beside = Browser(site, alice.agent, "198.51.100.9", dict(alice.cookies))  # no proxy of ours
    assert not passes(beside, **named, origin="https://shop.example")


# --- what a refusal says and does ---


@pytest.mark.parametrize(
    ("headers", "reason", "fix"),
    [
        ({"sec-fetch-site": "cross-site", "origin": EVIL}, "another-site", "csrf.trusted_origins"),
        ({"origin": EVIL}, "another-origin", "client_ip.host_header"),
        ({}, "no-origin", "a header Origin with the address of this site"),
        ({"x-csrf-token": "x.y"}, "wrong-token", "was not made for this session"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(
    make_site: MakeSite, headers: dict[str, str], reason: str, fix: str
) -> None:
    alice = sign_in(make_site(**protected()).browser())
    reply = alice.do(reached, method="POST", headers={"accept": "*/*", **headers})
    told = json.loads(reply.body)
    assert reply.header("content-type") == "application/problem+json"
    assert reply.header("cache-control") == "private, no-store"
    assert told == {
        "type": "urn:gatehound:cross-site",
        "title": "Forbidden",
        "status": 403,
        "detail": told["detail"],
        "reason": reason,
    }
    assert "nothing was done" in told["detail"]
    assert fix in told["detail"]
    assert "X-CSRF-Token" in told["detail"]
    page = alice.do(reached, method="POST", headers={**FORM, **headers})
    assert (page.status, page.value) == (403, None)
    assert page.header("content-type") == "text/html; charset=utf-8"
    assert told["detail"].encode() in page.body


def test_a_refused_request_changes_nothing(
    make_site: MakeSite, store: Store, events: list[Event], clock: FakeClock
) -> None:
    """It slides no idle timeout, asks no store, and is no evidence: it may be an attack."""
    faulty = FaultyStore(store)
    alice = sign_in(make_site(over=faulty, **protected(), session={"idle_timeout": "1h"}).browser())
    clock.advance(1800)
    told, asked = len(events), len(faulty.calls)
    for headers in ({"sec_fetch_site": "cross-site"}, {"origin": EVIL}, {}):
        assert not passes(alice, **headers)
    assert not passes(alice, origin=EVIL, cookie=f"__Host-gatehound={'x' * 124}")
    assert (len(events), len(faulty.calls)) == (told, asked)
    clock.advance(1801)
    assert alice.see().user_id is None


# --- tokens in the header ---


def test_a_token_is_of_one_session(make_site: MakeSite) -> None:
    site = make_site(**protected())
    alice, bob, visitor = sign_in(site.browser()), sign_in(site.browser(), "bob"), site.browser()
    token, visitors = token_of(alice), token_of(visitor)
    cross = {"sec_fetch_site": "cross-site", "origin": EVIL}
    for headers in (cross, {}):
        assert passes(alice, **headers, x_csrf_token=token)
        assert not passes(alice, **headers, x_csrf_token=token_of(bob))
        assert not passes(alice, **headers, x_csrf_token=visitors)
        assert not passes(alice, **headers, x_csrf_token=token_of(alice, "pay"))
        assert not passes(alice, **headers, x_csrf_token=f"{token}\n{token}")
    assert not passes(visitor, **cross, x_csrf_token=token)
    assert passes(visitor, **cross, x_csrf_token=visitors)
    assert not passes(site.browser(), **cross, x_csrf_token=visitors)


def test_a_planted_cookie_of_a_visitor_opens_no_session(make_site: MakeSite) -> None:
    site = make_site(**protected())
    alice, mallory = sign_in(site.browser()), site.browser()
    token = token_of(mallory)
    alice.cookies |= mallory.cookies
    assert not passes(alice, sec_fetch_site="same-site", x_csrf_token=token)
    assert not passes(alice, x_csrf_token=token)


def test_a_token_survives_a_new_secret_and_no_half_day(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = sign_in(make_site(**protected()).browser())
    now = time.time()
    token = token_of(alice)
    alice.do(lambda visit: visit.rotate(), method="POST", headers=HERE_FORM)
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 - 5)
    assert passes(alice, x_csrf_token=token)
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 + 5)
    assert not passes(alice, x_csrf_token=token)


def test_the_token_of_a_visitor_lives_as_long_as_its_cookie(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = make_site(**protected()).browser()
    now, token = time.time(), token_of(visitor)
    monkeypatch.setattr(time, "time", lambda: now + 890)
    assert passes(visitor, origin=EVIL, x_csrf_token=token)
    monkeypatch.setattr(time, "time", lambda: now + 901)
    assert not passes(visitor, origin=EVIL, x_csrf_token=token)


def test_the_sign_in_form_works_and_no_other_site_can_send_it(make_site: MakeSite) -> None:
    visitor = make_site(**protected()).browser()
    token = token_of(visitor, "sign-in")

    def login(visit: Any) -> Any:
        return visit.login("alice") if visit.check_csrf(token, "sign-in") else None

    other = visitor.do(login, method="POST", headers={**FORM, "sec-fetch-site": "cross-site"})
    assert (other.status, visitor.names) == (403, {"__Host-gatehound-pre"})
    assert visitor.do(login, method="POST", headers=HERE_FORM).value.user_id == "alice"
    assert visitor.names == {"__Host-gatehound"}
    assert passes(visitor, sec_fetch_site="same-origin")


def test_what_is_kept_of_a_visitor_is_protected_too(make_site: MakeSite) -> None:
    visitor = make_site(**protected()).browser()
    assert passes(visitor)
    visitor.do(lambda visit: visit.anonymous.set("cart", "1"), method="POST", headers=HERE_FORM)
    assert not passes(visitor)
    assert passes(visitor, origin=HERE)
    assert passes(visitor, x_csrf_token=token_of(visitor))


def test_a_session_that_is_over_is_asked_like_any(make_site: MakeSite) -> None:
    """No store is asked whether it is; a program with an old cookie says where it comes from."""
    alice = sign_in(make_site(**protected()).browser())
    cookies = dict(alice.cookies)
    alice.do(lambda visit: visit.logout(), method="POST", headers=HERE_FORM)
    alice.cookies = cookies
    assert not passes(alice)
    assert passes(alice, origin=HERE)


# --- all of it ---

_ODDS = st.sampled_from(["", "x", "\xff", "same-origin ", "null", "https://", "://localhost"])
_SITES = st.sampled_from(["", "same-origin", "none", "same-site", "cross-site"]) | _ODDS
_ORIGINS = (
    st.sampled_from(["", HERE, EVIL, ADMIN, "null", "https://localhost.evil.example"]) | _ODDS
)
_HOSTS = st.sampled_from(["", "localhost", "localhost:443", "evil.example", "shop.example"]) | _ODDS
_TOKENS = st.sampled_from(["", "own", "bob", "visitor", "action"]) | _ODDS
_PATHS = st.sampled_from(["/pay", "/hook/../pay", "/hook", "//pay", "/hook/", "/"])


@functools.cache
def _signed_in(world: str) -> tuple[Browser, dict[str, str]]:
    """Somebody, and tokens of theirs and of others; no example changes anything of it."""
    given = {"secret_keys": [SECRET], "identity_key": IDENTITY}
    csrf = protected(trusted_origins=[ADMIN], exempt=["/hook"])
    site = Site(world, Guard({**given, **csrf}, store=MemoryStore(), sinks=[]))
    alice = sign_in(site.browser())
    tokens = {
        "own": token_of(alice),
        "action": token_of(alice, "pay"),
        "bob": token_of(sign_in(site.browser(), "bob")),
        "visitor": token_of(site.browser()),
    }
    return alice, tokens


@pytest.mark.slow
@settings(max_examples=3 * settings().max_examples, deadline=None)
@given(
    world=st.sampled_from(["asgi", "wsgi"]),
    method=st.sampled_from(UNSAFE),
    path=_PATHS,
    token=_TOKENS,
    headers=st.fixed_dictionaries(
        {},
        optional={
            "sec-fetch-site": _SITES,
            "origin": _ORIGINS,
            "host": _HOSTS,
            "x-forwarded-host": _HOSTS,
            "referer": _ORIGINS,
            "x-requested-with": _ODDS,
            "x-http-method-override": st.sampled_from(["GET", "OPTIONS"]),
            "access-control-request-method": st.just("POST"),
            "accept": st.sampled_from(["*/*", "text/html"]),
        },
    ),
)
@example("asgi", "POST", "/pay", "", {"origin": "://localhost"})  # a scheme is missing
def test_nothing_of_another_site_reaches_the_app(
    world: str, method: str, path: str, token: str, headers: dict[str, str]
) -> None:
    """With a session, on an unsafe method.

    Oracle: the claim itself, over the headers as they were sent. Not checked: that what should
    pass does (see the table), that methods of SAFE change nothing, and what a proxy makes of it.
    """
    alice, tokens = _signed_in(world)
    headers = {"accept": "*/*", **headers}
    if token:
        headers["x-csrf-token"] = tokens.get(token, token)
    with as_sent(alice.site, path=path, method=method):
        reply = alice.do(reached, headers=headers)
    origin, host = headers.get("origin", ""), headers.get("host", "localhost").lower()
    scheme, _, named = origin.partition("://")
    may_pass = (
        headers.get("sec-fetch-site") in ("same-origin", "none")
        or origin == ADMIN
        or (
            not headers.get("sec-fetch-site")
            and named in (host, host.removesuffix(":443"))
            and "" not in (scheme, named)
        )
        or token == "own"
        or path == "/hook"
    )
    assert (reply.value, reply.status) == (("reached", 200) if may_pass else (None, 403))
