"""Full memory, unreadable neighbours, clocks that do not agree, places of nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis_kit import CHANCE, HOUR, MINUTE, Body, load, new

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.model import EndReason
from gatehound.stores.answer import Standing
from gatehound.stores.record import FLAGGED
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.script import PIECE
from gatehound.testing import FakeClock


@pytest.fixture
def clocked(url: str, admin: Any) -> Iterator[tuple[RedisStore, FakeClock]]:
    clock = FakeClock()
    store = RedisStore(url, namespace="own", suspends=False, clock=clock)
    yield store, clock
    run_sync(store.close())


def test_over_maxmemory_people_stay_signed_in_and_what_stands_against_them_is_noted(
    clocked: tuple[RedisStore, FakeClock], admin: Any
) -> None:
    store, clock = clocked
    session = new()
    run_sync(store.create(session))
    admin.config_set("maxmemory", 1)
    try:
        for _ in range(3):  # more than the idle hour in all
            clock.advance(ms=30 * MINUTE)
            answer = run_sync(load(store, session, MINUTE))
            assert (answer.standing, answer.record.seen.last_seen) == (Standing.LIVE, clock())
        with pytest.raises(StoreUnavailable):
            run_sync(store.create(new()))
        hashes = (session.alias, session.sid, session.secret_hash)
        assert run_sync(store.remember(*hashes, set_flags=FLAGGED)).done
        assert run_sync(load(store, session)).record.security.flags & FLAGGED
        assert run_sync(store.revoke_everyone()) == 1
        assert run_sync(load(store, session)).standing is Standing.ENDED
    finally:
        admin.config_set("maxmemory", 0)


def test_a_neighbour_that_cannot_be_read_costs_nobody_their_session(
    play: Callable[[Body], None], admin: Any
) -> None:
    async def body(store: RedisStore) -> None:
        alias = CHANCE.randbytes(12)
        damaged, fine, over = new(alias), new(alias), new(alias, idle=1000)
        for session in (damaged, fine, over):
            await store.create(session)
        key = store._keys.user(alias)
        admin.hset(key, damaged.sid, b"\x02" + admin.hget(key, damaged.sid)[1:])
        seen = admin.hget(key, over.sid + b"t")
        long_ago = (int.from_bytes(seen[1:7]) - 2 * HOUR).to_bytes(6)
        admin.hset(key, over.sid + b"t", seen[:1] + long_ago + seen[7:])
        answer = await load(store, over)
        assert (answer.standing, answer.ended.reason) == (Standing.ENDED, EndReason.IDLE)
        rotated = await store.rotate(alias, fine.sid, fine.secret_hash, b"n" * 16)
        assert rotated.standing is Standing.LIVE
        assert [record.sid for record in (await store.sessions(alias)).records] == [fine.sid]
        with pytest.raises(StoreCorrupt):
            await store.rotate(alias, damaged.sid, damaged.secret_hash, b"n" * 16)

    play(body)


def test_the_end_of_all_ends_what_a_clock_ahead_has_made(url: str, admin: Any) -> None:
    clock, ahead = FakeClock(), FakeClock()
    ahead.advance(ms=2 * HOUR)
    here, there = (
        RedisStore(url, namespace="own", suspends=False, clock=c) for c in (clock, ahead)
    )
    early = new()
    run_sync(there.create(early))
    assert run_sync(here.revoke_everyone()) == 1
    for store in (here, there):
        assert run_sync(load(store, early)).standing is Standing.ENDED
    late = new(early.alias)
    run_sync(here.create(late))  # by a clock that is behind the line
    for store in (here, there):
        assert run_sync(load(store, late, 0)).standing is Standing.LIVE
    assert run_sync(here.revoke_everyone()) == 1
    for store in (here, there):
        run_sync(store.close())


def test_a_directory_tidies_itself_without_a_sweep(
    clocked: tuple[RedisStore, FakeClock], admin: Any
) -> None:
    store, clock = clocked
    alias = CHANCE.randbytes(12)
    bucket = store._keys.bucket(alias)

    def visitor() -> bytes:
        while True:
            other = CHANCE.randbytes(12)
            if store._keys.bucket(other) == bucket:
                return other

    for _ in range(12 * PIECE):
        clock.advance(ms=1)
        gone = visitor()
        run_sync(store.create(new(gone)))
        admin.delete(store._keys.user(gone))  # as its time to live does
    index = bucket + b"i"
    pieces = [index + start for start in admin.zrange(index, 0, -1)]
    assert sum(admin.zcard(piece) for piece in pieces) < 4 * PIECE
    assert all(admin.exists(piece) for piece in pieces)


def test_a_process_that_starts_learns_of_the_end_of_all_from_meta(url: str, admin: Any) -> None:
    clock = FakeClock()
    store, later = (RedisStore(url, namespace="own", suspends=False, clock=clock) for _ in "12")
    session = new()
    run_sync(store.create(session))
    clock.advance(ms=1)
    run_sync(store._calls.draw_line(clock()))
    admin.delete(store._keys.line(store._keys.bucket(session.alias)))  # as a failover may
    run_sync(later._calls.refresh())
    assert run_sync(load(later, session)).standing is Standing.ENDED
    for opened in (store, later):
        run_sync(opened.close())
