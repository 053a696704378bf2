"""The SQLite store when its file is not what it was: deleted, replaced, set back, damaged, full.

Long runs of the same (killed processes, real disks, random damage, power cuts) are in tests/full.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_kit import Hasty, bench_at, error_of, finish, locked, query

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreError, StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.answer import Memory, Standing
from gatehound.stores.rule import HOUR
from gatehound.stores.sqlite import SQLiteStore, fault, link, place, row
from gatehound.testing import Bench


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def suspends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(autouse=True)
def watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "WATCH_EVERY", 0.0)  # look each time: nothing here waits a second


def beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")


def moved(path: Path, to: Path) -> Path:
    return path.replace(to)


def backup_of(path: Path, into: Path) -> None:
    """Copy a database as `sqlite3 file .backup` does."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(into)) as copy:
        source.backup(copy)


# --- another file, or none ---


def test_a_deleted_file_is_not_made_anew_while_the_app_runs(path: Path, suspends: bool) -> None:
    bench = bench_at(path, suspends=suspends)

    async def scene() -> None:
        new = await bench.login()
        away = moved(path, path.with_name("away.db"))
        for call in (bench.login, lambda: bench.load(new)):
            with pytest.raises(StoreUnavailable, match=r"deleted or moved.*move it back, or rest"):
                await call()
        assert place.identity(path) is None
        moved(away, path)
        assert await bench.lives(new), "nothing has to be restarted"

    finish(bench.store, scene())


def test_a_file_put_into_the_place_of_another_needs_a_restart(path: Path, suspends: bool) -> None:
    bench = bench_at(path, suspends=suspends)
    backup = path.with_name("backup.db")

    async def scene() -> None:
        new = await bench.login()
        backup_of(path, backup)
        await bench.store.revoke(new.alias, reason=EndReason.PASSWORD_CHANGED)
        moved(backup, path)
        for call in (bench.login, lambda: bench.load(new), bench.events):
            with pytest.raises(StoreUnavailable, match=r"was replaced.*end everybody's sessions"):
                await call()

    finish(bench.store, scene())


def test_who_had_a_deleted_file_open_takes_nothing_from_the_new_one(path: Path) -> None:
    """SQLite deletes a WAL by its name when the last connection of a file closes."""
    old = bench_at(path)
    run_sync(old.login())
    for entry in (path, beside(path, "-wal"), beside(path, "-shm")):
        entry.unlink()
    fresh = bench_at(path)
    new = run_sync(fresh.login())
    with pytest.raises(StoreUnavailable, match="was replaced"):
        run_sync(old.login())
    run_sync(old.store.close())
    assert beside(path, "-wal").exists()
    other = SQLiteStore(path, clock=fresh.clock)
    answer = run_sync(other.load(new.alias, new.sid, new.secret_hash))
    assert answer.standing is Standing.LIVE
    run_sync(other.close())
    run_sync(fresh.store.close())


def test_a_backup_that_is_restored_under_a_running_app_is_noticed(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login(Event("session_created", "anna")))
    backup = path.with_name("backup.db")
    backup_of(path, backup)
    ended = Event("session_terminated", "anna")
    run_sync(bench.store.revoke(new.alias, reason=EndReason.PASSWORD_CHANGED, event=ended))
    backup_of(backup, path)
    for call in (bench.login, lambda: bench.load(new)):
        with pytest.raises(StoreUnavailable, match=r"was set back.*end everybody's sessions"):
            run_sync(call())
    run_sync(bench.store.close())


def test_a_file_that_is_overwritten_in_place_shows_nobody_somebody_else(path: Path) -> None:
    """`cp backup sessions.db` under a running app: the WAL and the caches are of another file."""
    bench = bench_at(path)
    told = [run_sync(bench.login(user_id=f"user-{number}")) for number in range(30)]
    run_sync(bench.store.forget(b"x" * 12, "x"))
    shutil.copyfile(path, path.with_name("backup.db"))
    told += [run_sync(bench.login(user_id=f"user-{30 + number}")) for number in range(30)]
    for new in told[:10]:
        run_sync(bench.store.revoke(new.alias, reason=EndReason.USER))
    with path.open("r+b") as file:  # not opened for reading: closing it drops no lock of ours
        file.write(path.with_name("backup.db").read_bytes())
        file.truncate()
    again = SQLiteStore(path, clock=bench.clock)
    for store in (bench.store, again):
        for new in told:
            try:
                answer = run_sync(store.load(new.alias, new.sid, new.secret_hash, touch=0))
            except StoreError:
                continue
            if answer.record is not None:
                assert (answer.record.user_id, answer.record.sid) == (new.user_id, new.sid)
        run_sync(store.close())


