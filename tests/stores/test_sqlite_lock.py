"""The SQLite store and the locks of others: who waits where, what is undone, what errors say.

Locks are held by other connections and by a real process; nothing sleeps.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlite_kit import (
    META,
    Hasty,
    bench_at,
    error_of,
    finish,
    line_of,
    locked,
    process,
    query,
    tell,
)

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.rule import HOUR
from gatehound.stores.sqlite import SQLiteStore, fault, handle, schema
from gatehound.testing import Bench


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def suspends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# --- what errors say ---


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (sqlite3.SQLITE_BUSY, StoreUnavailable, "locked by another process for 5 s: look for"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable, "locked by another process"),
        (sqlite3.SQLITE_LOCKED, StoreUnavailable, "locked by another process"),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable, "check that the directory exists"),
        (sqlite3.SQLITE_FULL, StoreUnavailable, "make room"),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable, "what SQLite says): look for a full disk"),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnavailable, "a quota or a limit of file sizes"),
        (sqlite3.SQLITE_NOMEM, StoreUnavailable, "no memory left"),
        (sqlite3.SQLITE_PERM, StoreUnavailable, "check the owner and the mode"),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreUnavailable, "mounted read-only"),
        (sqlite3.SQLITE_PROTOCOL, StoreUnavailable, "try again"),
        (sqlite3.SQLITE_INTERRUPT, StoreUnavailable, "did not answer (what SQLite says)"),
        (sqlite3.SQLITE_CORRUPT_VTAB, StoreCorrupt, "end everybody's sessions"),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, StoreCorrupt, "restore a backup"),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt, "name another file"),
        (sqlite3.SQLITE_ERROR, StoreCorrupt, "another program changed it"),
    ],
)
def test_every_error_names_the_file_and_what_to_do(
    code: int, kind: type[Exception], words: str
) -> None:
    told = fault.explain(error_of(code), Path("/var/lib/app/sessions.db"), 5000)
    assert type(told) is kind
    assert str(told).startswith("the session file /var/lib/app/sessions.db ")
    assert words in str(told)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_MISUSE])
def test_a_mistake_of_the_caller_is_no_fault_of_the_store(code: int) -> None:
    assert fault.explain(error_of(code), Path("x.db"), 5000) is None
    assert fault.explain(sqlite3.ProgrammingError("by Python"), Path("x.db"), 5000) is None


def test_an_alias_of_the_wrong_length_is_the_callers_mistake(path: Path, suspends: bool) -> None:
    bench = bench_at(path, suspends=suspends)
    with pytest.raises(sqlite3.IntegrityError):
        finish(bench.store, bench.store.create(bench.new(alias=b"short")))


# --- locks ---


def test_a_lock_that_stays_makes_writes_unavailable_and_reads_go_on(
    path: Path, suspends: bool
) -> None:
    bench = bench_at(path, suspends=suspends, kind=Hasty)

    async def scene() -> None:
        new = await bench.login()
        with locked(path):
            assert await bench.lives(new)
            with pytest.raises(StoreUnavailable, match=r"locked by another process for 0\.04 s"):
                await bench.login()
            with pytest.raises(StoreUnavailable):
                await bench.store.append(Event("login_failed"))
        await bench.login()

    finish(bench.store, scene())


def test_a_queue_behind_a_lock_shares_one_deadline(path: Path) -> None:
    bench = bench_at(path, suspends=True, kind=Hasty)

    async def scene() -> list[object]:
        new = await bench.login()
        with locked(path):
            calls = [bench.store.data_set(new.alias, new.sid, {"a": b""}) for _ in range(8)]
            return list(await asyncio.gather(*calls, return_exceptions=True))

    answers = finish(bench.store, scene())
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 8


def test_work_whose_deadline_passed_in_the_queue_is_not_begun(path: Path) -> None:
    class Late(SQLiteStore):
        deadline = 0

    store = Late(path, suspends=True)
    with pytest.raises(StoreUnavailable, match="had a queue of writes that did not move for 0 s"):
        finish(store, store.prepare(META))
    assert not path.exists()


def test_a_lock_at_the_first_use_is_waited_for_and_then_reported(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        run_sync(Hasty(path).ping())
    db.close()
    finish(store := Hasty(path), store.prepare(META))


HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")
print("free", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("write", ["create", "touch", "data_set"])
def test_the_lock_of_another_process_does_not_freeze_the_loop(path: Path, write: str) -> None:
    bench = bench_at(path, suspends=True)

    async def scene() -> None:
        new = await bench.login()
        bench.clock.advance(60)
        calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "create": bench.login,
            "touch": lambda: bench.load(new, touch=60_000),
            "data_set": lambda: bench.store.data_set(new.alias, new.sid, {"a": b"1"}),
        }
        with process(HOLDER, path) as holder:
            assert line_of(holder) == "locked"
            waiting = asyncio.create_task(calls[write]())
            start = time.monotonic()
            for _ in range(500):
                await asyncio.sleep(0)
                assert not waiting.done()
            assert await bench.lives(new), "reads go on"
            assert time.monotonic() - start < 0.9, "a frozen loop waits for its deadline"
            tell(holder)
            assert line_of(holder) == "free"
            await waiting
        assert (await bench.record(new)).seen.last_seen <= bench.clock()

    finish(bench.store, scene())


def test_a_cancelled_caller_leaves_no_transaction(path: Path) -> None:
    bench = bench_at(path, suspends=True)

    async def scene() -> None:
        new = await bench.login()
        with locked(path):
            waiting = asyncio.create_task(bench.store.data_set(new.alias, new.sid, {"a": b"1"}))
            for _ in range(5):
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert await bench.store.data_incr(new.alias, new.sid, "b") == 1
        assert query(path, "BEGIN IMMEDIATE") == []

    finish(bench.store, scene())


class Stuck(sqlite3.Connection):
    """Cannot undo a transaction."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql == "ROLLBACK":
            raise sqlite3.OperationalError("stuck")
        return super().execute(sql, parameters)


