"""The tail of 256 streams, shelves, and what is counted: trips, places, servers that go back."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis_kit import Body, new, trips

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.model import Event
from gatehound.stores.answer import EventQuery, Memory, NewSession, Query, Tail
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.keys import BUCKETS, Keys, bucket_of_text
from gatehound.stores.redis.tail import SKEW, read_place, write_place
from gatehound.testing import FakeClock

# --- places ---

moments = st.integers(0, 2**41)
ids = st.tuples(moments, st.integers(0, 2**53 - 1))


@pytest.mark.slow
@given(since=moments, told=st.dictionaries(st.integers(0, BUCKETS - 1), ids))
def test_a_place_says_what_was_written(since: int, told: dict[int, tuple[int, int]]) -> None:
    place = write_place(since, told)
    assert read_place(place) == (since, told)
    assert place.isascii()
    assert place.replace("-", "").replace("_", "").isalnum()


def test_a_place_of_all_buckets_is_some_kilobytes() -> None:
    now = 1_800_000_000_000
    told = {bucket: (now - bucket * 10**7, bucket) for bucket in range(BUCKETS)}
    assert len(write_place(0, told)) < 4096


@pytest.mark.slow
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_a_made_up_place_is_none_or_a_place(made_up: bytes | str) -> None:
    """The oracle is only that nothing is raised, and that what is read can be written."""
    text = made_up if isinstance(made_up, str) else base64.urlsafe_b64encode(made_up).decode()
    found = read_place(text)
    if found is not None:
        assert read_place(write_place(*found)) == found


@pytest.mark.parametrize(
    "value",
    [
        [2, 0, 0, {}],
        [1, -1, 0, {}],
        [1, 0, 2**53, {}],
        [1, 0, 0, {256: [1, 1]}],
        [1, 0, 0, {-1: [1, 1]}],
        [1, 0, 0, {0: [1]}],
        [1, 0, 0, {0: [-1, 1]}],
        [1, 0, 0, {0: [1, 2**53]}],
        [1, 0, 0, {"0": [1, 1]}],
        [1, 0, 0, []],
        {},
        7,
    ],
)
def test_a_place_of_another_shape_is_none(value: Any) -> None:
    text = base64.urlsafe_b64encode(msgspec.msgpack.encode(value)).rstrip(b"=").decode()
    assert read_place(text) is None


# --- trips ---


async def write(store: RedisStore, *reasons: str, user_id: str | None = "anna") -> None:
    for reason in reasons:
        await store.append(Event("login_failed", user_id, reason=reason))


def reasons(tail: Tail) -> list[str]:
    return [event.reason for event in tail.events]


def test_a_poll_where_nothing_is_new_is_one_trip(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        for user in range(300):
            await write(store, str(user), user_id=f"user {user}")
        begun = await store.tail("", since=0)
        assert len(begun.events) == 300
        with trips(store) as sent:
            assert (await store.tail(begun.place)) == Tail((), begun.place)
        assert sent == ["+".join(["XRANGE"] * BUCKETS)]
        with trips(store) as sent:
            await store.tail("")
        assert sent == ["+".join(["XREVRANGE"] * BUCKETS)]

    play(body)


def test_a_flood_of_one_user_is_read_in_few_trips(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        begun = await store.tail("")
        bucket = store._keys.buckets[bucket_of_text("anna")] + b"ev"
        now = 1000 * admin.time()[0]
        for number in range(1000):
            fields = {"n": "login_failed", "u": "anna", "p": "", "r": number, "j": "", "a": ""}
            admin.xadd(bucket, fields, id=f"{now}-{number + 1}")
        with trips(store) as sent:
            tail = await store.tail(begun.place, limit=500)
        assert (reasons(tail), tail.more) == ([str(n) for n in range(500)], True)
        assert len(sent) <= 9
        assert set(sent[1:]) == {"XRANGE"}
        rest = await store.tail(tail.place, limit=500)
        assert (reasons(rest), rest.more) == ([str(n) for n in range(500, 1000)], False)

    play(body)


# --- streams that were set back ---


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def timed(url: str, admin: Any, clock: FakeClock) -> Iterator[RedisStore]:
    store = RedisStore(url, namespace="own", suspends=False, clock=clock)
    yield store
    run_sync(store.close())


def told(store: RedisStore, place: str, **options: Any) -> Tail:
    return run_sync(store.tail(place, **options))


@pytest.mark.parametrize("wait", [0, SKEW - 1, SKEW, 10 * SKEW])
def test_an_emptied_server_skips_nothing_that_comes(
    timed: RedisStore, clock: FakeClock, admin: Any, wait: int
) -> None:
    run_sync(write(timed, "1", "2", "3"))
    place = told(timed, "", since=0).place
    admin.flushall()
    clock.advance(ms=wait)
    again = told(timed, place)
    assert reasons(again) == []
    run_sync(write(timed, "4"))
    assert reasons(told(timed, again.place)) == ["4"]


def test_one_stream_that_was_set_back_begins_anew_and_the_others_go_on(
    timed: RedisStore, admin: Any
) -> None:
    run_sync(write(timed, "a1", "a2", "a3"))
    run_sync(write(timed, "b1", user_id="berit"))
    place = told(timed, "", since=0).place
    stream = timed._keys.buckets[bucket_of_text("anna")] + b"ev"
    admin.delete(stream)
    run_sync(write(timed, "lost"))  # what a failover brought with it: nobody knows of when
    run_sync(write(timed, "b2", user_id="berit"))
    with_moment = told(timed, place, since=0)
    assert sorted(reasons(with_moment)) == ["b2", "lost"]
    anew = told(timed, place)
    assert reasons(anew) == ["b2"]
    run_sync(write(timed, "a4"))
    assert reasons(told(timed, anew.place)) == ["a4"]
    assert reasons(told(timed, with_moment.place)) == ["a4"]


def test_deleted_events_are_no_step_back(timed: RedisStore, admin: Any) -> None:
    run_sync(write(timed, *"123"))
    seen = told(timed, "", since=0)
    stream = timed._keys.buckets[bucket_of_text("anna")] + b"ev"
    admin.xdel(stream, *(entry for entry, _ in admin.xrange(stream)))
    for number in range(6):
        run_sync(write(timed, f"new {number}"))
    admin.script_flush()
    tail = told(timed, seen.place)
    assert reasons(tail) == [f"new {number}" for number in range(6)]


# --- shelves ---


def test_shelves_survive_a_flush_of_scripts(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        for version in range(3):
            admin.script_flush()
            assert await store.put("work", Memory(b"x" * version, version))
            admin.script_flush()
            assert (await store.shelf("work")) == Memory(b"x" * version, version + 1)
            admin.script_flush()
            assert not await store.put("work", Memory(b"late", version))
        admin.script_flush()
        assert await store.living() == 0
        assert admin.keys("*shelf*") == [b"gh:own:shelf:work"]

    play(body)


def test_a_shelf_that_is_too_short_is_corrupt(store: RedisStore, admin: Any) -> None:
    admin.set("gh:own:shelf:work", b"1234")
    with pytest.raises(StoreCorrupt, match="shelf work is too short"):
        run_sync(store.shelf("work"))


WHOLE = {"n": "login_failed", "u": "anna", "p": "", "r": "2", "j": "", "a": ""}


@pytest.mark.parametrize(
    "change",
    [
        {"j": "x"},
        {"j": "[]"},
        {"j": '{"a":7}'},
        {"j": '{"d":[]}'},
        {"j": '{"n":null}'},
        {"a": "noon"},
        {"u": b"\xff"},
        {"n": None},
    ],
)
def test_an_event_that_cannot_be_read_says_so_and_the_log_goes_on(
    play: Callable[[Body], None], admin: Any, change: dict[str, Any]
) -> None:
    async def body(store: RedisStore) -> None:
        stream = store._keys.buckets[bucket_of_text("anna")] + b"ev"
        await write(store, "1")
        fields = {name: value for name, value in {**WHOLE, **change}.items() if value is not None}
        entry = admin.xadd(stream, fields).decode()
        await write(store, "3")
        tail = await store.tail("", since=0)
        names = ["login_failed", "record_unreadable", "login_failed"]
        assert [event.name for event in tail.events] == names
        assert (await store.tail(tail.place)).events == ()
        damaged = tail.events[1]
        assert damaged.id.startswith(f"{entry}-")
        assert damaged.at == int(entry.partition("-")[0]) / 1000
        assert (damaged.user_id, damaged.detail) == (None, {})
        assert damaged.reason
        assert (await store.events(EventQuery())).events == tail.events[::-1]
        page = await store.events(EventQuery(names=("login_failed",), user_id="anna"))
        assert [event.reason for event in page.events] == ["3", "1"]
        with pytest.raises(StoreCorrupt, match="cannot be read"):
            await store.export(new().alias, "anna")

    play(body)


@pytest.mark.parametrize(("late", "is_found"), [(0, True), (59_000, True), (61_000, False)])
def test_an_event_that_was_stored_late_is_there_before_a_moment(
    timed: RedisStore, clock: FakeClock, late: int, is_found: bool
) -> None:
    """Up to a minute; a page looks no further behind its moment."""
    moment = clock()
    clock.advance(ms=late)
    run_sync(write(timed, "stored with the time of the store"))
    run_sync(timed.append(Event("login_failed", "anna", reason="late", at=moment / 1000 - 1)))
    page = run_sync(timed.events(EventQuery(until=moment)))
    assert [event.reason for event in page.events] == ["late"] * is_found
    whole = run_sync(timed.events(EventQuery(until=moment, limit=1)))
    assert len(whole.events) == is_found


def test_a_key_of_another_type_is_an_error_of_the_store(
    play: Callable[[Body], None], admin: Any
) -> None:
    async def body(store: RedisStore) -> None:
        stream = store._keys.buckets[7] + b"ev"
        for key in (b"gh:own:shelf:work", stream, store._keys.buckets[9] + b"i"):
            admin.hset(key, "no", "such thing")
        for call in (
            lambda: store.shelf("work"),
            lambda: store.put("work", Memory(b"x")),
            lambda: store.tail(""),
            lambda: store.tail("", since=0),
            store.living,
        ):
            with pytest.raises((StoreUnavailable, StoreCorrupt)):
                await call()

    play(body)


# --- how many were looked at ---


def sessions(store: RedisStore, clock: FakeClock, count: int) -> list[NewSession]:
    made = []
    for number in range(count):
        seen = new().seen
        address = bytes([10, 0, 0, 1]) if number % 50 == 0 else bytes([192, 0, 2, 7])
        made.append(new(seen=msgspec.structs.replace(seen, address=address)))
        run_sync(store.create(made[-1]))
        clock.advance(ms=1)
    return made


@pytest.mark.slow
def test_a_search_for_rare_ones_says_how_far_it_is(
    timed: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops, and another store goes on from the cursor: nothing is left out or comes twice."""
    monkeypatch.setattr("gatehound.stores.redis.merge.MAX_SCAN", 100)
    made = sessions(timed, clock, 420)
    query = Query(network=(bytes([10, 0, 0, 0]), 8), limit=50)
    found: list[bytes] = []
    looked_at = []
    for _ in range(20):
        page = run_sync(timed.search(query))
        found += [record.sid for record in page.records]
        looked_at.append(page.looked_at)
        query = msgspec.structs.replace(query, cursor=page.cursor)
        run_sync(timed.close())
        if not page.cursor:
            break
    assert looked_at == [100, 100, 100, 100, 20]
    assert found == [one.sid for one in reversed(made) if one.seen.address[0] == 10]
    assert run_sync(timed.search(Query(limit=7))).looked_at == 7
    assert run_sync(timed.search(Query(made[3].alias))).looked_at == 1


