"""What a load costs, and whose time decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from redis_kit import HOUR, MINUTE, Body, commands, load, new, trips

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt
from gatehound.model import EndReason
from gatehound.stores.answer import (
    Created,
    Query,
    Refused,
    Standing,
)
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.clock import StoreClock
from gatehound.stores.redis.keys import BUCKETS
from gatehound.stores.redis.load import Loader
from gatehound.stores.redis.script import NO_GRACE, script
from gatehound.stores.rule import standing_of_previous
from gatehound.testing import FakeClock

# --- trips ---


def test_a_load_is_one_command_and_one_trip(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        await store.create(session)
        with commands(admin) as counted, trips(store) as sent:
            for _ in range(10):
                assert (await load(store, session)).standing is Standing.LIVE
        assert counted == {"hmget": 10}
        with commands(admin) as counted, trips(store) as sent:
            assert (await load(store, session, MINUTE)).standing is Standing.LIVE
            assert (await load(store, session, MINUTE)).standing is Standing.LIVE
        assert sent == ["HMGET", "HMGET"]
        store._loader._touched.clear()
        await load(store, session, MINUTE)  # the first of all brings the server the script
        store._loader._touched.clear()
        with commands(admin) as counted, trips(store) as sent:
            assert (await load(store, session, MINUTE)).standing is Standing.LIVE
        assert (sent, counted["evalsha"]) == (["EVALSHA"], 1)
        assert "hset" not in counted

    play(body)


def test_the_first_load_of_a_process_is_one_trip(play: Callable[[Body], None], url: str) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        await store.create(session)
        for touch, words in ((None, "HMGET+GET+TIME"), (MINUTE, "EVALSHA+GET")):
            other = RedisStore(url, namespace="own", suspends=store.suspends)
            with trips(other) as sent:
                assert (await load(other, session, touch)).standing is Standing.LIVE
            assert sent == [words]
            await other.close()

    play(body)


def test_hints_are_bounded(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehound.stores.redis.load.MAX_HINTS", 3)
    for _ in range(5):
        session = new()
        run_sync(store.create(session))
        run_sync(load(store, session, MINUTE))
    assert len(store._loader._touched) == 2


# --- time ---


def test_another_process_learns_of_the_end_of_everyone(url: str, admin: Any) -> None:
    clock = FakeClock()
    ours, theirs = (RedisStore(url, namespace="own", suspends=False, clock=clock) for _ in range(2))
    session = new()
    run_sync(ours.create(session))
    for touch in (None, 0):
        assert run_sync(load(theirs, session, touch)).standing is Standing.LIVE
    clock.advance(ms=1)
    run_sync(ours._calls.draw_line(clock()))  # nothing is deleted: as right after revoke_everyone
    clock.advance(ms=2_000)
    with trips(theirs) as sent:
        answer = run_sync(load(theirs, session, MINUTE))
    assert (answer.standing, answer.ended.reason) == (Standing.ENDED, EndReason.EVERYONE)
    assert not answer.expired
    assert sent[0] == "HMGET+GET+TIME"
    later = new()
    run_sync(theirs.create(later))
    assert run_sync(load(ours, later)).standing is Standing.LIVE
    assert run_sync(ours.search(Query())).records[0].sid == later.sid
    for opened in (ours, theirs):
        run_sync(opened.close())


def test_another_process_refuses_a_login_that_began_before(url: str, admin: Any) -> None:
    clock = FakeClock()
    ours, theirs = (RedisStore(url, namespace="own", suspends=False, clock=clock) for _ in "12")
    alias = new().alias
    begun = run_sync(theirs.epoch(alias))
    run_sync(ours.revoke_everyone())
    # Theirs asked a moment ago, and would take what it knows for fresh.
    assert run_sync(theirs.create(new(alias, epoch=begun))) == Refused("epoch", clock())
    run_sync(ours.revoke_everyone())
    later = new(alias, epoch=run_sync(ours.epoch(alias)))
    assert isinstance(run_sync(theirs.create(later)), Created)
    for opened in (ours, theirs):
        run_sync(opened.close())


def test_the_script_reads_a_line_that_was_drawn_meanwhile(url: str, admin: Any) -> None:
    clock = FakeClock()
    store = RedisStore(url, namespace="own", suspends=False, clock=clock)
    session = new()
    run_sync(store.create(session))
    clock.advance(ms=2_000)
    other = RedisStore(url, namespace="own", suspends=False, clock=clock)
    run_sync(other._calls.draw_line(clock()))
    answer = run_sync(load(store, session, 0))
    assert (answer.standing, answer.ended.reason) == (Standing.ENDED, EndReason.EVERYONE)
    for opened in (store, other):
        run_sync(opened.close())


def test_the_line_moves_on_and_never_back(url: str, admin: Any) -> None:
    clock = FakeClock()
    store = RedisStore(url, namespace="own", suspends=False, clock=clock)
    key = store._keys.line(store._keys.buckets[9])
    assert run_sync(store._calls.draw_line(0)) == clock()
    assert (int(admin.get(key)), admin.pttl(key) > 400 * 24 * HOUR) == (clock(), True)
    assert run_sync(store._calls.draw_line(0)) == clock() + 1  # in the same millisecond
    assert run_sync(store._calls.draw_line(5, past=False)) == clock() + 1
    assert int(admin.get(key)) == clock() + 1
    assert len([name for name in admin.scan_iter() if name.endswith(b"}n")]) == BUCKETS
    run_sync(store.close())


def test_local_time_only_suspects(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    session = new(idle=MINUTE)
    run_sync(store.create(session))
    for ahead in (0, 2 * HOUR, -2 * HOUR, 20 * HOUR):
        start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        monkeypatch.setattr(
            "gatehound.stores.redis.clock._local",
            lambda start=start, ahead=ahead: start // 1_000_000 + ahead,
        )
        for touch in (None, 0, MINUTE):
            assert run_sync(load(store, session, touch)).standing is Standing.LIVE


def test_a_clock_knows_nothing_before_the_first_reply() -> None:
    clock = StoreClock()
    assert (clock.now, clock.is_fresh(b"line"), clock.override) == (None, False, b"")
    clock.learn(1_000)
    assert clock.learn_not_before(5, b"line", clock.local)
    assert (clock.is_fresh(b"line"), clock.is_fresh(b"other")) == (True, False)
    assert not clock.learn_not_before(4)
    assert clock.not_before == 5
    assert clock.now is not None


def test_a_session_that_cannot_be_ended_is_corrupt(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(self: Any, alias: bytes, sid: bytes) -> None:
        return None

    session = new(idle=0)
    run_sync(store.create(session))
    monkeypatch.setattr("gatehound.stores.redis.load.Loader._end", nobody)
    with pytest.raises(StoreCorrupt, match="contradict"):
        run_sync(load(store, session))


def test_who_is_beaten_to_it_does_not_notice_the_end(
    url: str, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    ours, theirs = (RedisStore(url, namespace="own", suspends=False, clock=clock) for _ in "12")
    session = new()
    run_sync(ours.create(session))
    clock.advance(ms=HOUR)
    end = Loader._end

    async def beaten(self: Loader, alias: bytes, sid: bytes) -> Any:
        assert len((await theirs.sessions(alias)).finished) == 1
        return await end(self, alias, sid)

    monkeypatch.setattr(Loader, "_end", beaten)
    answer = run_sync(load(ours, session, 0))
    assert (answer.standing, answer.ended.reason) == (Standing.ENDED, EndReason.IDLE)
    assert not answer.expired
    for opened in (ours, theirs):
        run_sync(opened.close())


_T = 1_800_000_000_000


@pytest.mark.parametrize("age", [0, 59_999, 60_000, 599_999, 600_000, 10**8])
@pytest.mark.parametrize("confirmed", [0, _T - 5, _T - 60_000])
@pytest.mark.parametrize("grace", [None, 0, 10_000, 60_000])
def test_lua_and_python_agree_on_the_secret_before(
    admin: Any, age: int, confirmed: int, grace: int | None
) -> None:
    rotated = _T - age
    previous = (
        b"\x01"
        + b"o" * 16
        + rotated.to_bytes(6)
        + confirmed.to_bytes(6)
        + (NO_GRACE if grace is None else grace).to_bytes(4)
    )
    head, _, _ = script("load").text.partition("local U, SID, HASH")
    body = "return {standing(ARGV[5], ARGV[6], ARGV[7])}"
    told = admin.eval(head + body, 0, _T, "", 0, 0, b"\x01" * 50, previous, b"o" * 16)
    standing, reuse = standing_of_previous(_T, rotated=rotated, confirmed=confirmed, grace=grace)
    assert [part.decode() for part in told] == [standing.value, reuse]
