"""A request like one before takes the short way, and what comes of it is the same.

Oracle: another middleware around the same guard, which remembers nothing and examines. Not
checked here: what the short way costs (benchmarks/instructions.py), and trips (tests/speed).
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flow_kit import CHROME, FIREFOX, NAVIGATE, POLL, Browser, Site, look

from gatehound import Event, Guard, StoreUnavailable
from gatehound.passage import Passage
from gatehound.scope import ScopeRequest
from gatehound.shortcut import Shortcut
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import FLAGGED, STEP_UP
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
NAME = "__Host-gatehound"
PREFETCH = {**NAVIGATE, "sec-purpose": "prefetch"}
MINUTE = 60


@contextmanager
def taken() -> Iterator[list[bool]]:
    """List which requests took the short way to its end, of those that began it."""
    finish, found = Shortcut.finish, []

    def noting(self: Shortcut, begun: Any, replies: Any) -> Passage | None:
        passage = finish(self, begun, replies)
        found.append(passage is not None)
        return passage

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shortcut, "finish", noting)
        yield found


def known(site: Site, user: str = "alice", **options: Any) -> Browser:
    """Return a browser that is signed in, and whose requests take the short way."""
    browser = site.browser()
    browser.login(user, **options)
    for headers in (NAVIGATE, POLL):
        for _ in range(2):
            browser.see(headers=headers)
    with taken() as found:
        browser.see()
        browser.see(headers=POLL)
    assert found == [True, True]
    return browser


def other(site: Site) -> Site:
    """Return the same site behind a middleware that remembers nothing."""
    return Site(site.world, site.guard)


def test_what_the_app_sees_is_the_same(site: Site) -> None:
    alice = known(site, roles=("editor",))
    fresh = Browser(other(site), alice.agent, alice.address, dict(alice.cookies))
    for headers in (NAVIGATE, POLL, PREFETCH):
        for path in ("/", "/heartbeat", "/" + "x" * 300):
            ours, theirs = (one.see(headers=headers, path=path) for one in (alice, fresh))
            assert ours == theirs


def fields(passage: Passage) -> dict[str, Any]:
    left_out = ("request", "client_ip")
    names = [name for name in passage.__struct_fields__ if name not in left_out]
    told = {name: getattr(passage, name) for name in names}
    return {**told, "address": passage.client_ip.packed, "reason": passage.client_ip.reason}


def test_every_attribute_of_the_passage_is_the_same(site: Site) -> None:
    alice = known(site)
    job: Any = lambda visit: fields(visit._passage)  # noqa: E731 - of one line, and used twice
    fresh = Browser(other(site), alice.agent, alice.address, dict(alice.cookies))
    for headers in (NAVIGATE, POLL):
        with taken() as found:
            ours = alice.do(job, headers=headers).value
        assert found == [True]
        assert ours == fresh.do(job, headers=headers).value


@pytest.mark.parametrize("change", ["agent", "address", "twice", "forged", "none", "lowered"])
def test_another_request_is_examined(site: Site, change: str, events: list[Event]) -> None:
    alice = known(site)
    value = alice.cookies[NAME]
    lines = {
        "twice": f"{NAME}={value}; {NAME}={value}",
        "forged": f"{NAME}={value[:-9]}{'A' * 9}",
        "none": "theme=dark",
        "lowered": f"x{NAME}={value}",
    }
    headers = {**NAVIGATE, "cookie": lines.get(change, f"{NAME}={value}")}
    agent = FIREFOX if change == "agent" else CHROME
    address = "203.0.113.99" if change == "address" else alice.address
    with taken() as found:
        ours = Browser(site, agent, address).do(look, headers=headers).value
    assert found == []
    theirs = Browser(other(site), agent, address).do(look, headers=headers).value
    assert (ours.user_id, ours.action) == (theirs.user_id, theirs.action)
    assert (ours.user_id is None) == (change in ("forged", "none", "lowered"))
    told = [event.name for event in events]
    assert told.count("token_forged") == (change == "forged")  # a flood is told of once


@pytest.mark.parametrize("line", ["{}", "a=b; {}", "{}; a=b", "a=b; {}; c=d"])
def test_other_cookies_are_no_matter(site: Site, line: str) -> None:
    alice = known(site)
    headers = {**NAVIGATE, "cookie": line.format(f"{NAME}={alice.cookies[NAME]}")}
    with taken() as found:
        assert alice.see(headers=headers).user_id == "alice"
    assert found == [True]


def test_another_port_of_the_peer_is_no_matter(make_site: MakeSite) -> None:
    """Under ASGI it is another place, which is the same address."""
    site = make_site(client_ip={"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.1"]})
    alice = site.browser(address="10.0.0.1")
    sent = {**NAVIGATE, "x-forwarded-for": "203.0.113.7"}
    alice.do(lambda visit: visit.login("alice"), headers=sent, method="POST")
    for _ in range(3):
        alice.see(headers=sent)
    again = {**NAVIGATE, "x-forwarded-for": "198.51.100.1, 203.0.113.7"}
    with taken() as found:
        seen = [alice.see(headers=one).address for one in (sent, again)]
    assert (found, seen) == ([True, True], ["203.0.113.7"] * 2)


def test_nothing_is_kept_of_a_place_that_a_secret_or_long_text_is_part_of(
    make_site: MakeSite,
) -> None:
    secret = "abcdefghijklmnopqrstuvwxyz012345"
    by_secret = {
        "mode": "x-forwarded-for",
        "trusted_proxies": ["10.0.0.1"],
        "edge_secret": ["x-edge", secret],
    }
    by_line = {"mode": "x-forwarded-for", "trusted_proxies": ["10.0.0.1"]}
    long = ", ".join(["198.51.100.1"] * 30 + ["203.0.113.7"])
    for client_ip, line in ((by_secret, "203.0.113.7"), (by_line, long)):
        site = make_site(client_ip=client_ip)
        alice = site.browser(address="10.0.0.1")
        sent = {**NAVIGATE, "x-edge": secret, "x-forwarded-for": line}
        alice.do(lambda visit: visit.login("alice"), headers=sent, method="POST")
        for _ in range(3):
            alice.see(headers=sent)
        with taken() as found:
            assert alice.see(headers=sent).address == "203.0.113.7"
        assert found == [True]
        (trail,) = site.app._shortcut._trails.values()
        assert trail.place is None
        assert trail.client_ip is None  # it holds the text that it was read from


def test_a_long_agent_is_not_kept(site: Site) -> None:
    alice = site.browser(agent="Mozilla/5.0 " + "x" * 1000)
    alice.login()
    for _ in range(3):
        alice.see()
    assert not site.app._shortcut._trails


def test_sessions_that_are_remembered_are_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatehound.shortcut.SIZE", 2)
    for number in range(4):
        known(site, f"user{number}")
    assert len(site.app._shortcut._trails) == 2


# --- what the store says decides ---


@pytest.mark.parametrize("how", ["terminate_user", "disable_user", "everyone", "elsewhere"])
def test_the_very_next_request_knows_of_an_end(site: Site, how: str) -> None:
    alice = known(site)
    admin = site.guard.sync
    if how == "elsewhere":
        twin = Browser(other(site), alice.agent, alice.address, dict(alice.cookies))
        assert twin.call("logout")
    elif how == "everyone":
        admin.terminate_everyone()
    else:
        getattr(admin, how)("alice")
    with taken() as found:
        seen = alice.see()
    assert seen.user_id is None
    assert seen.ended is not None
    assert found == [False]
    assert not site.app._shortcut._trails


def test_the_time_of_a_session_runs_out_on_the_short_way(
    make_site: MakeSite, clock: FakeClock
) -> None:
    site = make_site(session={"idle_timeout": "30m", "absolute_timeout": "2h"})
    alice = known(site)
    clock.advance(30 * MINUTE - 1)
    assert alice.see(headers=POLL).user_id == "alice"
    clock.advance(1)
    assert alice.see(headers=POLL).user_id is None
    alice = known(site)
    clock.advance(2 * 60 * MINUTE)
    assert alice.see().user_id is None


def test_a_person_slides_the_session(site: Site, clock: FakeClock) -> None:
    alice = known(site)
    for _ in range(40):
        clock.advance(MINUTE)
        assert alice.see().user_id == "alice"
    clock.advance(1)
    with taken() as found:
        alice.see()
        alice.see()
    assert found == [False, True]  # what a slide has left is read off the next reply


def test_a_new_secret_is_due_on_the_short_way(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(session={"rotate_every": "10m"})
    alice = known(site)
    before = alice.cookies[NAME]
    for _ in range(10):
        clock.advance(MINUTE)
        alice.see(headers=POLL)
    assert alice.cookies[NAME] == before
    alice.see()
    assert alice.cookies[NAME] != before
    old = Browser(site, alice.agent, alice.address, {NAME: before})
    with taken() as found:
        assert old.see().user_id == "alice"  # graced
    assert found == [False]


def test_a_cookie_of_other_attributes_is_sent_anew(make_site: MakeSite) -> None:
    alice = known(make_site())
    moved = make_site(cookie={"samesite": "strict"})
    again = Browser(moved, alice.agent, alice.address, dict(alice.cookies))
    for _ in range(3):
        again.see(headers=POLL)  # on an answer to which no cookie is sent
    assert again.do(look).set_cookies


def test_an_outage_on_the_short_way_is_one_as_elsewhere(
    make_site: MakeSite, store: Store, events: list[Event]
) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty)
    alice = known(site)
    faulty.fail("load")
    assert isinstance(alice.do(look).error, StoreUnavailable)
    with taken() as found:
        assert alice.see().user_id == "alice"
    assert found == [False]  # the store is told to be up again first
    assert "store_down" in [event.name for event in events]


def test_a_recent_session_is_kept_on_the_short_way(make_site: MakeSite, store: Store) -> None:
    faulty = FaultyStore(store)
    site = make_site(over=faulty, outage={"policy": "stale_ok", "stale_for": "30s"})
    alice = known(site)
    recent = site.guard.recent
    assert recent is not None
    recent._kept.clear()
    alice.see()
    faulty.fail("load")
    assert alice.see(headers=POLL).user_id == "alice"


# --- what stands against a session, and who looks at it ---


def test_a_flagged_session_is_looked_at_each_time(site: Site) -> None:
    alice = known(site)
    session = alice.see().session
    thief = Browser(site, "curl/8.5.0", "198.51.100.9", dict(alice.cookies))
    thief.see()
    with taken() as found:
        assert alice.see().session.flagged
        assert alice.see().session.flagged
    assert session.public_id == alice.see().session.public_id
    assert found == [False, False]


def test_lists_that_change_are_asked_anew(site: Site) -> None:
    alice = known(site)
    site.guard.detection._know_no_contexts()
    with taken() as found:
        alice.see()
        alice.see()
    assert found == [False, True]


def test_lists_that_change_while_it_remembers_are_asked_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread reads new ones, between the look at the context and the trail."""
    alice = known(site)
    opens = Shortcut._opens

    def meanwhile(self: Shortcut, value: Any, ticket: Any) -> bool:
        site.guard.detection._know_no_contexts()
        return opens(self, value, ticket)

    with monkeypatch.context() as patch:
        patch.setattr(Shortcut, "_opens", meanwhile)
        site.guard.detection._know_no_contexts()
        alice.see()
    with taken() as found:
        alice.see()
    assert found == [False]


