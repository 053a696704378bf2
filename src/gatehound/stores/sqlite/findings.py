"""Find what an operator should know of a session file, before it is a fault.

Belongs here: what can be seen of the file and the disk from outside, and of the library. What is
wrong at once is an error where it happens: see `fault` and `place`.
"""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gatehound.clientip.check import Finding
from gatehound.errors import StoreError
from gatehound.stores.sqlite.link import Kind
from gatehound.stores.sqlite.row import Tx
from gatehound.stores.sqlite.store import SQLiteStore

# Below either a log that somebody left on DEBUG fills the disk before the next working day.
LOW_BYTES: Final = 100 * 2**20
LOW_SHARE: Final = 0.05
# It is emptied at 4 MB and cut back to 16; more means that somebody reads and never ends.
LONG_WAL: Final = 100 * 2**20
# "The WAL-reset bug": in 3.7.0 to 3.51.2 a checkpoint and a write at the same instant can lose
# pages (https://www.sqlite.org/wal.html#walresetbug). Rare; also mended in these branches.
MENDED: Final = (3, 51, 3)
MENDED_BRANCHES: Final = ((3, 44, 6), (3, 50, 7))


async def findings(store: SQLiteStore, *, check_pages: bool = False) -> list[Finding]:
    """Return what an operator should know of the file; empty: nothing, or it is not there yet.

    `check_pages` reads the whole file (`PRAGMA quick_check`, about a second for 500 MB), off an
    event loop. Raises no StoreError: a file that cannot be read is a finding.
    """
    path = store.path
    found = [*_library_findings(sqlite3.sqlite_version_info)]
    if path.exists():
        found += [*_mode_findings(path), *_disk_findings(path), *_wal_findings(path)]
        if check_pages:
            found += await _page_findings(store)
    return found


def _library_findings(version: tuple[int, ...]) -> Iterator[Finding]:
    mended = any(version[:2] == good[:2] and version >= good for good in MENDED_BRANCHES)
    if version < MENDED and not mended:
        yield Finding(
            "note",
            "sqlite-wal-reset",
            f"SQLite {'.'.join(map(str, version))} can damage the session file in a rare race "
            "between two processes, unless your distribution has mended it.",
            "use a Python that is built with SQLite 3.51.3 or newer, and keep backups",
        )


def _mode_findings(path: Path) -> Iterator[Finding]:
    names = [path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))]
    modes = {name: _mode(name) for name in names}
    for others, level in ((stat.S_IRWXO, "danger"), (stat.S_IRWXG, "note")):
        open_to = [name for name, mode in modes.items() if mode & others]
        if open_to:
            who = "every account of this machine" if level == "danger" else "its group"
            yield Finding(
                "danger" if level == "danger" else "note",
                "session-file-open",
                f"{', '.join(map(str, open_to))} can be read or written by {who}: addresses and "
                "user ids are in it, and who writes to it can sign in as anybody.",
                f"chmod 600 {' '.join(map(str, open_to))}",
            )
            return


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0


def _disk_findings(path: Path) -> Iterator[Finding]:
    disk = shutil.disk_usage(path.parent)
    if disk.free < LOW_BYTES or disk.free < disk.total * LOW_SHARE:
        yield Finding(
            "warning",
            "disk-low",
            f"{disk.free // 2**20} MB are free on the disk of {path}, "
            f"{disk.free * 100 // max(disk.total, 1)} %: when it is full nobody can sign in.",
            "make room, or move the session file to another disk while the app is stopped",
        )


def _wal_findings(path: Path) -> Iterator[Finding]:
    wal = path.with_name(f"{path.name}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > LONG_WAL:
        yield Finding(
            "warning",
            "wal-long",
            f"{wal} has {size // 2**20} MB: somebody reads the session file and never ends, so "
            "what was written cannot be moved into it.",
            f"find the process (`fuser {path}`): a backup that hangs, or a forgotten `sqlite3` "
            "shell; end it",
        )


async def _page_findings(store: SQLiteStore) -> list[Finding]:
    try:
        lines = await store._link.run(_quick_check, Kind.LOOK, aside=True)
    except StoreError as error:
        lines = [str(error)]
    if lines == ["ok"]:
        return []
    return [
        Finding(
            "danger",
            "session-file-damaged",
            f"The session file is damaged: {'; '.join(lines)}",
            "stop the app, then restore a backup and end everybody's sessions, or move the file "
            "away together with its -wal and -shm and let everybody sign in again",
        )
    ]


def _quick_check(tx: Tx) -> list[str]:
    return [str(line) for (line,) in tx.db.execute("PRAGMA quick_check(3)")]
