"""Step-up: who is asked to prove who they are, for what, and what they may still reach."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urljoin

import pytest
from flow_kit import NAVIGATE, POLL, Browser, Site
from hypothesis import example, given
from hypothesis import strategies as st
from stepup_kit import (
    FORM,
    ODD,
    MakeSite,
    as_sent,
    asking,
    back,
    next_of,
    reached,
    reaches,
    sought,
    thief_of,
)

from gatehound import Action, Event, Settings, SettingsError
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.errors import SessionSuperseded
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


async def handshake(site: Site, browser: Browser, path: str = "/ws", *, denies: bool = True) -> Any:
    """Open a websocket; return whether the app was called, and what the server was told."""
    sent: list[Any] = []
    called = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope["gatehound"].user_id)
        await send({"type": "websocket.accept"})

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    lines = {"host": "localhost", "user-agent": browser.agent, "cookie": cookie, "x-odd": "1"}
    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "scheme": "wss",
        "client": (browser.address, 50000),
        "server": ("localhost", 443),
        "headers": [(k.encode(), v.encode()) for k, v in lines.items()],
        "extensions": {"websocket.http.response": {}} if denies else {},
    }
    await AsgiMiddleware(app, site.guard)(scope, receive, send)
    return called, sent


# --- the whole story ---


def test_the_story_of_a_stolen_cookie(
    make_site: MakeSite, clock: FakeClock, events: list[Event], demo_databases: dict[str, str]
) -> None:
    site = make_site(**asking(detection=demo_databases))
    alice = site.browser()
    alice.login()
    assert reaches(alice, "/inbox")
    thief = thief_of(alice)  # another country, another browser

    page = thief.do(reached, path="/inbox")
    assert (page.value, page.status) == (None, 303)
    assert page.header("location").startswith("/again?next=")
    assert page.header("cache-control") == "private, no-store"
    api = thief.do(reached, path="/api/mail", headers=POLL)
    assert (api.value, api.status) == (None, 401)
    assert [name for name in names(events) if name == "step_up_required"] == ["step_up_required"]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert not reaches(thief, "/transfer", method=method, headers=POLL)
    shown = thief.do(lambda visit: visit.user_id, path="/again")
    assert (shown.status, shown.value) == (200, "alice")

    asked = alice.do(reached, path="/inbox")  # both sides are: only the owner passes
    assert (asked.value, asked.status) == (None, 303)
    old = dict(alice.cookies)
    proof = alice.do(
        lambda visit: visit.reauthenticate(("password",)), path="/again", method="POST"
    )
    assert (proof.status, proof.error) == (200, None)
    assert alice.cookies != old
    assert back(alice, next_of(asked)) == "/inbox"
    assert reaches(alice, "/inbox")
    assert alice.see().action is Action.ALLOW
    assert not alice.see().session.flagged

    late = thief.do(lambda visit: visit.user_id, path="/inbox", catch=False, headers=POLL)
    assert (late.status, type(late.error)) == (401, SessionSuperseded)
    clock.advance(61)
    gone = thief.do(lambda visit: (visit.user_id, visit.session), path="/inbox", catch=False)
    assert gone.value == (None, None)
    assert reaches(alice, "/inbox")
    assert names(events).count("step_up_passed") == 1


def test_a_proof_is_good_in_its_own_request(make_site: MakeSite) -> None:
    site = make_site(**asking())
    alice = site.browser()
    alice.login()
    sought(alice)

    async def proves(visit: Any) -> Any:
        await visit.reauthenticate()
        await visit.require_fresh()
        return visit.action, visit.session.flagged

    def proves_plainly(visit: Any) -> Any:
        visit.reauthenticate()
        visit.require_fresh()
        return visit.action, visit.session.flagged

    job = proves if site.world == "asgi" else proves_plainly
    reply = alice.do(job, path="/again", method="POST")
    assert (reply.error, reply.value) == (None, (Action.ALLOW, False))
    assert reaches(alice, "/pay")


def test_the_owner_who_moved_proves_it_where_they_are(make_site: MakeSite) -> None:
    site = make_site(**asking())
    alice = site.browser()
    alice.login()
    there = thief_of(alice)  # it is alice herself, on a train
    assert not reaches(there)
    assert (
        there.do(lambda visit: visit.reauthenticate(), path="/again", method="POST").error is None
    )
    assert reaches(there)


def test_signing_out_is_a_way_out(make_site: MakeSite) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    assert alice.do(lambda visit: visit.logout(), path="/logout", method="POST").value is True
    assert reaches(alice)


# --- how it is answered ---


def test_a_program_is_told_why(make_site: MakeSite) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    reply = thief_of(alice).do(reached, path="/api", headers=POLL)
    assert reply.header("content-type") == "application/problem+json"
    assert reply.header("cache-control") == "private, no-store"
    assert reply.all("location") == []
    told = json.loads(reply.body)
    assert told == {
        "type": "urn:gatehound:step-up-required",
        "title": "Unauthorized",
        "status": 401,
        "detail": told["detail"],
        "step_up_url": "/again",
        "reasons": [ODD],
    }
    assert "sign in again" in told["detail"]


def test_reasons_that_faded_are_not_made_up(make_site: MakeSite, clock: FakeClock) -> None:
    alice = make_site(**asking(session={"idle_timeout": "12h"})).browser()
    alice.login()
    sought(alice)
    clock.advance(3 * 3600)
    reply = alice.do(reached, headers=POLL)
    assert reply.status == 401
    assert "reasons" not in json.loads(reply.body)


def test_a_form_is_lost_and_its_sender_is_told_so(make_site: MakeSite) -> None:
    """A redirect would be followed, and look as if the form had been taken."""
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    reply = alice.do(reached, path="/transfer", method="POST", headers=FORM)
    assert (reply.status, reply.value, reply.all("location")) == (401, None, [])
    assert reply.header("content-type") == "text/html; charset=utf-8"
    assert b"What you sent did not go through" in reply.body
    assert b'<a href="/again">Sign in again</a>' in reply.body
    api = alice.do(reached, path="/transfer", method="POST", headers=POLL)
    assert b"What you sent did not go through" in api.body
    assert b"What you sent" not in alice.do(reached, headers=POLL).body


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", NAVIGATE, 303),
        ("HEAD", NAVIGATE, 303),
        ("GET", {"accept": "text/html"}, 303),
        ("GET", {"hx-boosted": "true", "accept": "*/*"}, 303),
        ("GET", {**NAVIGATE, "sec-purpose": "prefetch"}, 401),
        ("GET", {**POLL, "accept": "text/event-stream"}, 401),
        ("GET", {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 401),
        ("OPTIONS", POLL, 401),
        ("HEAD", POLL, 401),
        ("GET", {"accept": "*/*"}, 401),
    ],
)
def test_page_loads_are_sent_there_and_all_else_is_told(
    make_site: MakeSite, method: str, headers: dict[str, str], status: int
) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    reply = alice.do(reached, method=method, headers=headers)
    assert (reply.status, reply.value) == (status, None)
    assert (method == "HEAD") == (reply.body == b"")


def test_a_preflight_carries_no_cookie_and_passes(make_site: MakeSite) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    alice.cookies.clear()
    headers = {"origin": "https://other.example", "access-control-request-method": "POST"}
    assert reaches(alice, method="OPTIONS", headers=headers)


@pytest.mark.parametrize("denies", [True, False])
def test_a_websocket_is_denied_at_its_handshake(make_site: MakeSite, denies: bool) -> None:
    site = make_site(**asking())
    alice = site.browser()
    alice.login()
    called, sent = asyncio.run(handshake(site, thief_of(alice), denies=denies))
    assert called == []
    if not denies:
        assert sent == [{"type": "websocket.close", "code": 1008}]
        return
    start, body = sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert json.loads(body["body"])["type"] == "urn:gatehound:step-up-required"
    called, _ = asyncio.run(handshake(site, thief_of(alice), "/again/ws"))
    assert called == ["alice"]


def test_a_cookie_that_is_due_goes_with_the_answer(make_site: MakeSite) -> None:
    """Its attributes changed in the settings; the secret stays as it is."""
    alice = make_site(**asking(), cookie={"name": "plain", "samesite": "lax"}).browser()
    alice.login()
    sought(alice)
    alice.site = make_site(**asking(), cookie={"name": "plain", "samesite": "strict"})
    reply = alice.do(reached)
    assert reply.status == 303
    assert len(reply.set_cookies) == 1
    assert len(reply.all("cache-control")) == 1


# --- what stays open ---


@pytest.mark.parametrize(
    "path",
    ["/again", "/again/", "/again/totp", "/static/a/b.css", "/favicon.ico", "/logout", "/sign-out"],
)
def test_open(make_site: MakeSite, path: str) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    for method in ("GET", "POST"):
        assert reaches(alice, path, method=method)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/pay", "/againx", "/Again", "//again", "/logout/", "/pay/logout", "/staticx"),
        *("/again/../pay", "/again//pay", "/again/./../pay", "/again/..", "/static/../pay"),
        *("/static/..\\pay", "/static/%2e%2e/pay", "/again/%2e%2e/pay", "/static//pay"),
        "/static/\x00pay",
    ],
)
def test_not_open(make_site: MakeSite, path: str) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    assert not reaches(alice, path)
    assert not reaches(alice, path, method="POST")


def test_patterns_of_the_settings_open(make_site: MakeSite) -> None:
    web = {"step_up_open": ["GET /help/*", "*/sign-out"], "step_up_url": "/a%20b/again?x=1"}
    alice = make_site(**asking(web=web)).browser()
    alice.login()
    sought(alice)
    assert reaches(alice, "/help/a")
    assert not reaches(alice, "/help/a", method="POST")
    assert reaches(alice, "/app/sign-out", method="POST")
    assert not reaches(alice, "/logout")
    assert reaches(alice, "/a b/again")
    assert alice.do(reached).header("location").startswith("/a%20b/again?x=1&next=")


def test_the_home_page_as_step_up_page_opens_itself_alone(make_site: MakeSite) -> None:
    alice = make_site(**asking(web={"step_up_url": "/"})).browser()
    alice.login()
    sought(alice)
    assert reaches(alice, "/")
    assert not reaches(alice, "/pay")


def test_a_url_of_any_letters_fits_into_a_header(make_site: MakeSite) -> None:
    alice = make_site(**asking(web={"step_up_url": "/снова"})).browser()
    alice.login()
    reply = thief_of(alice).do(reached)
    assert reply.header("location").startswith("/%D1%81%D0%BD%D0%BE%D0%B2%D0%B0?next=")
    assert reaches(alice, "/снова")


def test_what_a_client_says_of_its_request_opens_nothing(make_site: MakeSite) -> None:
    site = make_site(**asking(activity={"header": "x-class", "background_paths": ["/pay"]}))
    alice = site.browser()
    alice.login()
    sought(alice)
    for word in ("asset", "speculative", "background", "action", "navigate", "nonsense"):
        for method in ("GET", "POST"):
            assert not reaches(alice, "/pay", method=method, headers={**POLL, "x-class": word})
    claimed = alice.do(reached, method="POST", headers={**FORM, "x-class": "navigate"})
    assert (claimed.status, claimed.all("location")) == (401, [])


def test_ignored_paths_are_never_judged(make_site: MakeSite) -> None:
    alice = make_site(**asking(ignore_paths=["/health"])).browser()
    alice.login()
    sought(alice)
    assert reaches(alice, "/health/a")
    assert thief_of(alice).do(lambda visit: visit.user_id, path="/health").value is None


# --- whom it does not concern ---


@pytest.mark.parametrize("mode", ["off", "observe", "flag"])
def test_other_modes_ask_nobody(make_site: MakeSite, mode: str) -> None:
    """Also of a session that had to step up before the mode was changed."""
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    alice.site = make_site(**asking(mode=mode))
    assert reaches(alice, "/pay")
    assert reaches(thief_of(alice), "/pay")
    assert alice.do(lambda visit: visit.require_fresh(), catch=False).status == 303


def test_strict_asks_too(make_site: MakeSite) -> None:
    alice = make_site(**asking(mode="strict")).browser()
    alice.login()
    assert not reaches(thief_of(alice))


def test_without_a_page_nobody_is_asked(make_site: MakeSite) -> None:
    alice = make_site(**asking(web={"step_up_url": None})).browser()
    alice.login()
    thief = thief_of(alice)
    assert thief.see().action is Action.NOTIFY
    assert reaches(thief)
    assert reaches(alice)


def test_other_sessions_and_visitors_go_on(make_site: MakeSite) -> None:
    site = make_site(**asking())
    alice, other, bob = site.browser(), site.browser(), site.browser()
    alice.login()
    other.login()
    bob.login("bob")
    sought(alice)
    assert not reaches(alice)
    assert reaches(other)
    assert reaches(bob)
    assert reaches(site.browser())


def test_only_sensitive_paths_and_roles(make_site: MakeSite) -> None:
    policy = {
        "sensitive_paths": ["/pay/*", "POST /mail"],
        "fresh_paths": ["/key"],
        "sensitive_roles": ["root"],
        "sensitive_discount": 0,
    }
    site = make_site(**asking(web={"step_up_enforce": "sensitive"}, policy=policy))
    alice, admin = site.browser(), site.browser()
    alice.login()
    admin.login("ada", roles=("root",))
    for browser in (alice, admin):
        thief_of(browser).do(reached)
    for path in ("/", "/mail", "/pay", "/again"):
        assert reaches(alice, path)
        assert reaches(admin, path) is (path == "/again")
    assert reaches(admin, "/static/a.css")
    for path in ("/pay/a", "/pay//a", "/x/../pay/a", "/key", "/key/", "//key"):
        assert not reaches(alice, path)
    assert not reaches(alice, "/mail", method="POST")
    assert alice.see().action is Action.STEP_UP  # the rest is left to the app
    assert alice.do(lambda visit: visit.require_fresh(), catch=False).status == 303


# --- when things are not as they should be ---


def test_a_demand_that_could_not_be_written_stands_in_its_request(
    make_site: MakeSite, store: Store
) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, **asking()).browser()
    alice.login()
    thief = thief_of(alice)
    faulty.fail("remember")
    assert not reaches(thief)
    assert not reaches(thief)  # and now it is written
    assert not reaches(alice)


@pytest.mark.parametrize("policy", ["deny", "anonymous", "stale_ok"])
def test_an_outage_asks_nobody_for_a_proof(make_site: MakeSite, store: Store, policy: str) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, **asking(outage={"policy": policy})).browser()
    alice.login()
    alice.see()
    faulty.go_down()
    assert reaches(alice)
    if policy == "stale_ok":
        assert alice.see().user_id == "alice"
    faulty.heal()
    sought(alice)
    faulty.go_down()
    told = alice.do(lambda visit: visit.user_id, catch=False, headers=POLL)
    assert (told.status, told.value) == ((200, None) if policy == "anonymous" else (503, None))


def test_the_secret_before_a_rotation_is_asked_too(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(**asking(session={"rotate_every": "30m"}))
    alice = site.browser()
    alice.login()
    late = site.browser()
    late.cookies = dict(alice.cookies)
    clock.advance(1800)
    assert reaches(alice)
    sought(alice)
    assert late.cookies != alice.cookies
    reply = late.do(reached)
    assert (reply.status, reply.value, reply.all("set-cookie")) == (303, None, [])


def test_a_rotation_that_is_due_waits_for_the_proof(make_site: MakeSite, clock: FakeClock) -> None:
    """Or whoever comes first, owner or thief, gets a secret that the other has not."""
    site = make_site(**asking(session={"rotate_every": "30m"}))
    alice = site.browser()
    alice.login()
    sought(alice)
    clock.advance(1800)
    reply = alice.do(reached)
    assert (reply.status, reply.all("set-cookie")) == (303, [])


def test_the_inner_of_two_middlewares_keeps_out(make_site: MakeSite) -> None:
    site = make_site(**asking())
    wrap: Any = AsgiMiddleware if site.world == "asgi" else WsgiMiddleware
    site.app = wrap(site.app, site.guard)
    alice = site.browser()
    alice.login()
    thief = sought(alice)
    assert thief.do(reached).status == 303
    assert reaches(alice, "/again")


def test_a_session_that_ended_meanwhile_is_nobodys(make_site: MakeSite) -> None:
    site = make_site(**asking())
    alice = site.browser()
    alice.login()
    thief = sought(alice)
    site.guard.sync.terminate_user("alice")
    assert thief.do(lambda visit: visit.user_id).value is None
    assert reaches(thief)


# --- the way back ---


def test_next_holds_path_and_query(make_site: MakeSite) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    for path, query, expected in (
        ("/inbox", b"", "/inbox"),
        ("/inbox", b"page=2&q=%C3%A9+x", "/inbox?page=2&q=%C3%A9+x"),
        ("/a b/é", b"", "/a%20b/%C3%A9"),
        ("/a?b#c", b"d", "/a%3Fb%23c?d"),
        ("/100%", b"q=100%", "/100%25?q=100%"),
        ("/a//b", b"", "/a//b"),
        ("/a", b"q=\xe9<\"'>\\", "/a?q=%E9%3C%22%27%3E%5C"),
        ("/a", b"next=//evil.example", "/a?next=//evil.example"),
        ("/a", b"q=%0d%0aSet-Cookie:%20a", "/a"),
        ("/a", b"q=" + b"x" * 3000, "/a"),
        ("/" + "x" * 3000, b"", "/"),
    ):
        with as_sent(alice.site, path=path, query=query):
            value = next_of(alice.do(reached))
        assert back(alice, value) == expected


@pytest.mark.slow
def test_any_path_of_a_request_leads_back_to_this_site(make_site: MakeSite) -> None:
    """Through the whole middleware and back; what browsers read into it is in test_wayback."""
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)

    @given(st.binary(max_size=12), st.binary(max_size=6))
    @example(b"/evil.example", b"")
    @example(b"%5cevil.example", b"")
    @example(b"\t/evil.example", b"\r\n")
    def leads_back(path: bytes, query: bytes) -> None:
        with as_sent(alice.site, path=b"/" + path, query=query):
            reply = alice.do(reached)
        if reply.value is None:  # else it was one that is open
            target = back(alice, next_of(reply))
            assert urljoin("https://app.example/", target).startswith("https://app.example/")
            assert target.startswith("/")
            assert not target.startswith(("//", "/\\"))
            assert target.isascii()
            assert target.isprintable()

    leads_back()


def test_a_mounted_app_is_led_back_under_its_prefix(make_site: MakeSite) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    app, site = alice.site.app, alice.site

    def wsgi(environ: Any, start: Any) -> Any:
        return app({**environ, "SCRIPT_NAME": "/app", "PATH_INFO": "/inbox"}, start)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/app", "path": "/app/inbox"}, receive, send)

    site.app = asgi if site.world == "asgi" else wsgi
    value = next_of(alice.do(reached))
    site.app = app
    assert back(alice, value) == "/app/inbox"


def test_next_is_worth_something_to_its_own_session_alone(make_site: MakeSite) -> None:
    site = make_site(**asking())
    alice, mallory = site.browser(), site.browser()
    alice.login()
    mallory.login("mallory")
    sought(mallory)
    value = next_of(mallory.do(reached, path="/transfer"))
    assert back(mallory, value) == "/transfer"
    assert back(alice, value) == "/"
    assert back(site.browser(), value) == "/"


def test_next_survives_a_new_secret_and_a_new_login(make_site: MakeSite) -> None:
    alice = make_site(**asking()).browser()
    alice.login()
    sought(alice)
    value = next_of(alice.do(reached, path="/inbox"))

    async def signs_in(visit: Any) -> Any:
        await visit.login("alice")
        return visit.next_target(value)

    def signs_in_plainly(visit: Any) -> Any:
        visit.login("alice")
        return visit.next_target(value)

    job = signs_in if alice.site.world == "asgi" else signs_in_plainly
    alice.do(lambda visit: visit.reauthenticate(), path="/again", method="POST")
    assert back(alice, value) == "/inbox"
    assert alice.do(job, path="/again", method="POST").value == "/inbox"
    assert back(alice, value) == "/"  # it is another session now


def test_next_for_nobody_leads_nobody_else(make_site: MakeSite) -> None:
    site = make_site(**asking())
    visitor, alice = site.browser(), site.browser()
    alice.login()
    asked = visitor.do(lambda visit: visit.require_fresh(), path="/inbox", catch=False)
    value = next_of(asked)
    assert back(visitor, value) == "/inbox"
    assert back(alice, value) == "/"


def test_next_target_raises_at_nothing(make_site: MakeSite, store: Store) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, **asking()).browser()
    alice.login()
    sought(alice)
    value = next_of(alice.do(reached, path="/inbox"))
    for odd in (
        None,
        "",
        ".",
        "..",
        value[:-1],
        value + "A",
        "." + value,
        "é",
        "\ud800",
        "x" * 10**4,
    ):
        assert back(alice, odd) == "/"
    faulty.go_down()
    assert back(alice, value) == "/inbox"


def test_an_answer_with_a_way_back_depends_on_the_cookie(make_site: MakeSite) -> None:
    alice = make_site(**asking()).browser()
    reply = alice.do(lambda visit: visit.next_target("x"), path="/again")
    assert (reply.header("vary"), reply.header("cache-control")) == ("Cookie", "private")


# --- settings ---

KEYS = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "store": "memory://"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"web": {"step_up_url": "/a#b"}}, "web.step_up_url: '/a#b' given; allowed is a path"),
        (
            {"web": {"step_up_url": "/open/again"}, "ignore_paths": ["/open"]},
            "web.step_up_url: '/open/again' given, which ignore_paths names",
        ),
        ({"web": {"step_up_open": ["static"]}}, "web.step_up_open: 'static' was given; a pattern"),
        ({"web": {"step_up_open": ["/*"]}}, "web.step_up_open: '/*' given, which is every path"),
        ({"web": {"step_up_open": ["GET *"]}}, "web.step_up_open: 'GET *' given, which is every"),
        ({"web": {"step_up_enforce": "app"}}, "web.step_up_enforce: 'app' given; allowed is"),
        (
            {"policy": {"fresh_paths": ["POST /open/a*"]}, "ignore_paths": ["/open"]},
            "policy.fresh_paths: 'POST /open/a*' given, which ignore_paths names",
        ),
    ],
)
def test_rules(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_dict({**KEYS, **given})
    (problem,) = caught.value.problems
    assert problem.startswith(said)


def test_allowed() -> None:
    web = {"step_up_url": "/", "step_up_open": ["/", "*/a", "/a?"], "step_up_enforce": "sensitive"}
    given = {"web": web, "policy": {"fresh_paths": ["/o*"]}, "ignore_paths": ["/open"]}
    assert Settings.from_dict({**KEYS, **given}).problems() == []