@pytest.mark.parametrize("content", [b"", b"something else " * 400])
def test_a_file_that_is_emptied_or_overwritten_in_use_is_no_new_one(
    path: Path, suspends: bool, content: bytes
) -> None:
    bench = bench_at(path, suspends=suspends)
    write = path.write_bytes

    async def scene() -> None:
        new = await bench.login()
        for handle in bench.store._link.handles.values():  # type: ignore[attr-defined]  # of the store
            handle.close()
        write(content)
        with pytest.raises(StoreCorrupt, match=r"overwritten while it was in use|is not an SQLite"):
            await bench.load(new)

    finish(bench.store, scene())
    assert path.read_bytes() == content


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_wal_without_its_database_is_kept(path: Path, left: str) -> None:
    """SQLite would delete it unread, and with it what could still be saved."""
    bench = bench_at(path)
    new = run_sync(bench.login())
    wal = beside(path, "-wal").read_bytes()
    whole = path.read_bytes()
    run_sync(bench.store.close())
    path.unlink()
    beside(path, "-wal").write_bytes(wal)
    if left == "an empty file":
        path.touch()
    with pytest.raises(StoreCorrupt, match="missing or empty, but its -wal is there: put"):
        run_sync(bench.lives(new))
    assert beside(path, "-wal").read_bytes() == wal
    path.write_bytes(whole)
    assert run_sync(bench.lives(new))
    run_sync(bench.store.close())


def test_a_database_of_something_else_in_use_is_corrupt(path: Path) -> None:
    bench = bench_at(path)
    run_sync(bench.login())
    query(path, "PRAGMA application_id = 7")
    run_sync(bench.store.ping())
    (handle,) = bench.store._link.handles.values()  # type: ignore[attr-defined]  # of the store
    handle.close()
    with pytest.raises(StoreCorrupt, match="overwritten while it was in use"):
        run_sync(bench.store.ping())
    run_sync(bench.store.close())


def test_a_path_that_cannot_be_looked_at_is_unavailable(path: Path) -> None:
    path.parent.joinpath("file").touch()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        place.identity(path.parent / "file" / path.name)


def test_closing_the_store_takes_what_is_there_then(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    run_sync(bench.store.close())
    path.unlink()
    assert not run_sync(bench.lives(new)), "as after a restart"
    run_sync(bench.store.close())


# --- damage ---


@pytest.mark.parametrize(
    "change",
    [
        "user_id = x'626F62'",
        "whose = whose + 1",
        "alias = alias, secret = 'a text of 16 ch'||'.'",
        "last_seen = 'long ago'",
        "roles = CAST(x'FF' AS TEXT)",
        "roles = CAST(x'C3' AS TEXT)",
        "confirmed = x'00'",
    ],
)
def test_a_session_whose_row_was_changed_is_nobodys(path: Path, change: str) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login(user_id="anna"))
    query(path, f"UPDATE sessions SET {change}")  # noqa: S608 - of the table above
    with pytest.raises(StoreCorrupt, match=r"restore a backup.*let everybody sign in again"):
        run_sync(bench.load(new))
    run_sync(bench.store.close())


@pytest.mark.parametrize(
    ("table", "change", "name"),
    [
        ("tombstones", "at = 'x'", "load"),
        ("tombstones", "reason = 'x'", "load"),
        ("memories", "data = 'text'", "recall"),
        ("data", "value = 'text'", "data_get"),
        ("data", "name = x'FF'", "data_get"),
        ("epochs", "epoch = 'x'", "epoch"),
        ("sessions", "idle = 'x'", "data_get"),
    ],
)
def test_other_rows_that_were_changed_are_corrupt(
    path: Path, table: str, change: str, name: str
) -> None:
    bench = bench_at(path)
    store = bench.store
    other = run_sync(bench.login())
    run_sync(store.revoke(other.alias, reason=EndReason.USER))
    new = run_sync(bench.login(Event("x", "anna"), memory=b"m", alias=other.alias))
    run_sync(store.data_set(new.alias, new.sid, {"a": b"1"}))
    query(path, f"UPDATE {table} SET {change}")  # noqa: S608 - of the table above
    calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "load": lambda: bench.load(other),
        "recall": lambda: store.recall(new.alias, new.sid),
        "data_get": lambda: store.data_get(new.alias, new.sid),
        "epoch": lambda: store.epoch(new.alias),
    }
    with pytest.raises(StoreCorrupt, match=f"a row of the table {table} cannot be read"):
        run_sync(calls[name]())
    run_sync(store.close())


