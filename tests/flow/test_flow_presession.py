"""Forms before sign-in: a cookie for 15 minutes, and tokens that are bound to it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from flow_kit import OTHER_SECRET, SECRET, Browser, Job, Site, each

from gatehound import Event, UsageError
from gatehound.stores.base import Store
from gatehound.testing import FaultyStore

MakeSite = Callable[..., Site]
NAME, PRE = "__Host-gatehound", "__Host-gatehound-pre"


class Wall:
    """What time.time() says: pre-sessions ask no store, so the store's clock is not theirs."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(time, "time", wall)
    return wall


def token_of(browser: Browser, action: str = "in") -> str:
    return str(browser.do(lambda visit: visit.csrf_token(action)).value)


def check(token: str, action: str = "in") -> Job:
    return lambda visit: visit.check_csrf(token, action)


def test_the_form_of_a_visitor_has_a_token_and_its_page_a_cookie(site: Site) -> None:
    visitor = site.browser()
    reply = visitor.do(lambda visit: visit.csrf_token("in"))
    line = reply.header("set-cookie")
    assert line.startswith(f"{PRE}=")
    assert line.endswith("; Max-Age=900; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert (reply.header("cache-control"), reply.header("vary")) == ("private, no-store", "Cookie")
    checked = visitor.do(check(reply.value), method="POST")
    assert (checked.value, checked.all("set-cookie")) == (True, [])
    assert (checked.header("cache-control"), checked.header("vary")) == ("private", "Cookie")
    for text, action in ((reply.value, "out"), (reply.value + "x", "in"), ("", "in"), ("é", "in")):
        assert visitor.do(check(text, action)).value is False


def test_a_token_is_of_no_use_elsewhere(site: Site) -> None:
    mallory, victim, bare = site.browser(), site.browser(), site.browser()
    token = token_of(mallory)
    token_of(victim)
    assert victim.do(check(token)).value is False
    assert bare.do(check(token)).value is False
    assert mallory.do(check(token)).value is True


def test_several_forms_of_one_page_share_one_cookie(site: Site) -> None:
    visitor = site.browser()
    reply = visitor.do(
        each(lambda visit: visit.csrf_token("a"), lambda visit: visit.csrf_token("b"))
    )
    assert len(reply.all("set-cookie")) == 1
    for token, action in zip(reply.value, "ab", strict=True):
        assert visitor.do(check(token, action)).value is True


def test_a_later_tab_leaves_the_form_of_an_earlier_one_valid(site: Site, wall: Wall) -> None:
    visitor = site.browser()
    first = token_of(visitor)
    for waited, sets in ((449, 0), (2, 1), (440, 0), (440, 1)):
        wall.now += waited
        reply = visitor.do(lambda visit: visit.csrf_token("in"))
        assert len(reply.all("set-cookie")) == sets, waited
        assert visitor.do(check(first)).value is True
        assert visitor.do(check(reply.value)).value is True
    assert "; Max-Age=900; " in reply.header("set-cookie")


def test_a_presession_is_over_after_15_minutes(site: Site, wall: Wall, events: list[Event]) -> None:
    visitor = site.browser()
    token = token_of(visitor)
    old = dict(visitor.cookies)
    wall.now += 899
    assert visitor.do(check(token)).value is True
    wall.now += 1
    assert visitor.do(check(token)).value is False
    assert visitor.do(check(token_of(visitor))).value is True
    assert visitor.cookies != old
    assert visitor.do(check(token)).value is False  # a new one, and no longer life of the old
    assert events == []


def test_a_login_takes_the_cookie_away_and_the_tokens_with_it(site: Site) -> None:
    alice = site.browser()
    token = token_of(alice)
    before = dict(alice.cookies)
    reply = alice.do(lambda visit: visit.login("alice"), method="POST")
    assert [line.partition("=")[0] for line in reply.set_cookies] == [NAME, PRE]
    assert alice.names == {NAME}
    assert alice.do(check(token)).value is False
    alice.cookies |= before  # a browser that did not obey
    assert alice.do(check(token)).value is False
    own = token_of(alice)
    assert alice.do(check(own)).value is True
    alice.cookies = before  # signed out elsewhere, and the form of then is still open
    assert alice.do(check(own)).value is False


def test_a_login_without_a_presession_sends_one_cookie(site: Site) -> None:
    assert len(site.browser().do(lambda visit: visit.login("alice")).set_cookies) == 1


def test_in_the_request_of_a_login_tokens_are_those_of_the_session(site: Site) -> None:
    alice = site.browser()
    reply = alice.do(
        each(
            lambda visit: visit.csrf_token("in"),
            lambda visit: visit.login("alice"),
            lambda visit: visit.csrf_token("in"),
        )
    )
    before, _, after = reply.value
    assert "Max-Age=0" in reply.all("set-cookie")[0]
    assert alice.names == {NAME}
    assert alice.do(check(before)).value is False
    assert alice.do(check(after)).value is True


def test_a_login_that_is_undone_leaves_the_form_as_it_was(site: Site) -> None:
    alice = site.browser()
    token = token_of(alice)
    reply = alice.do(lambda visit: visit.login("alice"), method="POST", status=500)
    assert reply.all("set-cookie") == []
    assert alice.do(check(token)).value is True


def test_nothing_is_asked_of_the_store(make_site: MakeSite, store: Store) -> None:
    faulty = FaultyStore(store)
    visitor = make_site(over=faulty).browser()
    before = len(faulty.calls)
    assert visitor.do(check(token_of(visitor))).value is True
    assert len(faulty.calls) == before


def test_keys_rotate(make_site: MakeSite) -> None:
    visitor = make_site().browser()
    token = token_of(visitor)
    visitor.site = make_site(secret_keys=[OTHER_SECRET, SECRET])
    assert visitor.do(check(token)).value is True
    visitor.site = make_site(secret_keys=[OTHER_SECRET])
    assert visitor.do(check(token)).value is False


def test_another_namespace_opens_none(make_site: MakeSite) -> None:
    visitor = make_site().browser()
    token = token_of(visitor)
    visitor.site = make_site(namespace="blog", check_store_at_start=False)
    assert visitor.do(check(token)).value is False


def test_a_cookie_that_can_no_longer_be_sent(site: Site, wall: Wall) -> None:
    """Templates that stream: what the browser has already serves, and nothing new can."""
    visitor = site.browser()
    visits = []

    def keep(visit: object) -> None:
        visits.append(visit)

    visitor.do(keep)
    with pytest.raises(UsageError, match="before the first byte"):
        visits[-1].csrf_token()  # type: ignore[attr-defined]  # a visit of either face
    token_of(visitor)
    wall.now += 800
    visitor.do(keep)
    token = visits[-1].csrf_token("in")  # type: ignore[attr-defined]  # a visit of either face
    assert visitor.do(check(token)).value is True


def test_on_ignored_paths_everybody_is_a_visitor(make_site: MakeSite) -> None:
    alice = make_site(ignore_paths=["/static/"]).browser()
    alice.login()
    token = alice.do(lambda visit: visit.csrf_token("in"), path="/static/form").value
    assert alice.do(check(token), path="/static/post").value is True
    assert alice.do(check(token)).value is False


def test_tokens_of_a_session_and_of_a_visitor_are_signed_apart(site: Site) -> None:
    """Even over the same bytes: what one form proves, another kind of form must not."""
    guard, owner = site.guard, b"x" * 32
    assert guard.csrf.check(guard.csrf.make(owner, "in"), owner, "in")
    assert not guard.csrf.check(guard.presession_csrf.make(owner, "in"), owner, "in")
    assert not guard.presession_csrf.check(guard.csrf.make(owner, "in"), owner, "in")
