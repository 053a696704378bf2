"""Data of visitors: made by the first write, carried over on request, and signing nobody in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flow_kit import POLL, SECRET, Site, each

from gatehound import Event, FreshLoginRequired, Session, StoreUnavailable, UsageError
from gatehound._sync import run_sync
from gatehound.stores.answer import NewSession, Refused
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock, FaultyStore

MakeSite = Callable[..., Site]
NAME, COOKIE = "__Host-gatehound", "__Host-gatehound-anonymous"
DAY = 86400


def visitors(site: Site) -> list[Session]:
    """What the store holds of visitors, as an admin finds it."""
    return list(site.guard.sync.search(anonymous=True).sessions)


@pytest.fixture
def faulty(store: Store) -> FaultyStore:
    return FaultyStore(store)


def test_reading_makes_nothing_and_asks_nothing(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    visitor = site.browser()
    before = len(faulty.calls)
    reply = visitor.do(
        each(
            lambda visit: visit.anonymous.get("cart", "empty"),
            lambda visit: visit.anonymous.all(),
            lambda visit: visit.anonymous.delete("cart"),
        )
    )
    assert reply.value == ["empty", {}, False]
    assert reply.all("set-cookie") == []
    assert (reply.header("cache-control"), reply.header("vary")) == ("private", "Cookie")
    assert len(faulty.calls) == before


def test_the_first_write_makes_a_session_and_sends_its_cookie(
    site: Site, events: list[Event]
) -> None:
    visitor = site.browser()
    reply = visitor.do(lambda visit: visit.anonymous.set("cart", ["tea"]))
    assert reply.value is True
    line = reply.header("set-cookie")
    assert line.startswith(f"{COOKIE}=")
    assert line.endswith("; Max-Age=1209600; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert reply.header("cache-control") == "private, no-store"
    later = visitor.do(
        each(
            lambda visit: visit.anonymous.get("cart"),
            lambda visit: visit.anonymous.incr("visits", 2),
            lambda visit: visit.anonymous.all(),
            lambda visit: visit.anonymous.delete("cart"),
            lambda visit: visit.anonymous.all(),
        )
    )
    assert later.value == [["tea"], 2, {"cart": ["tea"], "visits": 2}, True, {"visits": 2}]
    assert later.all("set-cookie") == []
    assert events == []


def test_it_signs_nobody_in_and_keeps_nothing_of_the_person(site: Site) -> None:
    visitor = site.browser()
    visitor.do(lambda visit: visit.anonymous.set("cart", 1))
    seen = visitor.see()
    assert (seen.user_id, seen.session, seen.ended) == (None, None, None)
    assert visitor.do(lambda visit: visit.sessions()).value == []
    assert visitor.call("logout") is False
    error = visitor.do(lambda visit: visit.data.set("a", 1)).error
    assert isinstance(error, FreshLoginRequired)
    (one,) = site.guard.sync.search(anonymous=True).sessions
    assert (one.user_id, one.address, one.agent, one.methods) == ("", None, "", ())
    with pytest.raises(UsageError, match="user id"):
        visitor.call("login", one.user_id)


def test_a_file_keeps_them_too(make_site: MakeSite, tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    visitor = make_site(guard={"store": None}, store=f"sqlite:///{path}").browser()
    assert visitor.do(lambda visit: visit.anonymous.set("cart", 1)).value is True
    assert visitor.do(lambda visit: visit.anonymous.incr("cart")).value == 2
    assert [one.user_id for one in visitors(visitor.site)] == [""]
    visitor.login("alice", carry=("cart",))
    assert visitor.do(lambda visit: visit.data.all()).value == {"cart": 2}
    assert visitors(visitor.site) == []
    visitor.site.guard.sync.close()


def test_visitors_are_not_among_users(site: Site, clock: FakeClock, events: list[Event]) -> None:
    for _ in range(3):
        site.browser().do(lambda visit: visit.anonymous.set("cart", 1))
    clock.advance(1)
    session = site.browser().login("alice")
    clock.advance(1)
    for _ in range(3):
        site.browser().do(lambda visit: visit.anonymous.set("cart", 1))
    admin = site.guard.sync
    found = admin.search(limit=2)
    assert [one.public_id for one in found.sessions] == [session.public_id]
    assert admin.search(limit=2, cursor=found.cursor).sessions == ()
    assert len(admin.search(anonymous=True).sessions) == 6
    assert admin.terminate_where(created_before=9e9).count == 1
    assert admin.terminate_where(created_before=9e9, dry_run=False).count == 1
    assert len(admin.search(anonymous=True).sessions) == 6
    assert admin.terminate_everyone() == 6
    assert len(events) == 3


def test_a_search_among_visitors_alone_comes_to_an_end(site: Site, clock: FakeClock) -> None:
    site.browser().login("alice")
    clock.advance(1)
    for _ in range(25):
        site.browser().do(lambda visit: visit.anonymous.set("cart", 1))
    first = site.guard.sync.search(limit=1)
    assert first.sessions == ()
    assert first.cursor
    (one,) = site.guard.sync.search(limit=1, cursor=first.cursor).sessions
    assert one.user_id == "alice"


class Slow(MemoryStore):
    """A store that lets others run while it creates."""

    async def create(self, new: NewSession, event: Event | None = None) -> Any:
        await asyncio.sleep(0)
        return await super().create(new, event)


@pytest.mark.parametrize("world", ["asgi"])  # in WSGI a request does one thing at a time
def test_writes_at_the_same_time_in_one_request_make_one_session(
    make_site: MakeSite, clock: FakeClock
) -> None:
    async def together(visit: Any) -> Any:
        data = visit.anonymous
        return await asyncio.gather(*(data.incr("n") for _ in range(3)))

    site = make_site(over=Slow(clock=clock))
    visitor = site.browser()
    reply = visitor.do(together)
    assert sorted(reply.value) == [1, 2, 3]
    assert len(reply.all("set-cookie")) == len(visitors(site)) == 1
    assert visitor.do(lambda visit: visit.anonymous.get("n")).value == 3


def test_what_cannot_be_stored_makes_no_session(site: Site) -> None:
    visitor = site.browser()
    for job in (
        lambda visit: visit.anonymous.set("big", "x" * 70_000),
        lambda visit: visit.anonymous.set("", 1),
        lambda visit: visit.anonymous.incr("x" * 129),
    ):
        assert isinstance(visitor.do(job).error, ValueError)
    assert visitors(site) == []


def test_a_first_write_after_the_response_has_begun_is_the_apps_fault(site: Site) -> None:
    visits: list[Any] = []
    visitor = site.browser()
    visitor.do(lambda visit: visits.append(visit))
    with pytest.raises(UsageError, match="before the first byte"):
        run_sync(_write(visits[-1]))
    assert visitors(site) == []


async def _write(visit: Any) -> None:
    """Write with no loop, whichever face it is: the memory store needs none."""
    await getattr(visit, "_target", visit).anonymous.set("a", 1)


# --- time ---


def test_it_ends_after_its_timeout_and_tells_nobody(
    make_site: MakeSite, clock: FakeClock, events: list[Event]
) -> None:
    site = make_site(session={"anonymous_timeout": "10d"})
    visitor = site.browser()
    visitor.do(lambda visit: visit.anonymous.set("cart", 1))
    clock.advance(10 * DAY - 1)
    assert visitor.do(lambda visit: visit.anonymous.get("cart")).value == 1
    clock.advance(1)
    assert visitor.do(lambda visit: visit.anonymous.get("cart")).value is None
    reply = visitor.do(lambda visit: visit.anonymous.set("cart", 2))
    assert "; Max-Age=864000; " in reply.header("set-cookie")
    clock.advance(10 * DAY)
    assert site.guard.sync.sweep() == 1
    assert events == []


def test_a_tightened_timeout_works_at_once(make_site: MakeSite, clock: FakeClock) -> None:
    visitor = make_site().browser()
    visitor.do(lambda visit: visit.anonymous.set("cart", 1))
    clock.advance(DAY)
    visitor.site = make_site(session={"anonymous_timeout": "1d"})
    assert visitor.do(lambda visit: visit.anonymous.get("cart")).value is None
    assert visitors(visitor.site) == []


def test_only_a_person_moves_its_last_activity(site: Site, clock: FakeClock) -> None:
    visitor = site.browser()
    visitor.do(lambda visit: visit.anonymous.set("cart", 1))

    def idle() -> float:
        (one,) = site.guard.sync.search(anonymous=True).sessions
        return clock() / 1000 - one.last_seen

    clock.advance(600)
    visitor.do(lambda visit: visit.anonymous.get("cart"), headers=POLL)
    assert idle() == 600
    visitor.do()  # a page that does not use it
    assert idle() == 600
    visitor.do(lambda visit: visit.anonymous.get("cart"))
    assert idle() == 0


# --- login ---


def test_a_login_carries_over_what_it_names_and_ends_the_rest(
    site: Site, events: list[Event]
) -> None:
    alice = site.browser()
    alice.do(
        each(
            lambda visit: visit.anonymous.set("cart", ["tea"]),
            lambda visit: visit.anonymous.set("seen", 9),
        )
    )
    old = dict(alice.cookies)
    alice.login("alice", carry=("cart", "colour"))
    assert alice.names == {NAME}
    assert alice.do(lambda visit: visit.data.all()).value == {"cart": ["tea"]}
    assert alice.do(lambda visit: visit.anonymous.all()).value == {}
    assert visitors(site) == []
    copy = site.browser()
    copy.cookies = old
    assert copy.do(lambda visit: visit.anonymous.all()).value == {}
    assert [event.name for event in events] == ["session_created"]


def test_without_carry_it_stays_as_it_is(site: Site) -> None:
    alice = site.browser()
    alice.do(lambda visit: visit.anonymous.set("cart", ["tea"]))
    session = alice.login("alice")
    assert alice.names == {NAME, COOKIE}
    assert alice.do(lambda visit: visit.data.all()).value == {}
    assert alice.do(lambda visit: visit.anonymous.get("cart")).value == ["tea"]
    (one,) = site.guard.sync.search(anonymous=True).sessions
    assert one.public_id != session.public_id
    alice.call("logout")
    assert alice.do(lambda visit: visit.anonymous.get("cart")).value == ["tea"]


def test_carry_where_there_is_nothing_to_carry(site: Site) -> None:
    alice = site.browser()
    alice.login("alice", carry=("cart",))
    assert alice.do(lambda visit: visit.data.all()).value == {}
    with pytest.raises(UsageError, match=r"carry: the text 'cart' given; write \('cart',\)"):
        alice.call("login", "alice", carry="cart")


def test_carry_in_the_request_that_wrote(site: Site) -> None:
    alice = site.browser()
    reply = alice.do(
        each(
            lambda visit: visit.anonymous.set("cart", 1),
            lambda visit: visit.login("alice", carry=("cart",)),
            lambda visit: visit.data.get("cart"),
            lambda visit: visit.anonymous.get("cart"),
        )
    )
    assert reply.error is None
    assert reply.value[2:] == [1, None]
    assert alice.names == {NAME}
    assert visitors(site) == []


def test_a_login_that_is_undone_leaves_the_visitor_their_data(site: Site) -> None:
    alice = site.browser()
    alice.do(lambda visit: visit.anonymous.set("cart", ["tea"]))
    reply = alice.do(lambda visit: visit.login("alice", carry=("cart",)), status=500)
    assert (reply.error, reply.all("set-cookie")) == (None, [])
    assert alice.do(lambda visit: visit.anonymous.get("cart")).value == ["tea"]
    assert site.guard.sync.sessions_of("alice") == []


@pytest.mark.parametrize("world", ["wsgi"])  # a start of ASGI cannot be taken back
@pytest.mark.parametrize("fails", ["start", "raise", "write", "return", "lazy"])
def test_carried_data_ends_where_the_response_cannot_be_replaced_any_more(
    site: Site, fails: str
) -> None:
    """PEP 3333: until the first byte a second start_response takes the place of the first."""
    alice = site.browser()
    alice.do(lambda visit: visit.anonymous.set("cart", ["tea"]))
    left: list[int] = []

    def app(environ: Any, start_response: Any) -> Any:
        environ["gatehound"].login("alice", carry=("cart",))
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        left.append(len(visitors(site)))
        if fails == "raise":
            raise ZeroDivisionError
        if fails == "write":
            write(b"a")
            left.append(len(visitors(site)))
            write(b"b")
        if fails == "start":
            error = ZeroDivisionError()
            exc_info = (type(error), error, None)
            start_response("500 Oh", [("Content-Type", "text/plain")], exc_info)
        return [b"app"]

    def lazy(environ: Any, start_response: Any) -> Any:
        yield from app(environ, start_response)

    real, site.app.app = site.app.app, lazy if fails == "lazy" else app
    if fails == "raise":
        with pytest.raises(ZeroDivisionError):
            alice.do()
    else:
        reply = alice.do()
        assert (COOKIE in alice.cookies) == (fails == "start"), reply.headers
    site.app.app = real
    stays = fails in ("start", "raise")
    assert left == {"write": [1, 0], "lazy": [0]}.get(fails, [1])
    assert len(visitors(site)) == int(stays)
    assert len(site.guard.sync.sessions_of("alice")) == int(not stays)
    holder = "anonymous" if stays else "data"
    assert alice.do(lambda visit: getattr(visit, holder).get("cart")).value == ["tea"]


def test_the_limit_of_a_user_is_none_of_visitors(make_site: MakeSite) -> None:
    site = make_site(session={"max_per_user": 1, "on_limit": "deny"})
    for _ in range(3):
        assert site.browser().do(lambda visit: visit.anonymous.set("cart", 1)).value is True
    site.browser().login("alice")


# --- the store is down ---


@pytest.mark.parametrize("policy", ["deny", "anonymous", "stale_ok"])
def test_in_an_outage_reading_answers_503(
    make_site: MakeSite,
    faulty: FaultyStore,
    events: list[Event],
    policy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatehound.outage.QUIET", 0.0)
    site = make_site(over=faulty, outage={"policy": policy})
    visitor = site.browser()
    visitor.do(lambda visit: visit.anonymous.set("cart", 1))
    cookies = dict(visitor.cookies)
    faulty.go_down()
    for job in (
        lambda visit: visit.anonymous.get("cart"),
        lambda visit: visit.anonymous.set("cart", 2),
    ):
        reply = visitor.do(job, catch=False)
        assert isinstance(reply.error, StoreUnavailable)
        assert (reply.status, reply.all("set-cookie")) == (503, [])
    assert visitor.do().status == 200
    assert site.browser().do(lambda visit: visit.anonymous.get("cart", 0)).value == 0
    faulty.heal()
    assert visitor.cookies == cookies
    assert visitor.do(lambda visit: visit.anonymous.get("cart")).value == 1
    assert [event.name for event in events] == ["store_down", "store_up"]


def test_making_one_is_repeated_once(make_site: MakeSite, faulty: FaultyStore) -> None:
    site = make_site(over=faulty)
    visitor = site.browser()
    faulty.fail("create", when="after")
    assert visitor.do(lambda visit: visit.anonymous.set("cart", 1)).value is True
    assert len(visitors(site)) == 1
    faulty.fail("create", times=2)
    reply = site.browser().do(lambda visit: visit.anonymous.set("cart", 1), catch=False)
    assert (reply.status, reply.all("set-cookie")) == (503, [])


@pytest.mark.parametrize("call", ["load", "data_get", "data_set"])
def test_a_carry_that_fails_costs_neither_the_login_nor_the_data(
    make_site: MakeSite, faulty: FaultyStore, events: list[Event], call: str
) -> None:
    """Raising would tell the app that nobody is signed in, behind a cookie that says so."""
    site = make_site(over=faulty)
    alice = site.browser()
    alice.do(lambda visit: visit.anonymous.set("cart", 1))
    old = alice.cookies[COOKIE]
    faulty.fail(call)
    assert alice.login("alice", carry=("cart",)).user_id == "alice"
    assert [event.name for event in events] in (
        ["session_created", "store_down"],
        ["store_down", "session_created"],
    )
    assert alice.cookies[COOKIE] == old
    assert alice.see().user_id == "alice"
    assert alice.do(lambda visit: visit.anonymous.get("cart")).value == 1
    assert alice.do(lambda visit: visit.data.all()).value == {}
    assert len(visitors(site)) == 1


def test_a_carry_into_a_session_that_has_just_ended_keeps_the_data(
    make_site: MakeSite, faulty: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.do(lambda visit: visit.anonymous.set("cart", 1))

    async def too_late(alias: bytes, sid: bytes, values: Any) -> bool:
        return False

    monkeypatch.setattr(faulty, "data_set", too_late)
    alice.login("alice", carry=("cart",))
    assert alice.do(lambda visit: visit.anonymous.get("cart")).value == 1


def test_a_carried_session_that_cannot_be_ended_meets_its_timeout(
    make_site: MakeSite, faulty: FaultyStore, events: list[Event]
) -> None:
    site = make_site(over=faulty)
    alice = site.browser()
    alice.do(lambda visit: visit.anonymous.set("cart", 1))
    faulty.fail("revoke")
    alice.login("alice", carry=("cart",))
    assert alice.do(lambda visit: visit.data.get("cart")).value == 1
    assert alice.names == {NAME}
    assert len(visitors(site)) == 1  # it meets its timeout
    assert "store_down" in [event.name for event in events]


class Refusing(MemoryStore):
    """A store in which the name of a session is always taken."""

    async def create(self, new: NewSession, event: Event | None = None) -> Any:
        return Refused("sid", 1)


def test_a_refusal_is_an_outage_of_this_one_call(make_site: MakeSite, clock: FakeClock) -> None:
    site = make_site(over=Refusing(clock=clock))
    error = site.browser().do(lambda visit: visit.anonymous.set("cart", 1)).error
    assert isinstance(error, StoreUnavailable)
    assert "refused: sid" in str(error)


# --- cookie ---


def test_changed_cookie_attributes_reach_the_browser(make_site: MakeSite) -> None:
    visitor = make_site().browser()
    visitor.do(lambda visit: visit.anonymous.set("cart", 1))
    visitor.site = make_site(cookie={"samesite": "strict"})
    assert visitor.do().all("set-cookie") == []
    reply = visitor.do(lambda visit: visit.anonymous.get("cart"))
    assert (reply.value, reply.header("set-cookie")[-15:]) == (1, "SameSite=Strict")
    again = visitor.do(lambda visit: visit.anonymous.get("cart"))
    assert (again.value, again.all("set-cookie")) == (1, [])


def test_a_cookie_of_an_unknown_session_is_answered_with_a_new_one(
    make_site: MakeSite, clock: FakeClock
) -> None:
    visitor = make_site().browser()
    visitor.do(lambda visit: visit.anonymous.set("cart", 1))
    old = visitor.cookies[COOKIE]
    visitor.site = make_site(over=MemoryStore(clock=clock))
    assert visitor.do(lambda visit: visit.anonymous.get("cart")).value is None
    assert visitor.do(lambda visit: visit.anonymous.set("cart", 2)).value is True
    assert visitor.cookies[COOKIE] != old
    assert SECRET not in visitor.cookies[COOKIE]
