"""One connection to the file: how it is opened, what a commit waits for, whose file it has.

Belongs here: what is true of a single connection. Who may use it, when, and for how long is in
`link`.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from gatehound.stores.sqlite import place
from gatehound.stores.sqlite.schema import install, refuse_rollback_journal

# SQLite's own default: 1000 pages of 4 KiB make a WAL of 4 MB.
CHECKPOINT_PAGES: Final = 1000
WAL_BYTES: Final = 16 * 2**20  # what is left of a WAL that grew while a long read was running

_ON_OPEN: Final = (
    "PRAGMA synchronous = NORMAL",
    # On macOS fsync leaves the data in the disk's own cache; elsewhere these change nothing.
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
    # What is deleted is overwritten with zeros: secrets' hashes and addresses do not linger in
    # free pages. It costs about 2 us a write here; Debian's SQLite does it by default.
    "PRAGMA secure_delete = ON",
    "PRAGMA cell_size_check = ON",
    # A file that is cut off while it is mapped ends the process (SIGBUS).
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA journal_size_limit = {WAL_BYTES}",
)


class Handle:
    """One connection of one thread, opened when it is first used; `lock` guards its use.

    `identity` says which file it has open.
    """

    __slots__ = ("__weakref__", "_full", "db", "identity", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.db: sqlite3.Connection | None = None
        self.identity = place.NO_FILE
        self._full = False

    def open(
        self, path: Path, known: place.Identity | None, *, checkpoints: bool
    ) -> sqlite3.Connection:
        """Return the connection; `known` is the file that this process has used before."""
        if self.db is None:
            self.db = _connect(path, known, checkpoints=checkpoints)
            self._full = False
            self.identity = known or place.identity(path) or place.NO_FILE
        return self.db

    def sync(self, db: sqlite3.Connection, *, full: bool) -> None:
        """Choose what a commit waits for; not possible inside a transaction."""
        if full != self._full:
            db.execute("PRAGMA synchronous = FULL" if full else "PRAGMA synchronous = NORMAL")
            self._full = full

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        db, self.db = self.db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def __del__(self) -> None:
        # A thread that ended, or a store that nobody holds any more.
        self.close()


def _connect(path: Path, known: place.Identity | None, *, checkpoints: bool) -> sqlite3.Connection:
    if known is None:
        place.make(path)
    else:  # nothing is ever made in the place of a file that was there
        place.refuse_another(path, known)
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",  # SQLite itself makes no file
        uri=True,
        timeout=0,  # `link` waits, in short steps: SQLite's own grow to 100 ms and starve some
        isolation_level=None,
        check_same_thread=False,  # the lock of the handle does that; a fork closes from outside
        cached_statements=256,
    )
    try:
        for statement in _ON_OPEN:
            db.execute(statement)
        # The thread of the store does the checkpoints of a loop.
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES if checkpoints else 0:d}")
        # Before the file is changed to WAL: it may be of something else.
        install(db, path, is_known=known is not None)
        db.execute("PRAGMA journal_mode = WAL")
        refuse_rollback_journal(db, path)
    except BaseException:
        db.close()
        raise
    return db
