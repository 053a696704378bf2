"""The SQLite store's file: where it may be, and what is in it.

The contract itself is in test_conformance, locks and errors in test_sqlite_lock, threads,
processes and forks in test_sqlite_process, what stays in the file in test_sqlite_kept.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest
from sqlite_kit import (
    META,
    bench_at,
    finish,
    in_child,
    query,
)

from gatehound._sync import run_sync
from gatehound.errors import SettingsError, StoreCorrupt, StoreMismatch, StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    Meta,
    Refused,
)
from gatehound.stores.sqlite import SQLiteStore, place, schema


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def suspends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# --- where the file is ---


def test_nothing_is_opened_at_construction(path: Path) -> None:
    store = SQLiteStore(path.parent / "missing" / path.name)
    assert not store.path.parent.exists()


def test_only_the_owner_reads_the_file_and_what_is_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "app" / "sessions.db"
    store = SQLiteStore(path)
    before = os.umask(0)
    try:
        run_sync(store.prepare(META))
    finally:
        os.umask(before)
    modes = {
        entry.name: stat.S_IMODE(entry.stat().st_mode)
        for entry in (path.parent.parent, path.parent, *path.parent.iterdir())
    }
    assert modes == {
        "state": 0o700,
        "app": 0o700,
        "sessions.db": 0o600,
        "sessions.db-wal": 0o600,
        "sessions.db-shm": 0o600,
    }
    run_sync(store.close())


def test_the_mode_of_a_file_that_is_there_stays(path: Path) -> None:
    path.touch(0o640)
    path.chmod(0o640)
    store = SQLiteStore(path)
    run_sync(store.prepare(META))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    run_sync(store.close())


@pytest.mark.parametrize("name", [":memory:", "", " ", "file:x?mode=memory"])
def test_a_database_in_memory_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="memory://"):
        SQLiteStore(name)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path)
    with pytest.raises(SettingsError, match="is a directory: name a file in it"):
        run_sync(store.ping())


def test_a_file_in_the_place_of_a_directory_makes_the_store_unavailable(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreUnavailable, match=r"cannot be made \(Not a directory\)"):
        run_sync(SQLiteStore(path / "sessions.db").ping())


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export /srv nfs4 rw 0 0
/dev/vdb /srv/local xfs rw 0 0
host:/home /home/anna\\040b fuse.sshfs rw 0 0
odd
"""


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/", "ext4"),
        ("/var/lib/app", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/app", "nfs4"),
        ("/srvapp", "ext4"),
        ("/srv/local/app", "xfs"),
        ("/home/anna b/state", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_directory(
    directory: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "mounts")
    assert place.file_system(Path(directory)) == expected


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = path.parent / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {path.parent.resolve()} nfs4 rw 0 0\n")
    monkeypatch.setattr(place, "MOUNTS", mounts)
    store = SQLiteStore(path)
    with pytest.raises(SettingsError, match=r"network file system \(nfs4\).*`redis://`"):
        run_sync(store.ping())
    assert not path.exists()


def test_a_system_without_a_list_of_mounts_refuses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "MOUNTS", path.parent / "nothing")
    assert place.file_system(path.parent) == ""


def test_a_file_system_without_shared_memory_is_refused() -> None:
    db = sqlite3.connect(":memory:")
    with pytest.raises(SettingsError, match="without shared memory"):
        schema.refuse_rollback_journal(db, Path("x.db"))
    db.close()


# --- what is in the file ---


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    query(path, "CREATE TABLE recipes (name)")
    with pytest.raises(SettingsError, match="give gatehound a file of its own"):
        run_sync(SQLiteStore(path).ping())
    assert query(path, "SELECT name FROM sqlite_master") == [("recipes",)]
    assert query(path, "PRAGMA journal_mode") == [("delete",)]


def test_a_file_of_a_later_release_is_refused(path: Path) -> None:
    finish(store := SQLiteStore(path), store.prepare(META))
    query(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreMismatch, match="has layout 99, this release reads 3"):
        run_sync(SQLiteStore(path).ping())


def test_a_mismatch_names_what_differs_and_no_fingerprint(path: Path, suspends: bool) -> None:
    finish(store := SQLiteStore(path, suspends=suspends), store.prepare(META))
    with pytest.raises(StoreMismatch, match=r"identity_key differs.*give the old one back") as info:
        finish(store, store.prepare(Meta(b"g" * 16, "other")))
    assert len(info.value.problems) == 2
    assert "gggg" not in str(info.value)
    assert "namespace is 'other', but this store was first used with 'default'" in str(info.value)
    finish(store, store.prepare(META))


def test_a_file_that_is_no_database_is_corrupt(path: Path, suspends: bool) -> None:
    path.write_bytes(b"These are the notes of somebody. " * 100)
    store = SQLiteStore(path, suspends=suspends)
    with pytest.raises(StoreCorrupt, match=rf"{path} is not an SQLite database: name another"):
        finish(store, store.ping())


def test_a_damaged_file_is_corrupt_and_says_what_to_do(path: Path, suspends: bool) -> None:
    bench = bench_at(path, suspends=suspends)
    new = finish(bench.store, bench.login())
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreCorrupt, match=r"is damaged.*restore a backup.*-wal and -shm"):
        finish(bench.store, bench.load(new))


