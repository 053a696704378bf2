"""What an operator is told of a session file before it is a fault."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlite_kit import bench_at, finish

from gatehound._sync import run_sync
from gatehound.stores.sqlite import SQLiteStore, findings
from gatehound.stores.sqlite.findings import findings as findings_of


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library without the bug and a disk with room, whatever this machine has."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    usage = SimpleNamespace(total=100 * 2**30, free=50 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    finish(bench := bench_at(tmp_path / "sessions.db").store, bench.ping())
    return tmp_path / "sessions.db"


def codes(path: Path, *, check_pages: bool = False, suspends: bool = False) -> list[str]:
    store = SQLiteStore(path, suspends=suspends)
    return [finding.code for finding in finish(store, findings_of(store, check_pages=check_pages))]


def test_nothing_is_found_of_a_good_file_or_of_none(path: Path) -> None:
    assert codes(path) == []
    assert codes(path, check_pages=True) == []
    assert codes(path, check_pages=True, suspends=True) == []
    assert codes(path.with_name("later.db"), check_pages=True) == []
    assert not path.with_name("later.db").exists()


@pytest.mark.parametrize(
    ("mode", "levels"),
    [(0o600, []), (0o660, ["note"]), (0o640, ["note"]), (0o604, ["danger"]), (0o666, ["danger"])],
)
def test_who_else_may_read_the_file(path: Path, mode: int, levels: list[str]) -> None:
    path.chmod(mode)
    found = run_sync(findings_of(SQLiteStore(path)))
    assert [finding.level for finding in found] == levels
    for finding in found:
        assert finding.code == "session-file-open"
        assert finding.fix == f"chmod 600 {path}"


def test_the_wal_counts_too(path: Path) -> None:
    bench = bench_at(path)
    run_sync(bench.login())
    path.with_name("sessions.db-wal").chmod(0o644)
    (finding,) = run_sync(findings_of(SQLiteStore(path)))
    assert finding.fix == f"chmod 600 {path}-wal"
    run_sync(bench.store.close())


@pytest.mark.parametrize(
    ("total", "free", "low"),
    [
        (2**40, 2**40 // 20 + 1, False),
        (2**40, 2**40 // 20 - 1, True),
        (2**30, 100 * 2**20, False),
        (2**30, 100 * 2**20 - 1, True),
        (0, 0, True),
    ],
)
def test_a_disk_that_is_nearly_full(
    path: Path, total: int, free: int, low: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(total=total, free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert codes(path) == (["disk-low"] if low else [])


def test_a_wal_that_somebody_keeps_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_at(path)
    run_sync(bench.login())
    assert codes(path) == []
    monkeypatch.setattr(findings, "LONG_WAL", 4096)
    (finding,) = run_sync(findings_of(SQLiteStore(path)))
    assert finding.code == "wal-long"
    assert f"fuser {path}" in finding.fix
    run_sync(bench.store.close())


def test_damage_is_found_on_request(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[4096:8192] = b"\xff" * 4096
    path.write_bytes(raw)
    assert codes(path) == []
    (finding,) = run_sync(findings_of(SQLiteStore(path), check_pages=True))
    assert (finding.level, finding.code) == ("danger", "session-file-damaged")
    path.write_bytes(b"no database " * 900)
    (finding,) = run_sync(findings_of(SQLiteStore(path), check_pages=True))
    assert "is not an SQLite database" in finding.text


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_a_library_with_the_wal_reset_bug(
    path: Path, version: tuple[int, ...], found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions: https://www.sqlite.org/wal.html#walresetbug."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert codes(path) == (["sqlite-wal-reset"] if found else [])