def test_events_of_a_network_come_in_bounded_pages(
    timed: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatehound.stores.redis.merge.MAX_SCAN", 100)
    for number in range(250):
        address = "2001:db8::1" if number % 90 == 0 else "192.0.2.1"
        event = Event("login_failed", f"user {number}", reason=str(number), address=address)
        run_sync(timed.append(event))
        clock.advance(ms=1)
    query = EventQuery(network=(bytes.fromhex("20010db8") + bytes(12), 32))
    pages = [run_sync(timed.events(query))]
    while pages[-1].cursor:
        cursor = pages[-1].cursor
        pages.append(run_sync(timed.events(msgspec.structs.replace(query, cursor=cursor))))
    assert [[event.reason for event in page.events] for page in pages] == [["180"], ["90"], ["0"]]


def test_what_begins_at_a_moment_reads_nothing_newer(timed: RedisStore, clock: FakeClock) -> None:
    for number in range(20):
        run_sync(write(timed, str(number), user_id=f"user {number}"))
        clock.advance(1)
    with trips(timed) as sent:
        page = run_sync(timed.events(EventQuery(until=clock() - 15_000, limit=2)))
    assert [event.reason for event in page.events] == ["4", "3"]
    assert sum("XREVRANGE" in trip for trip in sent) <= 3
    between = EventQuery(until=clock() - 15_000, since=clock() - 17_000, cursor=page.cursor)
    assert run_sync(timed.events(between)).events == page.events[2:]
    assert run_sync(timed.events(EventQuery(until=-5))).events == ()


# --- a cluster ---


@pytest.mark.slow
@pytest.mark.parametrize("suspends", [False, True])
def test_a_cluster_keeps_all_of_it(suspends: bool, server: Callable[[str], str]) -> None:
    async def whole() -> None:
        namespace = f"tail{int(suspends)}-{time.time_ns()}"
        store = RedisStore(server("cluster"), namespace=namespace, suspends=suspends, deadline=5.0)
        begun = await store.tail("")
        for number in range(40):
            await store.create(
                new(), Event("session_created", f"user {number}", reason=str(number))
            )
        assert await store.living() == 40
        tail = await store.tail(begun.place, limit=30)
        rest = await store.tail(tail.place, limit=30)
        assert (len(tail.events), len(rest.events), rest.more) == (30, 10, False)
        assert sorted(map(int, reasons(tail) + reasons(rest))) == list(range(40))
        for name in ("a", "b", "c", "d", "e", "f"):  # of whatever slot
            assert await store.put(name, Memory(name.encode()))
            assert not await store.put(name, Memory(b"late"))
            assert await store.shelf(name) == Memory(name.encode(), 1)
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


def test_shelves_of_a_namespace_are_its_own() -> None:
    assert Keys("a").shelf("x") == b"gh:a:shelf:x"
    assert Keys("a").line_beside(Keys("a").shelf("x")) is None
