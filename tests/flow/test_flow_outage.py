"""The store is down: who is served, who is told to wait, and nobody is signed out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flow_kit import IDENTITY, POLL, SECRET, Site

from gatehound import Event, Guard, LoginRefused, SettingsError, StoreUnavailable
from gatehound.errors import StoreCorrupt, StoreMismatch
from gatehound.stores.answer import Meta
from gatehound.stores.base import Store
from gatehound.testing import FaultyStore

MakeSite = Callable[..., Site]


@pytest.fixture(autouse=True)
def hours(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the outage's clock says, one entry a look: by default an hour passes at each."""
    given: list[float] = []
    looks = itertools.count(0.0, 3600.0)
    monkeypatch.setattr(
        "gatehound.outage.time",
        SimpleNamespace(monotonic=lambda: given.pop(0) if given else next(looks)),
    )
    return given


@pytest.fixture
def faulty(store: Store) -> FaultyStore:
    return FaultyStore(store)


def test_reading_the_session_answers_503_and_the_cookie_stays(
    make_site: MakeSite, faulty: FaultyStore, events: list[Event]
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    cookies = dict(alice.cookies)
    for headers, kind in ((None, "text/html; charset=utf-8"), (POLL, "application/problem+json")):
        faulty.fail()
        reply = alice.do(lambda visit: visit.user_id, headers=headers, catch=False)
        assert (reply.status, reply.header("retry-after")) == (503, "5")
        assert reply.header("content-type") == kind
        assert reply.header("cache-control") == "private, no-store"
        assert b"Nobody has been signed out" in reply.body
        assert reply.all("set-cookie") == []
    faulty.fail()
    framework = alice.do(lambda visit: visit.user_id, status=500)  # it swallowed our exception
    assert isinstance(framework.error, StoreUnavailable)
    assert framework.status == 503
    assert alice.cookies == cookies
    assert alice.see().user_id == "alice"
    assert [e.name for e in events if e.name.startswith("store_")] == ["store_down", "store_up"]


def test_a_store_that_fails_now_and_then_is_told_of_once(
    make_site: MakeSite, faulty: FaultyStore, events: list[Event], hours: list[float]
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    hours += [0.0, 0.5, 1.0, 2.9, 3.1]  # fails, answers, fails, answers, answers
    for fails in (True, False, True, False, False):
        if fails:
            faulty.fail()
        alice.do(lambda visit: visit.user_id, status=200)
    assert hours == []
    assert [e.name for e in events if e.name.startswith("store_")] == ["store_down", "store_up"]
    assert alice.see().user_id == "alice"


def test_an_app_that_does_not_read_it_is_served(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    faulty.fail()
    assert alice.do().status == 200
    stranger = site.browser()
    faulty.fail()
    assert stranger.see().user_id is None  # no cookie of ours: nothing is asked


def test_a_500_of_the_app_itself_stays_its_own(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    assert site.browser().do(status=500).body == b"app"
    faulty.fail()
    alice = site.browser()
    assert alice.do(status=500).body == b"app"


def test_anonymous_says_that_nobody_is_signed_in(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty, outage={"policy": "anonymous"})
    alice = site.browser()
    alice.login()
    faulty.fail()
    assert alice.see().user_id is None
    assert alice.see().user_id == "alice"


def test_a_login_is_repeated_once_and_leaves_one_session(
    make_site: MakeSite, faulty: FaultyStore
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    faulty.fail("create", when="after")
    alice.login()
    assert len(alice.call("sessions")) == 1
    faulty.fail("create", times=2)
    with pytest.raises(StoreUnavailable):
        site.browser().call("login", "alice")


@pytest.mark.parametrize("policy", ["deny", "anonymous", "stale_ok"])
@pytest.mark.parametrize("user", ["alice", "bob"])
def test_a_login_after_an_outage_ends_what_the_browser_had(
    make_site: MakeSite, faulty: FaultyStore, policy: str, user: str
) -> None:
    """The store was down as the request began, and is back: else two would live on."""
    site = make_site(over=faulty, outage={"policy": policy})
    browser = site.browser()
    browser.login("alice")
    copy = site.browser()
    copy.cookies = dict(browser.cookies)
    faulty.fail("load")
    assert browser.login(user).user_id == user
    assert [one.user_id for one in site.guard.sync.search().sessions] == [user]
    assert copy.see().ended.reason.value == "replaced"
    assert browser.see().user_id == user


def test_a_login_that_is_refused_after_an_outage_leaves_the_session(
    make_site: MakeSite, faulty: FaultyStore
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    site.guard.sync.disable_user("bob")
    faulty.fail("load")
    assert isinstance(alice.do(lambda visit: visit.login("bob")).error, LoginRefused)
    assert alice.see().user_id == "alice"


def test_a_login_that_cannot_end_another_users_session_signs_nobody_in(
    make_site: MakeSite, faulty: FaultyStore
) -> None:
    """An app that catches the error and answers 200 must not have signed in unknowingly."""
    site = make_site(over=faulty)
    browser = site.browser()
    browser.login("alice")
    cookies = dict(browser.cookies)
    faulty.fail("revoke")
    reply = browser.do(lambda visit: visit.login("bob"), method="POST")
    assert isinstance(reply.error, StoreUnavailable)
    assert (reply.status, reply.all("set-cookie")) == (200, [])
    assert site.guard.sync.sessions_of("bob") == []
    assert browser.cookies == cookies
    assert browser.see().user_id == "alice"


def test_a_login_that_is_tried_again_in_the_same_request_ends_what_was_there(
    make_site: MakeSite, faulty: FaultyStore
) -> None:
    site = make_site(over=faulty)
    browser = site.browser()
    browser.login("alice")
    faulty.fail("revoke")

    async def twice(visit: Any) -> Any:
        with pytest.raises(StoreUnavailable):
            await visit.login("bob")
        return await visit.login("bob")

    def plain(visit: Any) -> Any:
        with pytest.raises(StoreUnavailable):
            visit.login("bob")
        return visit.login("bob")

    reply = browser.do(twice if site.world == "asgi" else plain, method="POST")
    assert reply.error is None
    assert [one.user_id for one in site.guard.sync.search().sessions] == ["bob"]
    assert browser.see().user_id == "bob"


def test_a_rotation_is_repeated_once(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    faulty.fail("rotate", when="after")
    alice.call("rotate")
    assert alice.see().user_id == "alice"
    faulty.fail("rotate", times=2)
    with pytest.raises(StoreUnavailable):
        alice.call("rotate")


def test_nonsense_from_the_store_is_an_outage_too(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    faulty.fail("load", error=StoreCorrupt("a reply was mixed up"))
    assert alice.do(lambda visit: visit.user_id, catch=False).status == 503


def test_a_forged_cookie_costs_no_command(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    value = alice.cookies["__Host-gatehound"]
    before = len(faulty.calls)
    for forged in (value[:-2] + "x0", "B" + value[1:], value.swapcase()):
        alice.cookies = {"__Host-gatehound": forged}
        assert alice.see().user_id is None
    assert len(faulty.calls) == before


def test_an_unchanged_request_is_one_call(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    alice.see()
    before = len(faulty.calls)
    alice.see()
    assert faulty.calls[before:] == ["load"]


def test_an_exception_after_a_login_leaves_no_session(make_site: MakeSite, world: str) -> None:
    site = make_site()
    alice = site.browser()
    swallowed = alice.do(lambda visit: visit.login("alice"), status=500)
    assert swallowed.error is None
    assert swallowed.all("set-cookie") == []
    assert site.guard.sync.sessions_of("alice") == []

    async def crash(visit: Any) -> None:
        await visit.login("alice")
        raise ZeroDivisionError

    def crash_plain(visit: Any) -> None:
        visit.login("alice")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        alice.do(crash if world == "asgi" else crash_plain, catch=False)
    assert site.guard.sync.sessions_of("alice") == []


def test_a_store_that_fails_while_a_login_is_undone(
    make_site: MakeSite, faulty: FaultyStore, events: list[Event]
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    faulty.fail("revoke")
    reply = alice.do(lambda visit: visit.login("alice"), status=500)
    assert (reply.status, reply.all("set-cookie")) == (500, [])
    assert events[-1].name == "store_down"


def test_an_unreachable_store_is_found_at_construction(store: Store) -> None:
    faulty = FaultyStore(store)
    faulty.fail("prepare")
    settings = {"secret_keys": [SECRET], "identity_key": IDENTITY}
    with pytest.raises(SettingsError, match=r"^store: .*start the store, correct the URL"):
        Guard(settings, store=faulty)
    faulty.fail("prepare")
    guard = Guard({**settings, "check_store_at_start": False}, store=faulty)
    assert guard.sync.sessions_of("alice") == []


def test_a_store_of_another_identity_key_is_refused(store: Store, world: str) -> None:
    settings = {"secret_keys": [SECRET], "identity_key": IDENTITY}
    alice = Site(world, Guard(settings, store=store, sinks=[])).browser()
    alice.login()
    with pytest.raises(StoreMismatch, match="identity_key"):
        Guard({**settings, "identity_key": "j" * 40}, store=store)
    late = Guard(
        {**settings, "identity_key": "j" * 40, "check_store_at_start": False}, store=store, sinks=[]
    )
    alice.site = Site(world, late)
    assert alice.do(lambda visit: visit.user_id, catch=False).status == 503
    with pytest.raises(StoreMismatch, match="identity_key"):
        alice.site.browser().call("login", "bob")


def test_meta_never_shows_the_identity_key(store: Store) -> None:
    guard = Guard({"secret_keys": [SECRET], "identity_key": IDENTITY}, store=store)
    assert isinstance(guard.meta, Meta)
    assert IDENTITY not in repr(guard.meta)


def test_logout_never_pretends(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    faulty.fail("load")
    reply = alice.do(lambda visit: visit.logout(), status=500)
    assert (reply.status, reply.all("set-cookie")) == (503, [])
    faulty.fail("revoke")
    reply = alice.do(lambda visit: visit.logout(), catch=False)
    assert (reply.status, reply.all("set-cookie")) == (503, [])
    assert alice.see().user_id == "alice"


def test_a_login_in_an_outage_answers_503(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    faulty.fail("create", times=2)
    assert site.browser().do(lambda visit: visit.login("alice"), catch=False).status == 503


def test_a_login_stands_without_its_evidence(
    make_site: MakeSite, faulty: FaultyStore, events: list[Event]
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    faulty.fail("recall")
    alice.login()
    assert alice.see().user_id == "alice"
    assert [e.name for e in events] == ["session_created", "store_down", "store_up"]


def test_an_event_that_cannot_be_written_is_still_told(
    make_site: MakeSite, faulty: FaultyStore, events: list[Event]
) -> None:
    site = make_site(over=faulty)
    faulty.fail("append")
    site.browser().call("login_failed", "alice", "wrong password")
    assert [e.name for e in events] == ["login_failed"]
    assert events[0].at > 0


def test_an_answer_of_the_apps_own_stays(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    faulty.fail("load")
    reply = alice.do(lambda visit: visit.user_id, status=502)
    assert (reply.status, reply.body) == (502, b"app")
