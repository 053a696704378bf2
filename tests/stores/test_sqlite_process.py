"""The SQLite store in threads, in several processes, and through forks.

What waits for a process waits for a line from it; nothing sleeps.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlite_kit import (
    META,
    T,
    bench_at,
    finish,
    fork,
    in_child,
    line_of,
    process,
    query,
    tell,
)

from gatehound._sync import run_sync
from gatehound.model import EndReason
from gatehound.stores.answer import (
    Created,
    NewSession,
    Standing,
)
from gatehound.stores.sqlite import SQLiteStore, link, place
from gatehound.testing import Bench


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def suspends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# --- threads ---


class Patient(SQLiteStore):
    """Its writers wait for each other, and for a disk that others use, too."""

    deadline = 10_000


@pytest.mark.slow
def test_eight_threads_keep_the_limit(path: Path) -> None:
    store = Patient(path)
    bench = Bench(lambda _: store)
    run_sync(store.prepare(META))
    alias = bench.alias()
    work = [[bench.new(alias=alias, limit=5) for _ in range(12)] for _ in range(8)]
    start = threading.Barrier(8)

    def hammer(share: list[NewSession]) -> int:
        start.wait()
        for new in share:
            assert isinstance(run_sync(store.create(new)), Created)
            run_sync(store.load(alias, new.sid, new.secret_hash, touch=0))
        return len(run_sync(store.sessions(alias)).records)

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(hammer, work)) <= 5
    listed = run_sync(store.sessions(alias)).records
    assert len(listed) == 5
    run_sync(store.close())


def test_two_loops_use_one_store(path: Path) -> None:
    bench = bench_at(path, suspends=True)
    new = asyncio.run(bench.login())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: asyncio.run(bench.lives(new))).result()
    assert asyncio.run(bench.lives(new))
    asyncio.run(bench.store.close())


def test_a_store_that_nobody_holds_closes_its_connections(path: Path) -> None:
    store = SQLiteStore(path)
    run_sync(store.prepare(META))
    wal = path.with_name(path.name + "-wal")
    assert wal.exists()
    del store
    gc.collect()
    assert not wal.exists(), "the last connection takes the WAL with it"


# --- processes ---

RACER = """
import sys
from gatehound._sync import run_sync
from gatehound.stores.answer import Created, Meta
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import Bench
path, number = sys.argv[1], int(sys.argv[2])
store = SQLiteStore(path)
bench = Bench(lambda clock: store)
bench._minted = number * 1_000_000
print("ready", flush=True)
sys.stdin.readline()
run_sync(store.prepare(Meta(b"f" * 16, "default")))
alias = b"a" * 12
for _ in range(40):
    assert isinstance(run_sync(store.create(bench.new(alias=alias, limit=5))), Created)
    assert len(run_sync(store.sessions(alias)).records) <= 5
print("done", flush=True)
"""


@pytest.mark.slow
def test_processes_make_the_file_at_once_and_keep_the_limit(path: Path) -> None:
    with ExitStack() as stack:
        racers = [stack.enter_context(process(RACER, path, number)) for number in (1, 2, 3)]
        assert [line_of(racer) for racer in racers] == ["ready"] * 3
        for racer in racers:
            tell(racer)
        assert [line_of(racer) for racer in racers] == ["done"] * 3
    store = SQLiteStore(path)
    assert len(run_sync(store.sessions(b"a" * 12)).records) == 5
    run_sync(store.close())
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


WRITER = """
import sys
from gatehound._sync import run_sync
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import Bench
store = SQLiteStore(sys.argv[1])
bench = Bench(lambda clock: store)
while True:
    new = run_sync(bench.login())
    print(new.alias.hex(), new.sid.hex(), new.secret_hash.hex(), flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_loses_no_login_that_it_told_of(path: Path) -> None:
    with process(WRITER, path) as writer:
        told = [line_of(writer) for _ in range(50)]
        writer.kill()
        assert writer.stdout is not None
        told += [line for line in writer.stdout.read().splitlines() if len(line.split()) == 3]
    store = SQLiteStore(path)
    for line in told:
        alias, sid, secret = map(bytes.fromhex, line.split())
        assert run_sync(store.load(alias, sid, secret)).standing is Standing.LIVE
    run_sync(store.close())
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


# --- forks ---


def test_a_forked_child_and_its_parent_both_go_on(path: Path, suspends: bool) -> None:
    bench = bench_at(path, suspends=suspends)

    def whole(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work) if suspends else run_sync(work)

    new = whole(bench.login())  # left open, with its thread

    def child() -> str:
        if not whole(bench.lives(new)):
            return "the session is not there"
        whole(bench.login(alias=new.alias, sid=b"childchd"))
        return "written"

    assert in_child(child) == "written"
    sids = {record.sid for record in whole(bench.store.sessions(new.alias)).records}
    assert sids == {new.sid, b"childchd"}
    whole(bench.login(alias=new.alias))
    finish(bench.store, bench.store.ping())


def test_a_parent_that_closes_does_not_take_the_wal_from_its_child(path: Path) -> None:
    """SQLite's table of locks is inherited, the locks are not: see rule 2 of the link."""
    bench = bench_at(path)
    new = run_sync(bench.login())
    told_child, tell_child = os.pipe()
    told_parent, tell_parent = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            run_sync(bench.lives(new))
            os.write(tell_parent, b"open")
            os.read(told_child, 1)
            run_sync(bench.store.revoke(new.alias, reason=EndReason.PASSWORD_CHANGED))
            os.write(tell_parent, b"done")
        finally:
            os._exit(0)  # without closing: as a worker that is killed
    assert os.read(told_parent, 4) == b"open"
    run_sync(bench.store.close())
    os.write(tell_child, b"x")
    assert os.read(told_parent, 4) == b"done"
    os.waitpid(pid, 0)
    for end in (told_child, tell_child, told_parent, tell_parent):
        os.close(end)
    assert not run_sync(bench.lives(new)), "a revocation that the child was told is stored"
    run_sync(bench.store.close())


def test_a_connection_at_work_during_a_fork_is_inherited_and_never_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "FORK_WAIT", 0.01)
    inside, go = threading.Event(), threading.Event()
    blocking = threading.local()

    def clock() -> int:
        if getattr(blocking, "now", False):
            inside.set()
            assert go.wait(10)
        return 1_800_000_000_000

    store = SQLiteStore(path, clock=clock)
    bench = Bench(lambda _: store)
    new = run_sync(bench.login())

    def slow_write() -> bool:
        blocking.now = True
        return run_sync(store.data_set(new.alias, new.sid, {"a": b"1"}))

    def child() -> str:
        handles = store._link.handles
        kept = link._inherited
        return f"{len(handles)} {len(kept)} {run_sync(bench.lives(new))}"

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(slow_write)
        assert inside.wait(10)
        assert in_child(child) == "0 1 True"
        go.set()
        assert writing.result()
    run_sync(store.close())


def test_a_fork_while_another_thread_holds_the_gate_leaves_the_child_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "FORK_WAIT", 0.01)
    bench = bench_at(path)
    new = run_sync(bench.login())
    with link._gate, place._making:
        assert in_child(lambda: str(run_sync(bench.lives(new)))) == "True"
    assert run_sync(bench.lives(new))
    run_sync(bench.store.close())
