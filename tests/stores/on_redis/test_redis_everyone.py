"""What goes over all buckets: search, events, sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis_kit import HOUR, MINUTE, Body, new

from gatehound._sync import run_sync
from gatehound.model import EndReason, Event
from gatehound.stores import rule
from gatehound.stores.answer import (
    EventQuery,
    Query,
)
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.keys import BUCKETS, bucket_of_text
from gatehound.stores.redis.merge import Key, Merge, Source
from gatehound.testing import FakeClock


def test_pages_go_over_all_buckets_in_order(play: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        made = [new() for _ in range(40)]
        for session in made:
            await store.create(session)
        seen: list[bytes] = []
        cursor = "start"
        while cursor:
            page = await store.search(Query(limit=7, cursor=cursor.removeprefix("start")))
            seen += [record.sid for record in page.records]
            cursor = page.cursor
        assert sorted(seen) == sorted(session.sid for session in made)
        assert len(seen) == 40
        for bad in ("x", "1-2", "1-zz-3"):
            assert len((await store.search(Query(cursor=bad))).records) == 40
            assert (await store.events(EventQuery(cursor=bad))).events == ()

    play(body)


def test_a_merge_reads_on_where_a_source_runs_empty() -> None:
    stored: dict[int, list[Key]] = {0: [], 3: [(n, 3) for n in range(50)], 9: [(7, 9), (99, 9)]}
    fills: list[int] = []

    async def fill(sources: Any) -> None:
        fills.append(len(sources))
        for source in sources:
            below = [
                key
                for key in sorted(stored.get(source.bucket, []), reverse=True)
                if source.before is None or key < source.before
            ]
            source.items.extend((key, key) for key in below[: source.count])
            source.more = len(below) > source.count

    async def accept(keys: list[Key]) -> list[Key | None]:
        return [key if key[0] % 2 else None for key in keys]

    merge: Merge[Key] = Merge(fill, None)
    found, cursor = run_sync(merge.page(10, accept))
    assert [key[0] for key in found] == [99, *range(49, 31, -2)]
    assert cursor == (33, 3)
    rest, last = run_sync(Merge(fill, cursor).page(100, accept))
    assert [key[0] for key in rest] == [*range(31, 7, -2), 7, 7, 5, 3, 1]
    assert last is None
    assert fills[0] == BUCKETS
    assert max(fills[1:4]) == 1
    assert isinstance(merge._sources[0], Source)


def test_a_page_looks_at_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehound.stores.redis.merge.MAX_SCAN", 200)
    stored = [(n, 0) for n in range(1_000, 0, -1)]

    async def fill(sources: Any) -> None:
        for source in sources:
            below = [k for k in stored if source.bucket == 0 and k < (source.before or (9e9, 0))]
            source.items.extend((key, key) for key in below[: source.count])
            source.more = len(below) > source.count

    async def accept(keys: list[Key]) -> list[Key | None]:
        return [None for _ in keys]

    assert run_sync(Merge[Key](fill, None).page(5, accept)) == ([], (801, 0))


def test_a_sweep_goes_on_where_it_stopped(url: str, admin: Any) -> None:
    clock = FakeClock()
    store = RedisStore(url, namespace="own", suspends=False, clock=clock)
    for _ in range(30):
        run_sync(store.create(new()))
    admin.zadd(store._keys.buckets[5] + b"i", {"1": 1})
    admin.zadd(store._keys.buckets[5] + b"i1", {b"s" * 8 + b"a" * 12: 1})
    clock.advance(ms=HOUR)
    assert [len(run_sync(store.sweep(20))) for _ in range(3)] == [20, 10, 0]
    assert [key for key in admin.scan_iter() if b"}i" in key] == []
    run_sync(store.close())


def test_events_are_kept_for_the_retention(url: str, admin: Any) -> None:
    clock = FakeClock()
    store = RedisStore(
        url, namespace="own", suspends=False, clock=clock, event_retention=10 * rule.DAY
    )
    for n in range(300):
        run_sync(store.append(Event("login_failed", user_id="anna", reason=str(n))))
    clock.advance(ms=11 * rule.DAY)
    assert run_sync(store.events(EventQuery())).events == ()
    run_sync(store.sweep())
    stream = store._keys.buckets[bucket_of_text("anna")] + b"ev"
    assert admin.xlen(stream) < 300
    run_sync(store.append(Event("login_failed", at=clock() / 1000 - 5)))
    [event] = run_sync(store.events(EventQuery(since=clock() - 6_000))).events
    assert event.at == clock() / 1000 - 5
    assert run_sync(store.events(EventQuery(since=clock() - 4_000))).events == ()
    run_sync(store.close())


def test_forget_finds_events_in_both_buckets(store: RedisStore) -> None:
    session = new(user_id="anna")
    run_sync(store.create(session, Event("session_created", user_id="anna")))
    for name in ("anna", "bert"):
        run_sync(store.append(Event("login_failed", user_id=name)))
    run_sync(store.forget(session.alias, "anna"))
    assert [e.user_id for e in run_sync(store.events(EventQuery())).events] == ["bert"]


def test_a_counter_asks_again_in_the_next_window(store: RedisStore) -> None:
    run_sync(store.ping())
    now = store._calls.clock.now
    assert now is not None
    store._calls.clock.learn(now - 10 * MINUTE)
    assert run_sync(store.count("logins", "a", window=MINUTE)) == 1


@pytest.mark.parametrize(
    ("user_id", "memory"), [("u" * 513, b""), ("ä" * 257, b""), ("u", b"m" * 4097)]
)
def test_what_is_too_long_is_refused(store: RedisStore, user_id: str, memory: bytes) -> None:
    with pytest.raises(ValueError, match="bytes: at most"):
        run_sync(store.create(new(user_id=user_id, memory=memory)))
    with pytest.raises(ValueError, match="not both"):
        run_sync(store.revoke(b"a" * 12, only=b"s", keep=b"s", reason=EndReason.USER))
