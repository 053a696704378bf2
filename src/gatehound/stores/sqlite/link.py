"""The connections to the file: whose they are, which thread works, how long it may wait.

Rules of this file

1.  A connection belongs to one thread of one process. Its lock is free whenever it is not at
    work, so that a fork can wait for that moment.
2.  Before a fork every connection is closed; parent and child open their own when they need
    one. Merely leaving it alone in the child is not enough: SQLite keeps a table of its locks
    per process, the child inherits the table without the locks, and takes none for a file
    that it believes to hold. Then the parent, closing as the last, deletes the WAL under the
    child, and what the child was told is stored is lost (reproduced with SQLite 3.40).
    A connection that is at work for longer than the wait is inherited, kept and never used:
    closing it in the child would be worse
    (https://www.sqlite.org/howtocorrupt.html, section 2.6).
3.  A transaction ends in the call that began it, whatever happens in between.
4.  Under an event loop nothing waits on the loop. Reads and small writes run on it with a
    busy timeout of 0. What found the file locked, what waits for the disk (synchronous=FULL)
    and what walks over many rows runs in one thread of this store.
5.  The WAL is emptied by connections that may wait, each time it holds CHECKPOINT_PAGES, and
    by the thread after CHECKPOINT_WRITES writes of a loop. While somebody reads for long (a
    backup) it grows; afterwards it is cut back to WAL_BYTES.
"""

from __future__ import annotations

import enum
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from gatehound.errors import StoreUnavailable
from gatehound.stores.sqlite import place
from gatehound.stores.sqlite.fault import explain, is_busy
from gatehound.stores.sqlite.row import Tx
from gatehound.stores.sqlite.schema import install, refuse_rollback_journal

T = TypeVar("T")

# SQLite's own default: 1000 pages of 4 KiB make a WAL of 4 MB.
CHECKPOINT_PAGES: Final = 1000
# A touch writes two to four pages, so this is about as often.
CHECKPOINT_WRITES: Final = 400
WAL_BYTES: Final = 16 * 2**20  # what is left of a WAL that grew while a long read was running

_ON_OPEN: Final = (
    "PRAGMA synchronous = NORMAL",
    # What is deleted is overwritten with zeros: secrets' hashes and addresses do not linger in
    # free pages. It costs about 2 us a write here; Debian's SQLite does it by default.
    "PRAGMA secure_delete = ON",
    "PRAGMA cell_size_check = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA journal_size_limit = {WAL_BYTES}",
)