def test_a_connection_that_cannot_undo_is_closed(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    store = bench.store
    assert isinstance(store, SQLiteStore)
    (handle,) = store._link.handles.values()
    handle.close()
    stuck = sqlite3.connect(path, isolation_level=None, factory=Stuck)
    handle.db = stuck
    strange: Any = {"object": object()}
    with pytest.raises(TypeError):
        run_sync(store.append(Event("x", detail=strange)))
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        stuck.cursor()
    assert query(path, "BEGIN IMMEDIATE") == [], "the lock is free"
    assert run_sync(bench.lives(new))
    run_sync(store.close())


@pytest.mark.parametrize("times", [2, 10_000])
def test_opening_waits_for_the_lock_of_others(
    path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    real, calls = schema.refuse_rollback_journal, []

    def busy(db: sqlite3.Connection, path: Path) -> None:
        calls.append(db)
        if len(calls) <= times:
            raise error_of(sqlite3.SQLITE_BUSY)
        real(db, path)

    monkeypatch.setattr(handle, "refuse_rollback_journal", busy)
    if times == 2:
        store = SQLiteStore(path)
        finish(store, store.ping())
        assert len(calls) == 3
    else:
        hasty = Hasty(path)
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            finish(hasty, hasty.ping())


class Boom(Exception):
    pass


def test_an_exception_inside_a_transaction_undoes_it(path: Path, suspends: bool) -> None:
    broken = [False]

    def clock() -> int:
        if broken[0]:
            raise Boom  # the time is taken once the lock is held
        return 1_800_000_000_000

    store = SQLiteStore(path, suspends=suspends, clock=clock)
    bench = Bench(lambda _: store)

    async def scene() -> None:
        new = await bench.login()
        strange: Any = {"object": object()}
        with pytest.raises(TypeError):
            await store.create(bench.new(alias=new.alias), Event("x", detail=strange))
        assert len((await store.sessions(new.alias)).records) == 1
        broken[0] = True
        with pytest.raises(Boom):
            await store.data_set(new.alias, new.sid, {"a": b"1"})
        broken[0] = False
        assert query(path, "BEGIN IMMEDIATE") == [], "the lock is free"
        assert await store.data_get(new.alias, new.sid) == {}
        too_many = {f"n{number}": b"" for number in range(200)}
        assert await store.data_set(new.alias, new.sid, too_many)
        with pytest.raises(ValueError, match="at most 256"):
            await store.data_set(new.alias, new.sid, {f"m{n}": b"" for n in range(57)})
        with pytest.raises(ValueError, match="257 data fields: at most 256"):
            await store.data_set(new.alias, new.sid, {f"m{n}": b"" for n in range(257)})
        assert len(await store.data_get(new.alias, new.sid)) == 200

    finish(store, scene())


def test_what_must_not_be_lost_waits_for_the_disk(path: Path) -> None:
    bench = bench_at(path)
    store = bench.store
    new = run_sync(bench.login())
    assert isinstance(store, SQLiteStore)
    (handle,) = store._link.handles.values()
    assert handle.db is not None

    def level() -> int:
        assert handle.db is not None
        return int(handle.db.execute("PRAGMA synchronous").fetchone()[0])

    full, normal = 2, 1
    alias, sid, secret = new.alias, new.sid, new.secret_hash
    steps: list[tuple[Callable[[], Coroutine[Any, Any, object]], int]] = [
        (lambda: store.data_set(alias, sid, {"a": b""}), normal),
        (bench.login, full),
        (lambda: store.load(alias, sid, secret, touch=0), full),  # not due: nothing is written
        (lambda: store.append(Event("login_failed")), normal),
        (lambda: store.rotate(alias, sid, secret, bench.secret()), full),
        (lambda: store.count("k", "n", window=HOUR), normal),
        (lambda: store.revoke(alias, reason=EndReason.USER), full),
        (lambda: store.append(Event("login_failed")), normal),
        (lambda: store.disable(alias), full),
        (lambda: store.append(Event("login_failed")), normal),
        (lambda: store.forget(alias, "anna"), full),
        (lambda: store.append(Event("login_failed")), normal),
        (store.revoke_everyone, full),
    ]
    for number, (step, expected) in enumerate(steps):
        run_sync(step())
        assert level() == expected, f"step {number}"
    run_sync(store.close())
