"""The tables, and how a fresh or a known file is told from a foreign one.

Belongs here: what is stored and by which index it is found. The rules that change it do not.
With a change of a table, raise VERSION, and from the first release on add the step that brings an
older file up.

Columns are plain rather than the packed record, because search filters on them and an
operator reads them with the `sqlite3` shell. Text that comes from outside (user ids, names)
is stored as bytes: SQLite's TEXT refuses the lone surrogates that a client can put into JSON.
No STRICT tables and no RETURNING: SQLite 3.34 (still shipped beside Python 3.11) has neither.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from gatehound.errors import SettingsError, StoreCorrupt, StoreMismatch

VERSION: Final = 3
APPLICATION: Final = 0x47484E44  # "GHND", for file(1) and against a foreign file

_TABLES: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE sessions (
        alias BLOB NOT NULL CHECK (length(alias) = 12),
        sid BLOB NOT NULL CHECK (length(sid) = 8),
        user_id BLOB NOT NULL,
        whose INTEGER NOT NULL, -- checksum of alias, sid and user_id
        roles TEXT NOT NULL,
        secret BLOB NOT NULL CHECK (length(secret) = 16),
        created INTEGER NOT NULL,
        authenticated INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        idle INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        aal INTEGER NOT NULL,
        methods INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        address BLOB NOT NULL,
        country TEXT NOT NULL,
        place INTEGER NOT NULL,
        agent BLOB NOT NULL,
        pair1 BLOB NOT NULL,
        pair2 BLOB NOT NULL,
        previous BLOB,
        rotated INTEGER NOT NULL DEFAULT 0,
        confirmed INTEGER NOT NULL DEFAULT 0,
        grace INTEGER,
        rev INTEGER NOT NULL DEFAULT (random()), -- of this state of the row
        PRIMARY KEY (alias, sid)
    ) WITHOUT ROWID""",
    # By the file itself, so that no update forgets it, of an operator's shell neither.
    """CREATE TRIGGER sessions_written AFTER UPDATE ON sessions WHEN new.rev = old.rev BEGIN
        UPDATE sessions SET rev = random() WHERE alias = new.alias AND sid = new.sid;
    END""",
    "CREATE INDEX sessions_created ON sessions (created, sid)",
    "CREATE INDEX sessions_country ON sessions (country, created, sid)",
    "CREATE INDEX sessions_flagged ON sessions (created, sid) WHERE flags & 4",
    "CREATE INDEX sessions_address ON sessions (address)",
    "CREATE INDEX sessions_over ON sessions (min(expires, last_seen + idle))",
    # `id` is the order in which sessions ended: the newest are kept.
    """CREATE TABLE tombstones (
        id INTEGER PRIMARY KEY,
        alias BLOB NOT NULL,
        sid BLOB NOT NULL,
        reason INTEGER NOT NULL,
        at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        UNIQUE (alias, sid)
    )""",
    "CREATE INDEX tombstones_until ON tombstones (until)",
    """CREATE TABLE epochs (
        alias BLOB PRIMARY KEY, epoch INTEGER NOT NULL, until INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX epochs_until ON epochs (until)",
    # Only the mark: the alias says who, and forgetting a user leaves no name behind.
    "CREATE TABLE disabled (alias BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    # What is remembered of a user has the empty sid, and the only `until` that counts.
    """CREATE TABLE memories (
        alias BLOB NOT NULL,
        sid BLOB NOT NULL,
        data BLOB NOT NULL,
        version INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (alias, sid)
    ) WITHOUT ROWID""",
    "CREATE INDEX memories_until ON memories (until) WHERE sid = x''",
    """CREATE TABLE data (
        alias BLOB NOT NULL,
        sid BLOB NOT NULL,
        name BLOB NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (alias, sid, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE agents (
        digest BLOB PRIMARY KEY, agent TEXT NOT NULL, until INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX agents_until ON agents (until)",
    """CREATE TABLE counters (
        kind TEXT NOT NULL,
        span INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        name BLOB NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (kind, span, slot, name)
    ) WITHOUT ROWID""",
    # How many names a window has: counting 10,000 rows for each new one would let a flood of
    # made-up names hold the write lock.
    """CREATE TABLE windows (
        kind TEXT NOT NULL,
        span INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        names INTEGER NOT NULL,
        PRIMARY KEY (kind, span, slot)
    ) WITHOUT ROWID""",
    # AUTOINCREMENT, so that a cursor never meets an id again after a sweep.
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        name TEXT NOT NULL,
        user_id BLOB,
        public_id BLOB,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX events_at ON events (at)",
    "CREATE INDEX events_user ON events (user_id, id) WHERE user_id IS NOT NULL",
    "CREATE INDEX events_session ON events (public_id, id) WHERE public_id IS NOT NULL",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


def install(db: sqlite3.Connection, path: Path, *, is_known: bool) -> None:
    """Make the tables in an empty file; refuse a file of something else or of a later release.

    `is_known` says that this process has used the file: then nothing is made, for what was
    there is gone.
    """
    marks = _marks(db)
    if marks == (APPLICATION, VERSION):
        return
    if is_known and marks[0] != APPLICATION:
        raise StoreCorrupt(
            f"the session file {path} was emptied or overwritten while it was in use: stop the "
            "app, then restore a backup and end everybody's sessions, or move the file away "
            "together with its -wal and -shm and let everybody sign in again"
        )
    # Another process may be making the tables: what is there is judged under the lock only.
    db.execute("BEGIN IMMEDIATE")
    try:
        if not _is_ours(db, path):
            for statement in _TABLES:
                db.execute(statement)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def reached(db: sqlite3.Connection) -> int:
    """Return the number of the latest event: it only grows, unless a backup was restored."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return row[0] if row else 0


def _marks(db: sqlite3.Connection) -> tuple[int, int]:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return application, version


def _is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """True for a file that has the tables, False for an empty one, SettingsError for others."""
    application, version = _marks(db)
    if (application, version) == (APPLICATION, VERSION):
        return True
    if application == APPLICATION:
        raise StoreMismatch(
            f"the session file {path} has layout {version}, this release reads {VERSION}: "
            "install the release that wrote it, or name a new file (everybody signs in again)"
        )
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables or application or version:
        raise SettingsError(
            f"{path} is the database of something else: give gatehound a file of its own"
        )
    return False


def refuse_rollback_journal(db: sqlite3.Connection, path: Path) -> None:
    """Raise SettingsError where the file system gave no WAL: locks would stop all readers."""
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        raise SettingsError(
            f"store path {path} is on a file system without shared memory (journal mode "
            f"{mode!r}, WAL is needed): use a local directory"
        )