@pytest.mark.parametrize("name", ["is_due", "crowd"])
def test_a_crowd_is_looked_at(site: Site, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = known(site)
    monkeypatch.setattr(site.guard.detection.population, name, object())
    with taken() as found:
        alice.do()
    assert found == [False]


def test_a_session_that_turns_is_looked_at(site: Site) -> None:
    alice = known(site)
    (trail,) = site.app._shortcut._trails.values()
    turns = site.guard.detection.turns
    turns.note(trail.record.sid, b"others", b"newest", 1)
    with taken() as found:
        alice.see()
    assert found == [False]


def test_the_mode_off_takes_it_too(make_site: MakeSite) -> None:
    site = make_site(detection={"mode": "off"})
    alice = known(site)
    alice.address = "198.51.100.1"
    assert alice.see().user_id == "alice"


# --- who does not take it ---


def test_where_the_store_has_to_be_asked_otherwise_it_is_examined(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = known(site)
    monkeypatch.setattr(site.app._shortcut._quick, "ask", lambda question, touch: None)
    with taken() as found:
        assert alice.see().user_id == "alice"
    assert found == []


def test_ignored_paths_look_for_no_session(make_site: MakeSite) -> None:
    site = make_site(ignore_paths=["/static/"])
    alice = known(site)
    assert alice.see(path="/static/app.css").user_id is None


def test_a_guard_of_another_class_examines(make_guard: Callable[..., Guard], world: str) -> None:
    guard = make_guard()
    guard.__class__ = type("Guard", (Guard,), {})
    site = Site(world, guard)
    alice = site.browser()
    alice.login()
    for _ in range(3):
        alice.see()
    assert not site.app._shortcut._trails


def test_an_outer_middleware_that_knows_the_address_is_believed(site: Site) -> None:
    from gatehound.clientip.asgi import ClientIPMiddleware as Asgi
    from gatehound.clientip.wsgi import ClientIPMiddleware as Wsgi

    shortcut = site.app._shortcut
    site.app = (Asgi if site.world == "asgi" else Wsgi)(site.app, site.guard.resolver)
    alice = site.browser()
    alice.login()
    for _ in range(3):
        alice.see()
    (trail,) = shortcut._trails.values()
    assert trail.place is None
    with taken() as found:
        assert alice.see().address == alice.address
    assert found == [True]


def test_headers_that_came_twice_are_read_as_ever(site: Site) -> None:
    alice = known(site)
    headers = {**NAVIGATE, "accept": "text/html\ntext/plain"}
    with taken() as found:
        assert alice.see(headers=headers).user_id == "alice"
    assert found == [True]
    scope: dict[str, Any] = {"type": "http", "method": "get", "path": "/", "headers": []}
    scope["headers"] = [(b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"user-agent", b"x")]
    request = ScopeRequest(scope)
    assert (request.line, request.cookie, request.method) == (b"a=b; c=d", "a=b; c=d", "GET")
    assert request.place((b"x-forwarded-for",)) == (b"x",)


def test_a_passage_and_a_visit_show_nothing_of_what_is_in_them(site: Site) -> None:
    alice = known(site)

    def job(visit: Any) -> list[Any]:
        (trail,) = site.app._shortcut._trails.values()
        shown = (visit, visit.sync, visit._passage, trail, trail.question)
        weakref.ref(visit._passage)
        return [[repr(one), one.__rich_repr__()] for one in shown]

    for text, parts in alice.do(job).value:
        assert "object at" in text
        assert parts == []
    gc.collect()


def test_who_gives_up_waiting_leaves_nothing_behind(
    make_guard: Callable[..., Guard], clock: FakeClock
) -> None:
    class Slow(MemoryStore):
        suspends = True
        waits = False

        async def load(self, *args: Any, **options: Any) -> Any:
            if self.waits:
                await asyncio.sleep(60)
            return await super().load(*args, **options)

    store = Slow(clock=clock)
    site = Site("asgi", make_guard(over=store))
    alice = known(site)
    store.waits = True

    async def given_up() -> None:
        sent = {"host": "localhost", "user-agent": alice.agent, **NAVIGATE}
        sent["cookie"] = f"{NAME}={alice.cookies[NAME]}"
        async with asyncio.timeout(0.01):
            await site._serve_asgi("GET", "/", sent, alice.address)

    with pytest.raises(TimeoutError):
        asyncio.run(given_up())
    store.waits = False
    with taken() as found:
        assert alice.see().user_id == "alice"
    assert found == [True]


# --- who writes at the same time ---


@pytest.fixture
def sqlite_site(make_site: MakeSite, world: str, tmp_path: Path, clock: FakeClock) -> Site:
    store = SQLiteStore(tmp_path / "sessions.db", suspends=world == "asgi", clock=clock)
    return make_site(over=store)


WRITES = {
    "roles": "roles = '[]'",
    "step-up": f"flags = flags | {STEP_UP | FLAGGED}",
    "sign-in": "authenticated = 1",
    "level": "aal = 0",
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("headers", [NAVIGATE, POLL], ids=["page", "poll"])
def test_what_is_written_before_it_is_remembered_is_seen(
    sqlite_site: Site, tmp_path: Path, write: str, headers: dict[str, str]
) -> None:
    alice = known(sqlite_site, roles=("admin",))
    sqlite_site.app._shortcut._trails.clear()
    remember = Shortcut._remember

    def late(self: Shortcut, passage: Passage, replies: list[Any] | None) -> None:
        with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as db:
            db.execute(f"UPDATE sessions SET {WRITES[write]}")  # noqa: S608 - of the table above
        remember(self, passage, replies)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shortcut, "_remember", late)
        alice.see(headers=headers)
    fresh = Browser(other(sqlite_site), alice.agent, alice.address, dict(alice.cookies))
    for _ in range(3):
        ours, theirs = (one.do(look, headers=headers) for one in (alice, fresh))
        assert (ours.status, ours.value) == (theirs.status, theirs.value)
