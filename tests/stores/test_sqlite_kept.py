"""What stays in the SQLite store's file, for how long, and that it comes back unchanged."""

from __future__ import annotations

import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlite_kit import (
    bench_at,
    finish,
    query,
)

from gatehound._sync import run_sync
from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    Created,
    Dump,
    EventQuery,
    Memory,
    Query,
    Refused,
    Standing,
)
from gatehound.stores.memory import MemoryStore
from gatehound.stores.rule import DAY, HOUR, TOMBSTONE_MAX, USER_MEMORY_LIFE
from gatehound.stores.sqlite import SQLiteStore, directory, link
from gatehound.testing import Bench, FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def suspends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_loop_does_not_let_the_wal_grow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CHECKPOINT_WRITES", 10)
    bench = bench_at(path, suspends=True)

    async def scene() -> int:
        new = await bench.login()
        for number in range(300):
            await bench.store.data_set(new.alias, new.sid, {"a": bytes([number % 256]) * 9000})
            if number % 10 == 9:
                await bench.store.search(Query())  # waits in the queue behind the checkpoint
        return path.with_name(path.name + "-wal").stat().st_size

    size = finish(bench.store, scene())
    assert size < 1_000_000, "300 writes of 9 kB make 3 MB without checkpoints"


def test_forget_leaves_no_trace_in_the_file(path: Path, suspends: bool) -> None:
    bench = bench_at(path, suspends=suspends)
    store = bench.store

    async def scene() -> None:
        new = await bench.login(
            Event("session_created", "anna-of-the-test", detail={"note": "anna-in-an-event"}),
            user_id="anna-of-the-test",
            agent="anna-in-an-agent",
            memory=b"anna-in-a-memory",
            seen=bench.seen(agent=b"rare--"),
        )
        other = await bench.login(user_id="bert", agent="bert-in-an-agent")
        await store.data_set(new.alias, new.sid, {"anna-in-a-name": b"anna-in-a-value" * 999})
        await store.append(Event("token_replayed", public_id=new.sid.hex(), reason="anna-replayed"))
        await store.append(Event("login_failed", "bert"))
        await store.disable(new.alias)
        assert await store.forget(new.alias, "anna-of-the-test") == 0
        assert [event.user_id for event in await bench.events()] == ["bert"]
        assert await bench.lives(other)
        left = b"".join(entry.read_bytes() for entry in path.parent.iterdir())
        assert b"bert-in-an-agent" in left
        for trace in (b"anna-", new.secret_hash, new.sid, new.seen.pairs[0]):
            assert trace not in left
        refused = await store.create(bench.new(alias=new.alias))
        assert refused == Refused("disabled", bench.clock())

    finish(store, scene())


