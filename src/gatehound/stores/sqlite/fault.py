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
    sqlite3.SQLITE_FULL: (
        "cannot grow: the disk is full or a quota is reached; make room (nothing has to be "
        "restarted)"
    ),
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written ({error}): look for a full disk, a quota or a limit of file "
        "sizes (ulimit -f), then at the disk and at the kernel's log"
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
_BY_PYTHON: Final = 0
_MISTAKES: Final = frozenset(
    {
        _BY_PYTHON,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)
# What is written was looked for in the same step, so a row that is there twice, or a text that is
# none, was not written by us.
_DOUBLE: Final = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_ROWID,
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    }
)
_UNKNOWN: Final = "did not answer ({error})"


def code(error: sqlite3.Error) -> int:
    """Return the primary result code, 0 for an error that Python raised by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """True where another connection holds a lock: trying again may help."""
    return code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_passing(error: sqlite3.Error) -> bool:
    """True where the connection is as good as before: a lock, or no room for a write."""
    return is_busy(error) or is_full(error)


def is_full(error: sqlite3.Error) -> bool:
    """True where a write had no room, as far as SQLite can tell: a quota is an error of I/O."""
    extended = getattr(error, "sqlite_errorcode", 0)
    return code(error) == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_WRITE


def _is_damage(error: sqlite3.Error) -> bool:
    if code(error) == _BY_PYTHON:  # OperationalError: a text of the file does not decode
        return isinstance(error, sqlite3.OperationalError)
    return getattr(error, "sqlite_errorcode", 0) in _DOUBLE


def damage(path: Path, why: object, number: int = sqlite3.SQLITE_CORRUPT) -> StoreCorrupt:
    """Return the error for a file that cannot be read as what it should be."""
    return StoreCorrupt(f"the session file {path} {_CORRUPT[number].format(error=why)}")


def explain(error: sqlite3.Error, path: Path, waited_ms: int) -> StoreError | None:
    """Turn an error into one that names the file and what to do; None for a caller's mistake."""
    number = sqlite3.SQLITE_BUSY if is_busy(error) else code(error)
    if _is_damage(error):
        number = sqlite3.SQLITE_CORRUPT
    if number in _MISTAKES:
        return None
    if number in _CORRUPT:
        return damage(path, error, number)
    text = _UNAVAILABLE.get(number, _UNKNOWN)
    detail = text.format(error=error, seconds=waited_ms / 1000)
    return StoreUnavailable(f"the session file {path} {detail}")
