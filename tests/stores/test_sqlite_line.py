"""The line of a session says what its row says, and nothing where a row is damaged."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import pytest
from sqlite_kit import bench_at, error_of, finish, query

from gatehound._sync import run_sync
from gatehound.stores.answer import Before, Standing
from gatehound.stores.record import Record, Security, Seen
from gatehound.stores.sqlite import SQLiteStore, life, pause
from gatehound.stores.sqlite.ending import stored
from gatehound.stores.sqlite.line import LINE, line_to_row
from gatehound.stores.sqlite.row import SESSION, Row, Tx, to_row, write_session

ALIAS, SID = b"[1,2]\0\xff,\"'%s", b"]%s'\"\0\xff,"
USERS = ("anna", "", "\ud800", "nul\x00", "é", "'; --", "%s]", "x" * 512)
ADDRESSES = (b"", bytes(4), b"\xff" * 4, bytes(range(16)))
PAIRS = ((b"", b""), (b"pair-1", b""), (b"pair-1", b"\0" * 6))
BEFORES = (
    None,
    Before(b"p" * 16, 5, 0, None),
    Before(b"\0" * 16, 5, 7, 0),
    Before(b"q" * 16, 1, 0, 9),
)
COLUMNS = ("created", "authenticated", "expires", "idle", "flags", "aal", "methods", "rotated")
ROLES: tuple[tuple[str, ...], ...] = ((), ("admin",), ("é", "a,b", "\ud800", '"]'), ("nul\0",))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "sessions.db"
    finish(store := SQLiteStore(path), store.ping())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def records(seed: int) -> Iterator[tuple[Record, Before | None]]:
    """Make sessions of every shape; times and numbers are any that fit."""
    pick = random.Random(seed)
    while True:
        numbers = [pick.choice((0, 1, 255, pick.getrandbits(41), 2**62)) for _ in range(9)]
        security = Security(
            sid=SID,
            secret_hash=pick.randbytes(16),
            **dict(zip(COLUMNS[:6], numbers, strict=False)),
            methods=("password", "totp")[: pick.randrange(3)],
            rotated=numbers[8],
        )
        seen = Seen(
            numbers[6],
            pick.choice(ADDRESSES),
            pick.choice(("", "NO")),
            numbers[7],
            pick.choice((bytes(6), b"agent]", b"")),
            pick.choice(PAIRS),
        )
        record = Record(ALIAS, pick.choice(USERS), pick.choice(ROLES), security, seen)
        yield record, pick.choice(BEFORES)


def by_column(db: sqlite3.Connection) -> Row:
    return to_row(db.execute(SESSION).fetchone())


def by_line(db: sqlite3.Connection) -> Row | None:
    found = db.execute(LINE, (ALIAS, SID)).fetchone()
    return None if found is None else line_to_row(ALIAS, SID, found[0])


def test_a_line_says_what_the_columns_say(db: sqlite3.Connection) -> None:
    for record, before in islice(records(7), 300):
        db.execute("DELETE FROM sessions")
        write_session(Tx(db, 0), record, before)
        assert by_line(db) == by_column(db)


NUMBERS = (*COLUMNS, "last_seen", "place", "confirmed", "whose", "grace")
BLOBS = ("secret", "agent", "address", "pair1", "pair2", "user_id", "previous")
WRONG = [
    *((name, value) for name in NUMBERS for value in ("'x'", "x'31'", "1.5", "1e300")),
    *((name, value) for name in BLOBS for value in ("'text of 16 bytes'", "17")),
    *((name, value) for name in ("country", "roles") for value in ("x'5B5D'",)),
    *(("secret", value) for value in ("x''", "x'00'", "zeroblob(15)", "zeroblob(17)")),
    ("roles", "'no JSON'"),
    ("roles", "CAST(x'FF' AS TEXT)"),
    ("roles", "'5'"),
    ("whose", "whose + 1"),
]


@pytest.mark.parametrize(("column", "value"), WRONG)
def test_there_is_no_line_of_what_no_release_wrote(
    db: sqlite3.Connection, column: str, value: str
) -> None:
    record, _ = next(records(1))
    db.execute("PRAGMA ignore_check_constraints = ON")
    write_session(Tx(db, 0), record, BEFORES[3])
    assert by_line(db) is not None
    db.execute(f"UPDATE sessions SET {column} = {value}")  # noqa: S608 - of the table above
    assert by_line(db) is None


def test_what_two_users_share_of_a_line_is_not_shared(db: sqlite3.Connection) -> None:
    """What was made of a line is kept by whose it is."""
    record, _ = next(records(2))
    write_session(Tx(db, 0), record)
    line = db.execute(LINE, (ALIAS, SID)).fetchone()[0]
    assert line_to_row(ALIAS, SID, line) == by_column(db)
    assert line_to_row(b"z" * 12, SID, line) is None
    assert stored(Tx(db, 0), b"z" * 12, SID) is None


def test_a_load_that_meets_a_lock_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_at(tmp_path / "sessions.db")
    new = run_sync(bench.login())
    real, tries = life.look, [0]

    def busy_twice(*given: Any) -> Any:
        tries[0] += 1
        if tries[0] < 3:
            raise error_of(sqlite3.SQLITE_BUSY)
        return real(*given)

    monkeypatch.setattr(life, "look", busy_twice)
    assert run_sync(bench.load(new)).standing is Standing.LIVE
    assert tries == [3]
    run_sync(bench.store.close())


def test_a_change_is_seen_at_the_next_load(tmp_path: Path) -> None:
    """What is kept of lines is kept by all that they say."""
    path = tmp_path / "sessions.db"
    bench, other = bench_at(path), bench_at(path)
    new = run_sync(bench.login())
    ids = (new.alias, new.sid, new.secret_hash)
    for flags in (4, 0, 4, 0):
        run_sync(other.store.remember(*ids, set_flags=flags, clear_flags=4 - flags))
        record = run_sync(bench.load(new)).record
        assert record is not None
        assert record.security.flags == flags
    query(path, "UPDATE sessions SET user_id = x'62'")
    assert query(path, "SELECT count(*) FROM sessions") == [(1,)]
    run_sync(bench.store.close())
    run_sync(other.store.close())


def test_pauses_begin_with_none_and_end_at_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(pause, "monotonic", lambda: now[0])
    waits = pause.pauses()
    assert [next(waits) for _ in range(3)] == [0.0] * 3
    now[0] = pause.SPIN
    later = list(islice(waits, 40))
    assert later[0] == pause.SHORT
    assert later == sorted(later)
    assert later[-1] == pause.LONG


def test_one_thread_tries_and_the_others_wait_for_their_turn() -> None:
    turn = Lock()
    first = pause.in_turn(turn, monotonic() + 9)
    assert next(first) == 0.0
    late = pause.in_turn(turn, monotonic())
    next(late)  # its time is over: its call ends, and takes no turn from anybody
    late.close()
    assert turn.locked()
    first.close()
    assert not turn.locked()