def test_tables_that_vanish_while_the_store_is_open_are_reported(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    query(path, "DROP TABLE sessions")
    with pytest.raises(StoreCorrupt, match=r"does not hold the tables.*no such table: sessions"):
        run_sync(bench.load(new))
    run_sync(bench.store.close())


def test_a_row_that_cannot_be_read_is_corrupt(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    query(path, "UPDATE sessions SET roles = '{'")
    with pytest.raises(StoreCorrupt, match="a row of the table sessions cannot be read"):
        run_sync(bench.load(new))
    query(path, "UPDATE sessions SET roles = '[]'")
    run_sync(bench.store.append(Event("login_failed", new.user_id)))
    query(path, "UPDATE events SET body = '[]'")
    with pytest.raises(StoreCorrupt, match="event 1"):
        run_sync(bench.store.export(new.alias, new.user_id))
    run_sync(bench.store.close())


def test_a_full_disk_makes_the_store_unavailable_and_leaves_no_transaction(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    store = bench.store
    assert isinstance(store, SQLiteStore)
    (handle,) = store._link.handles.values()
    assert handle.db is not None
    handle.db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnavailable, match="the disk is full or a quota is reached"):
        run_sync(store.data_set(new.alias, new.sid, {"big": bytes(60_000)}))
    assert run_sync(store.data_get(new.alias, new.sid)) == {}
    handle.db.execute("PRAGMA max_page_count = 1000000")
    assert run_sync(store.data_set(new.alias, new.sid, {"big": bytes(60_000)}))
    run_sync(store.close())


@pytest.mark.slow
def test_a_read_only_directory_makes_the_store_unavailable() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sessions.db")
        bench = bench_at(path)
        finish(bench.store, bench.login())
        for entry, mode in ((path, 0o444), (Path(folder), 0o555)):
            entry.chmod(mode)

        def child() -> str:
            if os.geteuid() == 0:  # root may write anywhere
                os.setgid(65534)
                os.setuid(65534)
            try:
                run_sync(bench.login())
            except StoreUnavailable as error:
                return str(error)
            return "it was written"

        text = in_child(child)
        Path(folder).chmod(0o755)
    assert f"the session file {path} " in text
    assert "this process" in text
    assert "check" in text


def test_two_processes_that_meet_an_empty_file_make_one_set_of_tables(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = schema._marks, []

    def overtaken(db: sqlite3.Connection) -> tuple[int, int]:
        calls.append(db)
        if len(calls) == 1:
            finish(other := SQLiteStore(path), other.prepare(META))
            return (0, 0)
        return real(db)

    monkeypatch.setattr(schema, "_marks", overtaken)
    finish(store := SQLiteStore(path), store.prepare(META))
    assert len(calls) == 4, "each looked, got the lock and looked again"


def test_a_login_that_was_ended_is_not_brought_back_by_its_repetition(path: Path) -> None:
    bench = bench_at(path)
    new = run_sync(bench.login())
    run_sync(bench.store.revoke(new.alias, only=new.sid, reason=EndReason.ADMIN))
    assert run_sync(bench.store.create(new)) == Refused("sid", bench.clock())
    run_sync(bench.store.close())