@pytest.mark.slow
def test_a_sweep_goes_in_steps_and_drops_what_has_no_more_use(path: Path, suspends: bool) -> None:
    bench = bench_at(path, suspends=suspends)
    store = bench.store

    async def scene() -> None:
        alias = bench.alias()
        made = [await bench.login(alias=alias, limit=None) for _ in range(130)]
        kept = made[0]
        for memory in (None, Memory(b"x")):
            await store.remember(
                alias, kept.sid, kept.secret_hash, memory=memory, user_memory=Memory(b"y", 0)
            )
        await store.count("logins", "a", window=HOUR)
        await store.revoke(alias, only=kept.sid, reason=EndReason.LOGOUT)
        await store.revoke(bench.alias(), reason=EndReason.ADMIN)
        bench.clock.advance(ms=HOUR)
        assert len(await store.sweep(limit=105)) == 105
        assert len(await store.sweep()) == 24
        assert await store.sweep() == ()
        bench.clock.advance(ms=max(TOMBSTONE_MAX, USER_MEMORY_LIFE) + DAY)
        assert await store.sweep() == ()

    finish(store, scene())
    tables = [name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type='table'")]
    sql = "SELECT count(*) FROM "
    counts = {name: query(path, sql + name)[0][0] for name in tables}
    counts.pop("sqlite_sequence")
    assert {name for name, count in counts.items() if count} == set()


def test_a_sweep_finds_what_is_due_by_an_index(path: Path) -> None:
    finish(store := SQLiteStore(path), store.ping())
    plan = query(path, f"EXPLAIN QUERY PLAN {directory._DUE}", 1, 9)
    assert len(plan) == 1, "found in order, nothing to sort"
    assert "USING INDEX sessions_over" in plan[0][-1]


@pytest.mark.slow
def test_a_file_that_nobody_sweeps_does_not_grow(path: Path, suspends: bool) -> None:
    """Visitors come once and never again; nothing but logins happens."""
    bench = Bench(
        lambda clock: SQLiteStore(path, suspends=suspends, clock=clock, event_retention=HOUR)
    )
    tables = ("sessions", "tombstones", "epochs", "memories", "data", "agents", "events")
    most = dict.fromkeys(tables, 0)
    sql = "SELECT count(*) FROM "

    async def scene() -> list[bytes]:
        made, told = [], []
        for number in range(160):
            agent = bytes([number]) * 6
            new = bench.new(memory=b"x", idle=HOUR, absolute=HOUR, seen=bench.seen(agent=agent))
            created = await bench.store.create(new, Event("session_created", "anna"))
            assert isinstance(created, Created)
            told += [done.record.sid for done in created.finished]
            made.append(new.sid)
            ids = (new.alias, new.sid, new.secret_hash)
            assert (await bench.store.remember(*ids, user_memory=Memory(b"y"))).done
            assert await bench.store.data_set(new.alias, new.sid, {"a": b"1"})
            await bench.store.revoke(bench.alias(), reason=EndReason.USER)
            for table in tables:
                [(count,)] = query(path, sql + table)
                most[table] = max(most[table], count)
            bench.clock.advance(ms=HOUR // 5)
        told += [done.record.sid for done in await bench.store.sweep()]
        assert sorted(told) == sorted(made[: len(told)]), "each is told once, the oldest first"
        assert len(told) >= 150
        return made

    finish(bench.store, scene())
    # Five to an hour; up to 20 more until the next round, and what those leave for an hour.
    kept = {"memories": 160 + 25}  # of users, for 90 days
    assert {t: n for t, n in most.items() if n > kept.get(t, 75)} == {}


def test_a_login_is_not_refused_where_old_sessions_cannot_be_ended(path: Path) -> None:
    bench = bench_at(path)
    old = run_sync(bench.login(idle=HOUR))
    query(path, "UPDATE sessions SET whose = whose + 1")
    bench.clock.advance(ms=2 * HOUR)
    made = [run_sync(bench.login()) for _ in range(45)]
    assert run_sync(bench.lives(made[-1]))
    assert query(path, "SELECT count(*) FROM sessions WHERE sid = ?", old.sid) == [(1,)]
    run_sync(bench.store.close())


def test_what_has_no_more_use_is_found_by_an_index(path: Path) -> None:
    finish(store := SQLiteStore(path), store.ping())
    for statement in directory._STALE:
        explained = re.sub(":[a-z]+", "?", f"EXPLAIN QUERY PLAN {statement}")
        plan = [row[-1] for row in query(path, explained, 1, 200)]
        assert not [step for step in plan if step.startswith("SCAN")], plan


@pytest.mark.parametrize("kind", [MemoryStore, SQLiteStore])
def test_what_a_copy_says_is_over_is_never_ahead_of_the_clock(
    path: Path, kind: type[MemoryStore | SQLiteStore]
) -> None:
    bench = Bench(
        lambda clock: (
            MemoryStore(clock=clock) if kind is MemoryStore else SQLiteStore(path, clock=clock)
        )
    )
    store = bench.store
    run_sync(bench.login())
    run_sync(store.revoke(bench.alias(), reason=EndReason.USER))
    for step in (0, 0, 0, -HOUR, 0, HOUR - 1, 0):
        bench.clock.advance(ms=step)
        run_sync(store.revoke_everyone())
        assert run_sync(store.dump()).not_before == FakeClock()()
        assert run_sync(store.epoch(bench.alias())) > FakeClock()()
    bench.clock.advance(ms=9)
    run_sync(store.revoke_everyone())
    assert run_sync(store.dump()).not_before == bench.clock() == FakeClock()() + 8
    before = run_sync(store.epoch(bench.alias()))
    for _ in range(2):
        run_sync(store.restore(Dump((), not_before=bench.clock() + 1)))
        assert run_sync(store.epoch(bench.alias())) == before + 1, "it moves once, and is passed"
    run_sync(store.close())


def test_an_event_number_never_comes_back(path: Path) -> None:
    bench = bench_at(path)
    run_sync(bench.store.append(Event("login_failed")))
    first = run_sync(bench.events())[0].id
    bench.clock.advance(ms=91 * DAY)
    assert run_sync(bench.events()) == []
    run_sync(bench.store.sweep())
    run_sync(bench.store.append(Event("login_failed")))
    assert int(run_sync(bench.events())[0].id) > int(first)
    run_sync(bench.store.close())


@pytest.mark.parametrize("text", ["a\ud800b", "nul\x00", "é", "'; --"])
def test_text_that_utf8_refuses_comes_back_unchanged(path: Path, text: str) -> None:
    """A client puts a lone surrogate into JSON, and with it into the name it signs in with."""
    bench = bench_at(path)
    new = run_sync(bench.login(user_id=text, roles=(text,)))
    record = run_sync(bench.record(new))
    assert (record.user_id, record.roles) == (text, (text,))
    run_sync(bench.store.data_set(new.alias, new.sid, {text: b"1"}))
    assert run_sync(bench.store.data_incr(new.alias, new.sid, text, 2)) == 3
    assert run_sync(bench.store.data_get(new.alias, new.sid)) == {text: b"3"}
    assert run_sync(bench.store.count("k", text, window=HOUR)) == 1
    assert run_sync(bench.store.counts("k", window=HOUR)) == {text: 1}
    given = Event(
        "login_failed", text, text, text, text, {text: text, "x": math.inf, "n": None}, "both"
    )
    run_sync(bench.store.append(given))
    (event,) = run_sync(bench.events(user_id=text, public_id=text))
    assert replace(event, at=0.0, id="") == given
    run_sync(bench.store.close())


@pytest.mark.parametrize("cursor", ["x", "-1", "1-2", "9" * 40, "²", "1" * 5 + "-" + "g" * 16])
def test_a_cursor_that_is_not_ours_starts_at_the_first_page(path: Path, cursor: str) -> None:
    bench = bench_at(path)
    run_sync(bench.login(Event("session_created")))
    assert len(run_sync(bench.store.search(Query(cursor=cursor))).records) == 1
    assert len(run_sync(bench.store.events(EventQuery(cursor=cursor))).events) == 1
    run_sync(bench.store.close())


def test_ending_everybody_refuses_logins_that_began_before(path: Path) -> None:
    bench = bench_at(path)
    store = bench.store
    many = [run_sync(bench.login(alias=b"m" * 12, limit=None)) for _ in range(12)]
    before = bench.new(epoch=run_sync(store.epoch(bench.alias())))
    own = run_sync(store.revoke(b"x" * 12, reason=EndReason.USER)).epoch
    assert run_sync(store.revoke_everyone(Event("session_terminated"))) == 12
    assert run_sync(store.create(before)) == Refused("epoch", bench.clock())
    assert run_sync(store.epoch(b"x" * 12)) > own
    assert run_sync(store.epoch(before.alias)) == run_sync(store.epoch(b"x" * 12))
    ended = [run_sync(bench.load(new)).standing for new in many]
    assert ended.count(Standing.ENDED) == 8
    assert ended.count(Standing.UNKNOWN) == 4
    assert run_sync(store.revoke_everyone()) == 0
    assert isinstance(run_sync(store.create(replace(before, epoch=None))), Created)
    run_sync(store.close())


def test_a_window_of_counters_goes_after_the_next_one(path: Path) -> None:
    bench = bench_at(path)
    for window in (0, 1, 2):
        assert run_sync(bench.store.count("k", "name", by=2, window=HOUR)) == 2
        assert run_sync(bench.store.count("k", "name", window=HOUR)) == 3
        rows = query(path, "SELECT count(DISTINCT slot) FROM counters")
        assert rows == query(path, "SELECT count(*) FROM windows") == [(min(window + 1, 2),)]
        bench.clock.advance(ms=HOUR)
    run_sync(bench.store.close())


@pytest.mark.parametrize("deed", ["append", "counts", "count", "sweep"])
def test_windows_that_are_over_go_with_whatever_is_done_next(
    path: Path, deed: str, suspends: bool
) -> None:
    bench = bench_at(path, suspends=suspends)
    store = bench.store

    async def scene() -> list[list[tuple[object, ...]]]:
        await store.count("failed_networks", "203.0.113.0/24", window=HOUR)
        there = []
        for _ in range(2):
            bench.clock.advance(ms=HOUR)
            if deed == "append":
                await store.append(Event("login_failed"))
            elif deed == "counts":
                assert await store.counts("failed_users", window=HOUR) == {}
            elif deed == "count":
                await store.count("another", "name", window=HOUR)
            else:
                await store.sweep()
            wanted = "WHERE kind = 'failed_networks'"
            there.append(query(path, f"SELECT name FROM counters {wanted}"))  # noqa: S608 - ours
            there.append(query(path, f"SELECT names FROM windows {wanted}"))  # noqa: S608 - ours
        return there

    found = finish(store, scene())
    assert found == [[(b"203.0.113.0/24",)], [(1,)], [], []]


def test_counts_are_told_also_where_nothing_can_be_dropped(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_at(path)
    run_sync(bench.store.count("k", "old", window=HOUR))
    bench.clock.advance(ms=2 * HOUR)
    monkeypatch.setattr(SQLiteStore, "deadline", 50)
    run_sync(bench.store.ping())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert run_sync(bench.store.counts("k", window=HOUR)) == {}
        assert query(path, "SELECT count(*) FROM windows") == [(1,)]
    assert run_sync(bench.store.counts("k", window=HOUR)) == {}
    assert query(path, "SELECT count(*) FROM windows") == [(0,)]
    run_sync(bench.store.close())


def test_a_clock_of_the_system_is_the_default(path: Path) -> None:
    store = SQLiteStore(path)
    assert run_sync(store.ping()) > FakeClock()() // 2
    run_sync(store.close())
