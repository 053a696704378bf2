"""Routes that need a recent sign-in, by `policy.fresh_paths`: one rule with `require_fresh`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from flow_kit import POLL, Browser, Site
from stepup_kit import FORM, MakeSite, as_sent, back, next_of, reached, reaches
from test_flow_stepup import handshake

from gatehound import FreshLoginRequired, SessionSuperseded, StoreUnavailable
from gatehound.stepup import StepUp
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore


def fresh(*paths: str, **more: Any) -> dict[str, Any]:
    """Settings with these paths to sign in freshly for; detection is off."""
    return {
        "policy": {"fresh_paths": list(paths or ["/pay"])},
        "web": {"step_up_url": "/again"},
        "detection": {"mode": "off"},
        **more,
    }


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(**fresh())


@pytest.fixture
def stale(site: Site, clock: FakeClock) -> Browser:
    """Somebody whose sign-in is 601 seconds old."""
    alice = site.browser()
    alice.login()
    clock.advance(601)
    return alice


def test_a_recent_sign_in_is_enough(site: Site, clock: FakeClock) -> None:
    alice = site.browser()
    alice.login()
    clock.advance(600)
    assert reaches(alice, "/pay", method="POST")
    clock.advance(1)
    assert not reaches(alice, "/pay", method="POST")
    assert reaches(alice, "/inbox")


def test_a_proof_opens_it_again(stale: Browser) -> None:
    page = stale.do(reached, path="/pay")
    assert (page.status, page.value) == (303, None)
    job = lambda visit: visit.reauthenticate()  # noqa: E731 - one line a step
    assert stale.do(job, path="/again", method="POST").error is None
    assert back(stale, next_of(page)) == "/pay"
    assert reaches(stale, "/pay")


def test_who_is_not_signed_in_is_for_the_app(site: Site) -> None:
    visitor = site.browser()
    assert reaches(visitor, "/pay")
    assert reaches(visitor, "/pay", method="POST")


def test_who_has_signed_out_or_timed_out_is_for_the_app(stale: Browser, clock: FakeClock) -> None:
    clock.advance(3 * 3600)
    reply = stale.do(lambda visit: visit.ended.reason.value, path="/pay")
    assert reply.value == "idle"


@pytest.mark.parametrize(("headers", "method"), [(None, "GET"), (POLL, "GET"), (FORM, "POST")])
def test_the_answer_is_that_of_require_fresh(
    stale: Browser, headers: dict[str, str] | None, method: str
) -> None:
    """Letter for letter, but for the way back: that names the page."""
    guarded = stale.do(reached, path="/pay", headers=headers, method=method)
    called = stale.do(
        lambda visit: visit.require_fresh(),
        path="/app",
        headers=headers,
        method=method,
        catch=False,
    )
    assert (guarded.status, guarded.body) == (called.status, called.body)
    assert isinstance(called.error, FreshLoginRequired)
    assert guarded.error is None
    if headers == POLL:
        assert json.loads(guarded.body) == {
            "type": "urn:gatehound:fresh-login-required",
            "title": "Unauthorized",
            "status": 401,
            "detail": "This needs a recent sign-in. Please sign in again.",
            "max_age": 600.0,
            "step_up_url": "/again",
        }


def test_without_a_page_it_is_a_401(make_site: MakeSite, clock: FakeClock) -> None:
    alice = make_site(**fresh(web={})).browser()
    alice.login()
    clock.advance(601)
    assert alice.do(reached, path="/pay").status == 401


def test_a_role_may_ask_for_less(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(**fresh(roles={"admin": {"fresh_for": "60s"}}))
    alice, admin = site.browser(), site.browser()
    alice.login()
    admin.login("ada", roles=("admin",))
    clock.advance(61)
    assert reaches(alice, "/pay")
    reply = admin.do(reached, path="/pay", headers=POLL)
    assert json.loads(reply.body)["max_age"] == 60.0


@pytest.mark.parametrize(
    "path",
    [
        *("/pay", "/pay/", "//pay", "/./pay", "/x/../pay", "/pay//", "/pay/.", "/\\pay"),
        *("/%70ay", "/x/..%2fpay", "/.//pay"),
    ],
)
def test_as_any_server_may_read_it(stale: Browser, path: str) -> None:
    assert not reaches(stale, path, headers=POLL)


@pytest.mark.parametrize("path", ["/", "/pays", "/Pay", "/x/pay", "/pay/x", "/pay.html"])
def test_other_paths(stale: Browser, path: str) -> None:
    assert reaches(stale, path)


def test_patterns_with_methods(make_site: MakeSite, clock: FakeClock) -> None:
    alice = make_site(**fresh("POST /mail", "GET /export/*")).browser()
    alice.login()
    clock.advance(601)
    assert reaches(alice, "/mail")
    assert not reaches(alice, "/mail", method="POST")
    assert not reaches(alice, "/export/a")
    assert not reaches(alice, "/export/a", method="HEAD")  # most apps serve it as they do GET
    assert reaches(alice, "/export/a", method="POST")


def test_the_step_up_page_asks_nobody(make_site: MakeSite, clock: FakeClock) -> None:
    """Or it would send everybody to itself."""
    web = {"step_up_url": "/account/again"}
    alice = make_site(**fresh("/account/*", "/logout", web=web)).browser()
    alice.login()
    clock.advance(601)
    assert reaches(alice, "/account/again")
    assert reaches(alice, "/account/again/totp", method="POST")
    assert not reaches(alice, "/account/againx")
    assert not reaches(alice, "/logout")  # named here, so `step_up_open` does not open it


def test_a_prefix_is_part_of_the_path(make_site: MakeSite, clock: FakeClock) -> None:
    alice = make_site(**fresh("/app/pay")).browser()
    alice.login()
    clock.advance(601)
    app, site = alice.site.app, alice.site

    def wsgi(environ: Any, start: Any) -> Any:
        return app({**environ, "SCRIPT_NAME": "/app"}, start)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/app", "path": "/app" + scope["path"]}, receive, send)

    site.app = asgi if site.world == "asgi" else wsgi
    assert not reaches(alice, "/pay")


def test_a_websocket_too(site: Site, stale: Browser) -> None:
    called, sent = asyncio.run(handshake(site, stale, "/pay"))
    assert called == []
    assert sent[0]["status"] == 401
    assert json.loads(sent[1]["body"])["type"] == "urn:gatehound:fresh-login-required"


# --- when nobody can say whether it is fresh ---


@pytest.mark.parametrize(
    ("policy", "status", "value"),
    [("deny", 503, None), ("stale_ok", 503, None), ("anonymous", 200, "reached")],
)
def test_an_outage(
    make_site: MakeSite, store: Store, policy: str, status: int, value: str | None
) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, **fresh(outage={"policy": policy})).browser()
    alice.login()
    alice.see()
    visitor = alice.site.browser()
    faulty.go_down()
    reply = alice.do(reached, path="/pay", headers=POLL)
    assert (reply.status, reply.value) == (status, value)
    assert reaches(alice, "/inbox")
    assert reaches(visitor, "/pay")
    faulty.heal()
    assert reaches(alice, "/pay")


def test_an_outage_is_told_as_to_who_reads(make_site: MakeSite, store: Store) -> None:
    faulty = FaultyStore(store)
    alice = make_site(over=faulty, **fresh()).browser()
    alice.login()
    faulty.go_down()
    guarded = alice.do(reached, path="/pay", headers=POLL)
    read = alice.do(lambda visit: visit.user_id, path="/app", headers=POLL, catch=False)
    assert isinstance(read.error, StoreUnavailable)
    assert (guarded.status, guarded.body, guarded.header("retry-after")) == (503, read.body, "5")


def test_a_secret_that_was_replaced_a_moment_ago(site: Site) -> None:
    alice, late = site.browser(), site.browser()
    alice.login()
    late.cookies = dict(alice.cookies)
    alice.call("rotate")
    guarded = late.do(reached, path="/pay", headers=POLL)
    read = late.do(lambda visit: visit.user_id, path="/app", headers=POLL, catch=False)
    assert isinstance(read.error, SessionSuperseded)
    assert (guarded.status, guarded.value, guarded.body) == (401, None, read.body)


def test_the_secret_before_a_rotation_is_not_fresh(make_site: MakeSite, clock: FakeClock) -> None:
    settings = fresh(session={"rotate_every": "5m", "fresh_for": "10m"})
    site = make_site(**settings)
    alice, late = site.browser(), site.browser()
    alice.login()
    late.cookies = dict(alice.cookies)
    clock.advance(300)
    assert reaches(alice)
    assert reaches(alice, "/pay")
    assert late.do(lambda visit: visit.user_id).value == "alice"
    assert not reaches(late, "/pay")


# --- what it costs ---


def test_without_such_paths_nothing_is_looked_at(
    make_site: MakeSite, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("looked at")

    monkeypatch.setattr(StepUp, "demand", fail)
    site = make_site(web={"step_up_url": "/again"}, detection={"mode": "step-up"})
    alice = site.browser()
    alice.login()
    clock.advance(3000)
    assert reaches(alice, "/pay")
    assert reaches(site.browser(), "/pay")


def test_the_way_back_has_the_query(stale: Browser) -> None:
    with as_sent(stale.site, path="/pay", query=b"to=bob&sum=1"):
        value = next_of(stale.do(reached))
    assert back(stale, value) == "/pay?to=bob&sum=1"
