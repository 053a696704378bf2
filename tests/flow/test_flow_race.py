"""Somebody else writes in the very moment: evidence, ends and rotations that race."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flow_kit import CHROME, Site

from gatehound import Action, EndReason, Event
from gatehound.stores.answer import Memory, Remembered
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
SCRIPT = "python-requests/2.32"


class Contended(MemoryStore):
    """A store in which a rival process writes evidence, or ends the session, just before us."""

    rivals = 0
    ending = False

    async def remember(
        self, alias: bytes, sid: bytes, secret_hash: bytes, **change: Any
    ) -> Remembered:
        if self.ending:
            await self.revoke(alias, only=sid, reason=EndReason.ADMIN)
        elif self.rivals and isinstance(change.get("memory"), Memory):
            self.rivals -= 1
            stored, _ = await self.recall(alias, sid)
            await super().remember(alias, sid, secret_hash, memory=stored)
        return await super().remember(alias, sid, secret_hash, **change)


@pytest.fixture
def store(clock: FakeClock) -> Contended:
    return Contended(clock=clock)


def flags(events: list[Event]) -> int:
    return [event.name for event in events].count("session_flagged")


@pytest.mark.parametrize("rivals", [1, 2, 7])
def test_who_loses_the_race_judges_again_and_loses_no_flag(
    site: Site, store: Contended, events: list[Event], rivals: int
) -> None:
    alice = site.browser()
    alice.login()
    thief = site.browser(SCRIPT, "192.0.2.66")
    thief.cookies = dict(alice.cookies)
    store.rivals = rivals
    assert thief.see().action >= Action.FLAG
    assert store.rivals == 0
    assert alice.call("sessions")[0].flagged
    assert flags(events) == 1


def test_who_always_loses_still_knows_what_to_do(
    site: Site, store: Contended, events: list[Event]
) -> None:
    alice = site.browser()
    alice.login()
    thief = site.browser(SCRIPT, "192.0.2.66")
    thief.cookies = dict(alice.cookies)
    store.rivals = 8
    assert thief.see().action >= Action.FLAG
    assert flags(events) == 0  # nothing was written, so nothing is told
    assert thief.see().action >= Action.FLAG
    assert flags(events) == 1


def test_a_session_that_ends_while_it_is_judged_is_over(site: Site, store: Contended) -> None:
    alice = site.browser()
    alice.login()
    alice.address = "198.51.100.4"
    store.ending = True
    assert alice.see().user_id is None
    assert alice.see().ended.reason.value == "admin"


@pytest.mark.parametrize(("rivals", "cleared"), [(1, True), (7, True), (8, False)])
def test_clearing_a_flag_in_a_race(
    site: Site, store: Contended, rivals: int, cleared: bool
) -> None:
    alice = site.browser(CHROME)
    session = alice.login()
    thief = site.browser(SCRIPT, "192.0.2.66")
    thief.cookies = dict(alice.cookies)
    thief.see()
    store.rivals = rivals
    assert site.guard.sync.clear_flag("alice", session.public_id) is cleared
    assert site.guard.sync.sessions_of("alice")[0].flagged is not cleared


@pytest.mark.parametrize(("faults", "cookies"), [(1, 1), (2, 0)])
def test_a_routine_rotation_that_meets_an_outage_costs_nothing(
    make_site: MakeSite,
    store: Contended,
    clock: FakeClock,
    events: list[Event],
    faults: int,
    cookies: int,
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty, session={"rotate_every": "30m"})
    alice = site.browser()
    alice.login()
    clock.advance(1800)
    faulty.fail("rotate", times=faults)
    reply = alice.do(lambda visit: visit.user_id)
    assert (reply.status, reply.value) == (200, "alice")
    assert len(reply.all("set-cookie")) == cookies
    assert ("store_down" in [event.name for event in events]) == (cookies == 0)
    assert alice.see().user_id == "alice"


def test_two_page_loads_rotate_once(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    site = make_site(session={"rotate_every": "30m"})
    alice, tab = site.browser(), site.browser()
    alice.login()
    tab.cookies = dict(alice.cookies)
    clock.advance(1800)

    def meanwhile(visit: Any) -> Any:
        """The other tab loads while this page is being made: WSGI needs no loop for it."""
        other = Site("wsgi", site.guard).browser()
        other.cookies = dict(tab.cookies)
        assert len(other.do().all("set-cookie")) == 1

    reply = alice.do(meanwhile)
    assert reply.error is None
    assert reply.all("set-cookie") == []
    assert [event.name for event in events].count("session_rotated") == 1
    assert alice.see().user_id == "alice"


def test_parallel_rotations_one_wins_and_the_other_is_told(
    make_site: MakeSite, store: Contended
) -> None:
    site = make_site()
    alice = site.browser()
    alice.login()
    old = dict(alice.cookies)

    def late(visit: Any) -> Any:
        other = Site("wsgi", site.guard).browser()
        other.cookies = dict(old)
        other.call("rotate")
        return visit.rotate()

    reply = alice.do(late, catch=False)
    assert reply.status == 403
    assert b"another request changed this session first" in reply.body


def test_failed_logins_beyond_a_rate_are_counted(
    site: Site, store: Contended, events: list[Event]
) -> None:
    for _ in range(70):
        site.browser().call("login_failed", "alice", "wrong password")
    told = [event.name for event in events if event.name != "login_guessing"]
    assert told == ["login_failed"] * 60
    assert len(site.guard.sync.events(names=["login_failed"], limit=1000).events) == 60