def test_a_reason_of_a_later_release_reads_as_admin() -> None:
    assert row.to_tombstone(200, 1).reason is EndReason.ADMIN
    assert row.to_tombstone(-1, 1).reason is EndReason.ADMIN


def test_a_schema_that_is_garbage_is_corrupt(path: Path) -> None:
    """SQLite quotes it in its error, and Python cannot decode that."""
    finish(store := SQLiteStore(path), store.ping())
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"CREATE TABLE meta", b"CR\xffATE TABLE meta"))
    with pytest.raises(StoreCorrupt, match=r"is damaged.*restore a backup"):
        run_sync(store.ping())
    run_sync(store.close())


def test_what_python_cannot_decode_is_damage_and_not_the_callers_mistake() -> None:
    told = fault.explain(sqlite3.OperationalError("Could not decode to UTF-8"), Path("x.db"), 5)
    assert isinstance(told, StoreCorrupt)


# --- what may be left out ---


@pytest.mark.parametrize("fault_", ["locked", "full"])
def test_a_load_that_cannot_write_still_answers(
    path: Path, suspends: bool, fault_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_at(path, suspends=suspends, kind=Hasty)
    real = link.Link._transact

    def full(self: Any, *given: Any) -> Any:
        real(self, *given)
        raise error_of(sqlite3.SQLITE_FULL)

    async def scene() -> None:
        new = await bench.login()
        over = await bench.login(idle=60_000, alias=new.alias)
        turned, secret = await bench.login(), bench.secret()
        await bench.store.rotate(turned.alias, turned.sid, turned.secret_hash, secret, grace=60_000)
        bench.clock.advance(120)
        with monkeypatch.context() as patch, locked(path):
            if fault_ == "full":
                patch.setattr(link.Link, "_transact", full)
            touched = await bench.load(new, touch=60_000)
            assert (touched.standing, touched.was_seen) == (Standing.LIVE, 0)
            ended = await bench.load(over)
            assert (ended.standing, ended.expired) == (Standing.ENDED, False)
            assert ended.ended is not None
            assert ended.ended.reason is EndReason.IDLE
            confirmed = await bench.store.load(turned.alias, turned.sid, secret)
            assert confirmed.standing is Standing.LIVE
            assert (await bench.load(turned)).standing is Standing.GRACE
            unknown = await bench.store.load(new.alias, b"nothing!", secret, touch=0)
            assert unknown.standing is Standing.UNKNOWN
            listed = await bench.store.sessions(new.alias)
            assert [record.sid for record in listed.records] == [new.sid]
            assert listed.finished == ()
        monkeypatch.setattr(bench.store._link, "_tired", 0.0)  # type: ignore[attr-defined]  # a second later
        assert (await bench.load(new, touch=60_000)).was_seen
        assert (await bench.load(over)).expired

    finish(bench.store, scene())


def test_an_operator_reads_that_activity_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = bench_at(path, kind=Hasty)
    new = run_sync(bench.login())
    bench.clock.advance(120)
    with locked(path):
        run_sync(bench.load(new, touch=60_000))
        assert caplog.records == [], "a moment of many logins is no fault"
        monkeypatch.setattr(link, "SAY_AFTER", 0.0)
        run_sync(bench.load(new, touch=60_000))
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("gatehound.stores.sqlite", logging.WARNING)
    assert "signed out as idle: the session file" in line.getMessage()
    run_sync(bench.store.close())


def test_a_touch_waits_while_a_lock_is_short(path: Path, suspends: bool) -> None:
    """Through the retries: the lock is free at the third try."""
    bench = bench_at(path, suspends=suspends)
    real, tries = link.Link._attempt, [0]

    def busy_twice(self: Any, work: Any, kind: Any, **given: Any) -> Any:
        if kind is link.Kind.WRITE:
            tries[0] += 1
            if tries[0] < 3:
                raise error_of(sqlite3.SQLITE_BUSY)
        return real(self, work, kind, **given)

    async def scene() -> None:
        new = await bench.login()
        bench.clock.advance(120)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(link.Link, "_attempt", busy_twice)
            assert (await bench.load(new, touch=60_000)).was_seen
        assert tries[0] == 3

    finish(bench.store, scene())


def test_a_lock_costs_one_touch_a_second_its_wait(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    bench.clock.advance(120)
    patiences = []
    real = link.Link._explained

    def noted(self: Any, work: Any, kind: Any, patience: int, until: float) -> Any:
        if kind is link.Kind.WRITE:
            patiences.append(patience)
        return real(self, work, kind, patience, until)

    with pytest.MonkeyPatch.context() as patch, locked(path):
        patch.setattr(link.Link, "_explained", noted)
        for _ in range(3):
            run_sync(bench.load(new, touch=60_000))
    assert patiences == [250, 0, 0]
    run_sync(bench.store.close())


# --- what waits for the disk ---

FULL, NORMAL = "FULL", "NORMAL"


def test_every_write_commits_with_the_setting_that_its_loss_deserves(
    path: Path, suspends: bool
) -> None:
    """Asked at each COMMIT, of the connection that commits."""
    bench = bench_at(path, suspends=suspends)
    store = bench.store
    assert isinstance(store, SQLiteStore)
    commits: list[str] = []
    real = link.Link._transact

    def traced(self: Any, handle: Any, db: sqlite3.Connection, *given: Any) -> Any:
        answer = real(self, handle, db, *given)
        level = db.execute("PRAGMA synchronous").fetchone()[0]
        (mode,) = db.execute("PRAGMA journal_mode").fetchone()
        assert mode == "wal"
        commits.append({1: NORMAL, 2: FULL}[level])
        return answer

    async def scene() -> None:
        new = await bench.login()
        alias, sid, secret, fresh = new.alias, new.sid, new.secret_hash, bench.secret()
        bench.clock.advance(120)
        steps: list[tuple[str, Callable[[], Coroutine[Any, Any, object]]]] = [
            (FULL, bench.login),
            (NORMAL, lambda: bench.load(new, touch=60_000)),
            (NORMAL, lambda: store.remember(alias, sid, secret, memory=Memory(b"m"))),
            (FULL, lambda: store.remember(alias, sid, secret, set_flags=4)),
            (NORMAL, lambda: store.remember(alias, sid, secret, clear_flags=4)),
            (NORMAL, lambda: store.data_set(alias, sid, {"a": b"1"})),
            (NORMAL, lambda: store.data_incr(alias, sid, "a")),
            (NORMAL, lambda: store.data_delete(alias, sid, ["a"])),
            (NORMAL, lambda: store.append(Event("login_failed"))),
            (NORMAL, lambda: store.count("k", "n", window=HOUR)),
            (FULL, lambda: store.rotate(alias, sid, secret, fresh)),
            (FULL, lambda: store.revoke(alias, only=sid, reason=EndReason.USER)),
            (FULL, lambda: store.revoke(alias, reason=EndReason.USER)),
            (FULL, lambda: store.disable(alias)),
            (FULL, lambda: store.enable(alias)),
            (FULL, lambda: store.forget(alias, "anna")),
            (FULL, store.revoke_everyone),
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(link.Link, "_transact", traced)
            for number, (expected, step) in enumerate(steps):
                commits.clear()
                await step()
                assert commits == [expected], f"step {number}"

    finish(store, scene())


def test_directories_that_are_made_are_on_the_disk_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    path = tmp_path / "state" / "app" / "sessions.db"
    finish(store := SQLiteStore(path), store.ping())
    assert synced == [tmp_path.name, "state"], "SQLite itself syncs the last one"


def test_on_a_full_disk_an_end_of_a_session_is_tried_twice(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    real, calls = link.Link._attempt, []

    def full_once(self: Any, work: Any, kind: Any, **given: Any) -> Any:
        calls.append(kind)
        if len(calls) == 1:
            raise error_of(sqlite3.SQLITE_FULL)
        return real(self, work, kind, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link.Link, "_attempt", full_once)
        run_sync(bench.store.revoke(new.alias, reason=EndReason.ADMIN))
        assert calls == [link.Kind.ENDING, link.Kind.LOOK, link.Kind.DURABLE]
        calls.clear()
        with pytest.raises(StoreUnavailable, match="make room"):
            run_sync(bench.login())
    assert not run_sync(bench.lives(new))
    run_sync(bench.store.close())


def test_two_benches_of_one_file_are_two_stores(path: Path) -> None:
    """A store learns of what another one wrote: the number of events only grows for both."""
    one, two = bench_at(path), Bench(lambda clock: SQLiteStore(path, clock=clock))
    for bench in (one, two, one, two):
        run_sync(bench.store.append(Event("login_failed")))
    run_sync(one.store.close())
    run_sync(two.store.close())
