"""What is the memory store's own: its bounds, its clock, and what it says after a fork."""

from __future__ import annotations

import logging
import os
import time

import pytest

from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, EventQuery, Memory, Query, Refused, Standing
from gatehound.stores.memory import MemoryStore
from gatehound.stores.rule import MAX_COUNTER_NAMES
from gatehound.testing import Bench

HOUR = 3600


def bench(**options: int) -> Bench:
    return Bench(lambda clock: MemoryStore(clock=clock, **options))


def memory_of(table: Bench) -> MemoryStore:
    assert isinstance(table.store, MemoryStore)
    return table.store


def test_full_store_refuses_a_new_user_loudly(caplog: pytest.LogCaptureFixture) -> None:
    table = bench(max_users=2)
    made = [run_sync(table.login()) for _ in range(2)]
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="max_users=2"):
            run_sync(table.login())
    assert len(caplog.records) == 1  # a flood is told of once a second
    assert all(run_sync(table.lives(new)) for new in made)
    again = run_sync(table.login(alias=made[0].alias))
    assert run_sync(table.lives(again))


def test_full_store_makes_room_of_what_is_over() -> None:
    table = bench(max_users=2)
    short, long = run_sync(table.login(idle=600_000)), run_sync(table.login())
    table.clock.advance(1800)
    new = run_sync(table.login())
    assert run_sync(table.lives(new))
    assert run_sync(table.lives(long))
    assert run_sync(table.load(short)).standing is Standing.UNKNOWN
    assert len(run_sync(table.events("session_expired"))) == 1


@pytest.mark.parametrize("keeper", ["disabled", "epoch"])
def test_full_store_drops_nothing_that_keeps_somebody_out(keeper: str) -> None:
    table = bench(max_users=1)
    victim = table.new(epoch=0)
    if keeper == "disabled":
        run_sync(table.store.disable(victim.alias))
        table.clock.advance(10 * HOUR)
    else:
        run_sync(table.store.revoke(victim.alias, reason=EndReason.PASSWORD_CHANGED))
        table.clock.advance(HOUR - 1)
    with pytest.raises(StoreUnavailable):
        run_sync(table.login())
    assert isinstance(run_sync(table.store.create(victim)), Refused)


def test_full_store_cannot_end_sessions_of_a_user_it_does_not_know() -> None:
    table = bench(max_users=1)
    run_sync(table.login())
    with pytest.raises(StoreUnavailable):
        run_sync(table.store.revoke(table.alias(), reason=EndReason.ADMIN))


def test_sessions_without_limit_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehound.stores._table.MAX_SESSIONS", 20)
    table = bench()
    alias = table.alias()
    for _ in range(21):
        run_sync(table.login(alias=alias, limit=None))
    assert len(run_sync(table.store.sessions(alias)).records) == 20


def test_events_are_bounded() -> None:
    table = bench(max_events=3)
    for number in range(5):
        run_sync(table.store.append(Event("login_failed", reason=str(number))))
    page = run_sync(table.store.events(EventQuery()))
    assert [event.reason for event in page.events] == ["4", "3", "2"]


def test_event_retention_is_an_option() -> None:
    table = bench(event_retention=1000)
    run_sync(table.store.append(Event("login_failed")))
    table.clock.advance(1)
    assert len(run_sync(table.events())) == 1
    table.clock.advance(ms=1)
    assert run_sync(table.events()) == []


def test_agent_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehound.stores._table.MAX_AGENTS", 2)
    table = bench()
    for digest in (b"agent1", b"agent2", b"agent1", b"agent3"):
        run_sync(table.login(seen=table.seen(agent=digest), agent="text"))
    known = run_sync(table.store.agents([b"agent1", b"agent2", b"agent3"]))
    assert known.keys() == {b"agent1", b"agent3"}


def test_sweep_drops_what_has_no_more_use() -> None:
    table = bench()
    new = run_sync(table.login())
    run_sync(
        table.store.remember(new.alias, new.sid, new.secret_hash, user_memory=Memory(b"known"))
    )
    run_sync(table.store.count("failed", "a", window=1000))
    users, counters = memory_of(table)._table.users, memory_of(table)._counters._windows
    table.clock.advance(89 * 24 * HOUR)
    run_sync(table.store.sweep())
    assert len(users) == 1  # for what detectors know of the user
    table.clock.advance(2 * 24 * HOUR)
    run_sync(table.store.sweep())
    assert (len(users), len(counters)) == (0, 0)


