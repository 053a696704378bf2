"""Mode observe: nothing is done, and `guard.observed()` says what would have been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import CHROME, FIREFOX, POLL, Browser, Site, run

from gatehound import Action, Event
from gatehound.detection.would import WAYS
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
SCRIPT = "python-requests/2.32"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Safari/605.1.15"
)
NONE = dict.fromkeys(WAYS, 0)


def counts(**reached: int) -> dict[str, int]:
    return {**NONE, **reached}


FLAGGED = counts(flag=1, flag_strict=1)
ASKED = counts(flag=1, flag_strict=1, notify=1, step_up=1)


def observed(site: Site) -> Any:
    """What both faces of the guard answer."""
    plain = site.guard.sync.observed()
    assert run(site.guard.observed()) == plain
    return plain


def thief_of(browser: Browser, agent: str = SCRIPT, address: str = "192.0.2.66") -> Browser:
    thief = browser.site.browser(agent, address)
    thief.cookies = dict(browser.cookies)
    return thief


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def test_before_anything_happened(site: Site) -> None:
    assert observed(site) == NONE
    site.browser().login()
    assert observed(site) == NONE


@pytest.mark.parametrize("mode", ["observe", "flag", "step-up", "strict"])
def test_the_counts_are_the_same_in_every_mode(
    make_site: MakeSite, events: list[Event], mode: str
) -> None:
    site = make_site(detection={"mode": mode}, web={"step_up_url": "/again"})
    script, stranger = site.browser(), site.browser()
    script.login("script")
    thief_of(script).do()  # 5.3 points without a database
    stranger.login("stranger")
    thief_of(stranger, SAFARI).do()  # 8.8
    assert observed(site) == counts(flag=2, flag_strict=2, notify=1, step_up=1)
    assert ("session_flagged" in names(events)) is (mode != "observe")


def test_observing_flags_nothing_and_tells_nobody(make_site: MakeSite, events: list[Event]) -> None:
    site = make_site(detection={"mode": "observe"})
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SAFARI)
    seen = thief.see()
    assert (seen.action, seen.user_id) == (Action.RECORD, "alice")
    assert seen.signals
    for browser in (alice, thief):
        assert not browser.see().session.flagged
        assert browser.do(lambda visit: visit.require_fresh()).error is None
    assert site.guard.sync.search(flagged=True).sessions == ()
    told = {"session_flagged", "session_cleared", "step_up_required", "session_terminated"}
    assert not told & set(names(events))
    assert not any(event.notify for event in events)
    assert observed(site) == ASKED


@pytest.mark.parametrize("mode", ["observe", "flag"])
def test_a_session_counts_once_though_its_thief_sends_25_requests(
    make_site: MakeSite, clock: FakeClock, mode: str
) -> None:
    site = make_site(detection={"mode": mode})
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SAFARI)
    for n in range(25):
        clock.advance(7)
        thief.see(headers=POLL if n % 2 else None)
        thief.agent, thief.address = (SAFARI, FIREFOX)[n % 2], f"192.0.{n}.66"
        if n % 5 == 0:
            alice.see()
    assert observed(site) == ASKED


def test_each_session_counts(make_site: MakeSite) -> None:
    site = make_site(detection={"mode": "observe"})
    for user in ("alice", "bob", "alice"):
        browser = site.browser()
        browser.login(user)
        thief_of(browser).do()
    assert observed(site) == counts(flag=3, flag_strict=3)


@pytest.mark.parametrize("mode", ["observe", "flag"])
def test_another_theft_of_the_same_session_counts_again(
    make_site: MakeSite, clock: FakeClock, mode: str
) -> None:
    """Three hours on, all evidence has faded; only its owner came, whose context is not judged."""
    site = make_site(detection={"mode": mode})
    alice = site.browser()
    alice.login()
    thief_of(alice).do()
    for _ in range(12):
        clock.advance(900)
        alice.see()
    thief_of(alice, SAFARI, "198.18.0.1").do()
    assert observed(site)["flag"] == 2


def test_a_day_begins_at_midnight_utc(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(detection={"mode": "observe"})
    clock.advance(ms=86_400_000 - clock() % 86_400_000 - 1)
    alice = site.browser()
    alice.login()
    thief_of(alice).do()
    assert observed(site) == FLAGGED
    clock.advance(ms=1)
    assert observed(site) == NONE
    bob = site.browser()
    bob.login("bob")
    thief_of(bob).do()
    assert observed(site) == FLAGGED


def test_admins_are_counted_where_they_would_have_been_flagged(make_site: MakeSite) -> None:
    site = make_site(detection={"mode": "observe"}, policy={"sensitive_discount": 1.2})
    admin = site.browser()
    admin.login("root", roles=("admin",))
    thief_of(admin).do()  # 5.3 and 1.2 of caution
    assert observed(site) == ASKED


def test_what_would_have_ended(make_site: MakeSite) -> None:
    site = make_site(detection={"mode": "observe"}, policy={"terminate": 8.0})
    alice = site.browser()
    alice.login()
    thief = thief_of(alice, SAFARI)
    assert thief.see().user_id == "alice"
    assert observed(site) == {**ASKED, "terminate": 1}
    assert alice.see().user_id == "alice"


def test_mode_off_counts_nothing(make_site: MakeSite) -> None:
    site = make_site(detection={"mode": "off"})
    alice = site.browser()
    alice.login()
    thief_of(alice, SAFARI).do()
    assert observed(site) == NONE


def test_a_normal_day_counts_nothing(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(detection={"mode": "observe"})
    alice = site.browser(CHROME)
    alice.login()
    for address in ("203.0.113.9", "198.51.100.4", "203.0.113.7", "2001:db8::1", "198.51.100.4"):
        clock.advance(600)
        alice.address = address
        alice.see()
    alice.agent = CHROME.replace("126.0", "127.0")
    alice.see()
    assert observed(site) == NONE


def test_a_store_that_fails_at_counting_costs_the_count_and_nothing_else(
    make_site: MakeSite, store: Store, events: list[Event]
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty)
    alice = site.browser()
    alice.login()
    faulty.fail("count")
    stolen = thief_of(alice).see()
    assert (stolen.user_id, stolen.action) == ("alice", Action.FLAG)
    assert alice.see().session.flagged
    assert names(events).count("session_flagged") == 1
