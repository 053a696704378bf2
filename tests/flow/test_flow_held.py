"""Of a flood the log of the store has a count: when, once, through outages, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import Site, run

from gatehound import Event, Visit
from gatehound.stores.answer import EventQuery
from gatehound.stores.base import Store
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
FAILED = ("login_failed",)


@pytest.fixture
def faulty(store: Store) -> FaultyStore:
    return FaultyStore(store)


@pytest.fixture
def now(site: Site) -> FakeClock:
    """The clock of floods, which is none of the store's."""
    clock = FakeClock()
    site.guard._events._monotonic = clock
    return clock


@pytest.fixture
def site(make_site: MakeSite, faulty: FaultyStore) -> Site:
    return make_site(over=faulty)


def fail(site: Site, times: int) -> None:
    async def later(visit: Visit) -> None:
        for _ in range(times):
            await visit.login_failed("ann", "wrong")

    def job(visit: Any) -> Any:
        if isinstance(visit, Visit):
            return later(visit)
        for _ in range(times):
            visit.login_failed("ann", "wrong")
        return None

    result = site.browser().do(job, method="POST")
    assert (result.status, result.error) == (200, None)


def do(site: Site, what: Callable[[Any], Any]) -> Any:
    """Call the guard as its world does."""
    if site.world == "wsgi":
        return what(site.guard.sync)
    return asyncio.run(what(site.guard))


def written(store: Store) -> list[object]:
    """What the log has of failed logins, the oldest first: None, or the count of the rest."""
    page = run(store.events(EventQuery(names=FAILED, limit=500)))
    return [one.detail.get("count") for one in reversed(page.events)]


def test_the_next_failed_login_after_the_window_writes_the_count(
    site: Site, store: Store, now: FakeClock, events: list[Event]
) -> None:
    fail(site, 150)
    assert written(store) == [None] * 60
    now.advance(60)
    fail(site, 1)
    assert written(store) == [None] * 60 + [90, None]
    told = [one for one in events if one.name == "login_failed"]
    assert [one.detail.get("count") for one in told] == [None] * 60 + [90, None]
    fail(site, 1)
    now.advance(60)
    fail(site, 1)  # nothing was held back since, so there is nothing more to write
    assert written(store) == [None] * 60 + [90, None, None, None]


def test_whatever_is_told_next_writes_it(site: Site, store: Store, now: FakeClock) -> None:
    fail(site, 62)
    now.advance(61)
    do(site, lambda guard: guard.disable_user("bob"))
    assert written(store)[-2:] == [None, 2]


def test_the_overview_has_all_of_it(site: Site, store: Store, now: FakeClock) -> None:
    fail(site, 150)
    now.advance(60)
    tally = do(site, lambda guard: guard.tally())
    assert sum(tally.counts["failed"].values()) == 150


def test_it_waits_while_the_store_is_down_and_is_added_up(
    site: Site, store: Store, faulty: FaultyStore, now: FakeClock, events: list[Event]
) -> None:
    fail(site, 70)
    now.advance(60)
    faulty.fail("append", times=2)
    fail(site, 65)  # the count fails, with the line after it; then the count of nothing yet
    now.advance(60)
    fail(site, 1)
    assert sum(count for count in written(store) if isinstance(count, int)) == 15
    assert sum(one.detail.get("count", 0) for one in events if one.name in FAILED) == 15  # type: ignore[misc]  # a count


def test_a_count_that_no_store_takes_raises_nowhere(
    site: Site, faulty: FaultyStore, now: FakeClock, store: Store
) -> None:
    fail(site, 61)
    now.advance(60)
    faulty.fail("append", times=1)
    do(site, lambda guard: guard.close())
    assert written(store) == [None] * 60
    do(site, lambda guard: guard.close())
    assert written(store) == [None] * 60 + [1]


def test_closing_writes_what_is_held(site: Site, store: Store, events: list[Event]) -> None:
    fail(site, 100)
    do(site, lambda guard: guard.close())
    assert written(store) == [None] * 60 + [40]
    assert [one.detail.get("count") for one in events][-1] == 40
    do(site, lambda guard: guard.close())
    assert written(store) == [None] * 60 + [40]


def test_what_strangers_make_stays_out_of_the_store(
    site: Site, store: Store, faulty: FaultyStore, now: FakeClock, events: list[Event]
) -> None:
    for _ in range(5):
        browser = site.browser()
        browser.cookies["__Host-gatehound"] = "forged"
        browser.do(lambda visit: None)
    now.advance(60)
    fail(site, 1)
    do(site, lambda guard: guard.close())
    forged = [one.detail.get("count") for one in events if one.name == "token_forged"]
    assert forged == [None, 4]
    assert run(store.events(EventQuery(names=("token_forged",)))).events == ()


def test_an_ordinary_request_costs_no_command_more(
    site: Site, faulty: FaultyStore, now: FakeClock
) -> None:
    browser = site.browser()
    browser.login("ann")
    fail(site, 100)
    now.advance(60)
    faulty.calls.clear()
    browser.do(lambda visit: None)
    assert "append" not in faulty.calls