def test_counters_of_old_windows_are_dropped() -> None:
    table = bench()
    for _ in range(3):
        run_sync(table.store.count("failed", "a", window=1000))
        table.clock.advance(1)
    assert len(memory_of(table)._counters._windows) == 1
    assert MAX_COUNTER_NAMES == 10_000


def test_user_evidence_ends_after_90_days() -> None:
    table = bench()
    new = run_sync(table.login(idle=10**11, absolute=10**11))
    run_sync(
        table.store.remember(new.alias, new.sid, new.secret_hash, user_memory=Memory(b"known"))
    )
    table.clock.advance(90 * 24 * HOUR)
    assert run_sync(table.store.recall(new.alias, new.sid))[1] == Memory()


def test_a_login_repeated_after_its_session_ended_creates_nothing() -> None:
    table = bench()
    new = run_sync(table.login())
    run_sync(table.store.revoke(new.alias, only=new.sid, reason=EndReason.USER))
    assert run_sync(table.store.create(new)) == Refused("sid", table.clock())
    assert run_sync(table.load(new)).standing is Standing.ENDED


def test_first_evidence_is_bounded() -> None:
    table = bench()
    with pytest.raises(ValueError, match="4096"):
        run_sync(table.login(memory=bytes(4097)))


def test_a_search_with_a_made_up_cursor_starts_again() -> None:
    table = bench()
    new = run_sync(table.login())
    page = run_sync(table.store.search(Query(cursor="made up")))
    assert [record.sid for record in page.records] == [new.sid]


def test_the_clock_is_the_systems_by_default() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= run_sync(MemoryStore().ping()) <= time.time_ns() // 1_000_000


def test_use_in_a_forked_child_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    with caplog.at_level(logging.WARNING):
        run_sync(store.ping())
        run_sync(store.ping())
        assert caplog.records == []
        child = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: child)
        run_sync(store.ping())
        run_sync(store.ping())
    assert [record.message[:40] for record in caplog.records] == [
        "the memory store is used in a forked pro"
    ]


def test_create_answers_with_the_record() -> None:
    table = bench()
    created = run_sync(table.store.create(table.new()))
    assert isinstance(created, Created)
    assert created.record.expiry(table.clock()) is None


def test_a_store_that_nobody_sweeps_does_not_grow() -> None:
    """Visitors come once and never again; nothing but logins happens."""
    table = bench()
    made, told = [], []
    users = memory_of(table)._table.users
    for _ in range(1500):
        new = table.new(idle=HOUR * 1000, absolute=HOUR * 1000)
        created = run_sync(table.store.create(new))
        assert isinstance(created, Created)
        told += [done.record.sid for done in created.finished]
        made.append(new.sid)
        table.clock.advance(HOUR / 5)
        assert len(users) <= 60, "ten within the two hours that they are kept, and two rounds"
    told += [done.record.sid for done in run_sync(table.store.sweep())]
    assert sorted(told) == sorted(made[: len(told)])
    assert len(told) >= 1450


def test_who_ended_to_make_way_is_told_to_the_next_who_signs_in() -> None:
    table = bench(max_users=2)
    over = [run_sync(table.login(idle=60_000)) for _ in range(2)]
    table.clock.advance(HOUR / 2)
    run_sync(table.store.revoke(table.alias(), reason=EndReason.USER))
    created = run_sync(table.store.create(table.new()))
    assert isinstance(created, Created)
    assert {done.record.sid for done in created.finished} == {new.sid for new in over}
    assert run_sync(table.store.sweep()) == ()


def test_who_ended_for_nothing_is_told_to_the_next_sweep() -> None:
    table = bench(max_users=1)
    stays = run_sync(table.login())
    over = run_sync(table.login(alias=stays.alias, idle=60_000))
    table.clock.advance(HOUR / 2)
    with pytest.raises(StoreUnavailable):
        run_sync(table.login())
    assert [done.record.sid for done in run_sync(table.store.sweep())] == [over.sid]
    assert run_sync(table.lives(stays))