class Handle:
    """One connection of one thread, opened when it is first used; `lock` guards its use."""

    __slots__ = ("__weakref__", "_full", "_wait", "db", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.db: sqlite3.Connection | None = None
        self._full = False
        self._wait = 0

    def open(self, path: Path, wait: int) -> sqlite3.Connection:
        """Return the connection, ready to wait `wait` ms for a lock of somebody else."""
        if self.db is None:
            self.db = _connect(path, wait)
            self._full, self._wait = False, wait
        if wait != self._wait:
            self.db.execute(f"PRAGMA busy_timeout = {wait:d}")
            self._wait = wait
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


class Kind(enum.Enum):
    """What a piece of work needs: nothing, a snapshot, the write lock, and the disk."""

    LOOK = enum.auto()  # one statement that reads
    READ = enum.auto()
    WRITE = enum.auto()
    DURABLE = enum.auto()


class Link:
    """Runs work against one file: each piece is one transaction of one connection.

    Errors of SQLite come out as StoreUnavailable or StoreCorrupt, those that only a mistake
    in the calling code can cause as they are.
    """

    def __init__(
        self, path: Path, *, suspends: bool, clock: Callable[[], int], deadline: int
    ) -> None:
        self.path = path
        self._suspends = suspends
        self._clock = clock
        self._deadline = deadline
        self.start_over()
        _LINKS.add(self)

    def start_over(self) -> None:
        """Forget connections and thread: they are those of another process, or there are none."""
        self.handles: dict[int, Handle] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._writes = 0

    async def run(self, work: Callable[[Tx], T], kind: Kind, *, aside: bool = False) -> T:
        """Run work in one step; `aside` keeps it off an event loop from the start.

        Under an event loop DURABLE work is always aside, for it waits for the disk.
        """
        if not self._suspends:
            return self._explained(work, kind, self._deadline)
        if not aside and kind is not Kind.DURABLE:
            try:
                answer = self._attempt(work, kind, 0)
            except sqlite3.Error as error:
                if not is_busy(error):
                    self._reraise(error)
            else:
                if kind is Kind.WRITE:
                    self._checkpoint_sometimes()
                return answer
        # The deadline counts from here: a queue in front of the thread does not prolong it.
        until = time.monotonic() + self._deadline / 1000
        return await self._in_thread(lambda: self._in_time(work, kind, until))

    async def checkpoint(self) -> None:
        """Move what is in the WAL into the file and empty it, unless somebody reads it now."""
        with suppress(StoreUnavailable):
            await self.run(_truncate, Kind.LOOK, aside=True)

    async def close(self) -> None:
        """Close what no thread is using at this moment, and end the thread of this store."""
        if self._executor is not None:
            await self._in_thread(self._close_idle)
            with _gate:
                executor, self._executor = self._executor, None
            if executor is not None:
                executor.shutdown(wait=False)  # what is in its queue is still done
        self._close_idle()

    def _close_idle(self) -> None:
        for handle in tuple(self.handles.values()):
            if handle.lock.acquire(blocking=False):
                handle.close()
                handle.lock.release()

    # --- one attempt, in this thread ---

    def _attempt(self, work: Callable[[Tx], T], kind: Kind, wait: int) -> T:
        handle = self.handles.get(threading.get_ident()) or self._new_handle()
        with handle.lock:
            try:
                db = handle.open(self.path, wait)
                if kind is Kind.LOOK:
                    return work(Tx(db, self._clock()))
                return self._transact(handle, db, work, kind)
            except sqlite3.Error as error:
                if not is_busy(error):
                    handle.close()  # so that the next call meets the file as it is then
                raise

    def _transact(
        self, handle: Handle, db: sqlite3.Connection, work: Callable[[Tx], T], kind: Kind
    ) -> T:
        if kind is not Kind.READ:
            handle.sync(db, full=kind is Kind.DURABLE)
        try:
            db.execute("BEGIN" if kind is Kind.READ else "BEGIN IMMEDIATE")
            answer = work(Tx(db, self._clock()))  # the time is taken once the lock is held
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                _undo(handle, db)
        return answer

    def _new_handle(self) -> Handle:
        with _gate:
            return self.handles.setdefault(threading.get_ident(), Handle())

    # --- errors and deadlines ---

    def _explained(self, work: Callable[[Tx], T], kind: Kind, wait: int) -> T:
        try:
            return self._attempt(work, kind, wait)
        except sqlite3.Error as error:
            self._reraise(error)

    def _reraise(self, error: sqlite3.Error) -> NoReturn:
        told = explain(error, self.path, self._deadline)
        if told is None:
            raise error
        raise told from error

    def _in_time(self, work: Callable[[Tx], T], kind: Kind, until: float) -> T:
        left = int((until - time.monotonic()) * 1000)
        if left <= 0:
            raise StoreUnavailable(
                f"the session file {self.path} had a queue of writes that did not move for "
                f"{self._deadline / 1000:g} s: another process holds the lock, or the disk is slow"
            )
        return self._explained(work, kind, left)

    # --- the thread of this store ---

    async def _in_thread(self, job: Callable[[], T]) -> T:
        import asyncio  # only where a loop is running anyway

        # A caller that is cancelled leaves; the thread ends the transaction all the same.
        return await asyncio.wrap_future(self._submit(job))

    def _submit(self, job: Callable[[], T]) -> Future[T]:
        with _gate:  # or another loop closes the store in between
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, "gatehound-sqlite")
            return self._executor.submit(job)

    def _checkpoint_sometimes(self) -> None:
        """Let the thread do what the connections of loops do not: keep the WAL short."""
        self._writes += 1
        if self._writes >= CHECKPOINT_WRITES:
            self._writes = 0
            self._submit(self._checkpoint_quietly)

    def _checkpoint_quietly(self) -> None:
        with suppress(sqlite3.Error):  # the next one will do
            self._attempt(_passive, Kind.LOOK, self._deadline)


def _undo(handle: Handle, db: sqlite3.Connection) -> None:
    try:
        db.execute("ROLLBACK")
    except sqlite3.Error:
        handle.close()  # which undoes it too


def _truncate(tx: Tx) -> None:
    tx.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _passive(tx: Tx) -> None:
    tx.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _connect(path: Path, wait: int) -> sqlite3.Connection:
    place.make(path)
    db = sqlite3.connect(
        path,
        timeout=wait / 1000,
        isolation_level=None,
        check_same_thread=False,  # the lock of the handle does that; a fork closes from outside
        cached_statements=256,
    )
    try:
        for statement in _ON_OPEN:
            db.execute(statement)
        # A connection that may not wait belongs to a loop: the thread does its checkpoints.
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES if wait else 0:d}")
        install(db, path)  # before the file is changed to WAL: it may be of something else
        _patiently(db, "PRAGMA journal_mode = WAL", wait)
        refuse_rollback_journal(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _patiently(db: sqlite3.Connection, statement: str, wait: int) -> None:
    """Run a PRAGMA; changing to WAL asks no busy handler, so wait here, `wait` ms at most."""
    until = time.monotonic() + wait / 1000
    while True:
        try:
            db.execute(statement)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
            time.sleep(0.005)
        else:
            return


# --- forks ---

FORK_WAIT: Final = 5.0  # seconds; nothing is at work for longer, but for a broken disk
_LINKS: weakref.WeakSet[Link] = weakref.WeakSet()
_gate = threading.Lock()  # held while no handle may be added: through a fork
_held: list[threading.Lock] = []
_inherited: list[sqlite3.Connection] = []


def _before_fork() -> None:
    if _gate.acquire(timeout=FORK_WAIT):
        _held.append(_gate)
    for link in tuple(_LINKS):
        for handle in tuple(link.handles.values()):
            if handle.lock.acquire(timeout=FORK_WAIT):
                _held.append(handle.lock)
                handle.close()


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    global _gate
    for link in tuple(_LINKS):
        for handle in link.handles.values():
            if handle.db is not None:
                _inherited.append(handle.db)  # see rule 2
                handle.db = None
        link.start_over()
    _after_fork_in_parent()
    # Whoever held these in another thread does not exist here.
    _gate = threading.Lock()
    place.start_over()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
