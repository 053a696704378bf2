"""What SQLite's errors mean for the operator: the one table of codes, texts and fixes.

Codes: https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from gatehound.errors import StoreCorrupt, StoreError, StoreUnavailable

_CORRUPT: Final = {
    sqlite3.SQLITE_CORRUPT: (
        "is damaged ({error}): stop the app, then restore a backup and end everybody's sessions "
        "(a backup brings ended ones back), or move the file away together with its -wal and "
        "-shm and let everybody sign in again"
    ),
    sqlite3.SQLITE_NOTADB: (
        "is not an SQLite database: name another file, or move this one away if it holds "
        "nothing that you need"
    ),
    # The tables are not what this process made or found when it opened the file.
    sqlite3.SQLITE_ERROR: (
        "does not hold the tables that it should ({error}): another program changed it; move "
        "it away together with its -wal and -shm, or restore a backup"
    ),
}
_UNAVAILABLE: Final = {
    sqlite3.SQLITE_BUSY: (
        "was locked by another process for {seconds:g} s: look for a backup, a batch job or an "
        "`sqlite3` shell that holds a transaction open"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened: check that the directory exists, that this process may write to it "
        "(for the -wal and -shm beside the file) and that it may open more files (ulimit -n)"
    ),
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full or a quota is reached; make room",
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written ({error}): look at the disk and at the kernel's log"
    ),
    sqlite3.SQLITE_NOMEM: "cannot be used: this process has no memory left",
    sqlite3.SQLITE_PERM: "may not be opened by this process: check the owner and the mode",
    sqlite3.SQLITE_READONLY: (
        "may not be written by this process: check the owner and the mode of the file and of "
        "its directory, and whether the disk is mounted read-only"
    ),
    sqlite3.SQLITE_PROTOCOL: "is being opened by too many processes at once: try again",
}
# What only a mistake in the calling code can cause: an alias of the wrong length, a list where
# bytes belong. 0 is an error that Python raised by itself.
_MISTAKES: Final = frozenset(
    {
        0,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)
_UNKNOWN: Final = "did not answer ({error})"


def code(error: sqlite3.Error) -> int:
    """Return the primary result code, 0 for an error that Python raised by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """True where another connection holds a lock: trying again may help."""
    return code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explain(error: sqlite3.Error, path: Path, waited_ms: int) -> StoreError | None:
    """Turn an error into one that names the file and what to do; None for a caller's mistake."""
    number = sqlite3.SQLITE_BUSY if is_busy(error) else code(error)
    if number in _MISTAKES:
        return None
    if number in _CORRUPT:
        return StoreCorrupt(f"the session file {path} {_CORRUPT[number].format(error=error)}")
    text = _UNAVAILABLE.get(number, _UNKNOWN)
    detail = text.format(error=error, seconds=waited_ms / 1000)
    return StoreUnavailable(f"the session file {path} {detail}")
