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
4.  Under an event loop nothing waits on the loop. Reads and small writes run on it; what found
    the file locked, what waits for the disk (synchronous=FULL) and what walks over many rows
    runs in one thread of this store.
5.  A lock of somebody else is tried again as `pause` says until the patience of the call ends.
    SQLite's own waits grow to 100 ms: with several writers some never meet the free moment.
6.  The WAL is emptied by connections that may wait, each time it holds CHECKPOINT_PAGES, and
    by the thread after CHECKPOINT_WRITES writes of a loop. While somebody reads for long (a
    backup) it grows; afterwards it is cut back to WAL_BYTES.
7.  A file that was used is never made anew: one that was deleted, moved, replaced or set back
    while the app runs makes the store unavailable until it is put right or the app restarts.
    What takes rights away looks each time; everything else once in WATCH_EVERY.
"""

from __future__ import annotations

import enum
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import get_ident
from time import monotonic
from typing import Final, NoReturn, TypeVar

from gatehound.errors import StoreUnavailable
from gatehound.stores.sqlite import place
from gatehound.stores.sqlite.fault import damage, explain, is_busy, is_full, is_passing
from gatehound.stores.sqlite.handle import Handle
from gatehound.stores.sqlite.pause import in_turn, pauses
from gatehound.stores.sqlite.row import Tx
from gatehound.stores.sqlite.schema import reached

T = TypeVar("T")
log = logging.getLogger("gatehound.stores.sqlite")

# A touch writes two to four pages, so this is about as often as CHECKPOINT_PAGES.
CHECKPOINT_WRITES: Final = 400
# A job of an administrator, and the queue in front of a thread that moves, may take longer
# than a call that a request waits for.
JOB: Final = 5
# What may be left out waits for a quarter of what a request waits for what may not; after it
# was left out once, the others do not wait at all for a second.
LIGHT: Final = 0.25
TIRED_FOR: Final = 1.0
SAY_AFTER = 10.0  # seconds in which each try failed: a moment of many logins is no fault
NEVER: Final = -1e9
WATCH_EVERY: Final = 1.0  # seconds: as the stat and the small read cost a third of a load


class Kind(enum.Enum):
    """What a piece of work needs: nothing, a snapshot, the write lock, the disk, the last room."""

    LOOK = enum.auto()  # one statement that reads
    READ = enum.auto()
    WRITE = enum.auto()
    DURABLE = enum.auto()
    ENDING = enum.auto()  # DURABLE, and on a full disk worth a second try


_DURABLE: Final = (Kind.DURABLE, Kind.ENDING)


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
        self.clock = clock
        self._deadline = deadline
        self._known: place.Identity | None = None
        self._reached = 0
        self._watched = self._tired = self._moved = NEVER  # times of the monotonic clock
        self._left_out_since = 0.0
        self.start_over()
        _LINKS.add(self)

    def start_over(self) -> None:
        """Forget connections and thread: they are those of another process, or there are none."""
        self.handles: dict[int, Handle] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._turn = threading.Lock()  # of those threads of this process that found a lock
        self._writes = 0

    def look(self, work: Callable[[Tx], T]) -> T:
        """Run what every request asks, at once and here; `run` it where sqlite3.Error is raised."""
        return self._attempt(work, Kind.LOOK, on_loop=self._suspends)

    def open_handle(self) -> Handle | None:
        """Return this thread's connection; None where it has to be opened, or watched, before."""
        is_due = monotonic() >= self._watched + WATCH_EVERY
        return None if is_due else self.handles.get(get_ident())

    async def run(self, work: Callable[[Tx], T], kind: Kind, *, aside: bool = False) -> T:
        """Run work in one step; `aside` is a job, kept off an event loop from the start.

        Under an event loop DURABLE work is always aside, for it waits for the disk.
        """
        patience = self._deadline * (JOB if aside else 1)
        if not self._suspends:
            return self._explained(work, kind, patience, monotonic() + patience / 1000)
        if not aside and kind not in _DURABLE:
            try:
                answer = self._attempt(work, kind, on_loop=True)
            except sqlite3.Error as error:
                if not is_busy(error):
                    self._reraise(error, patience)
            else:
                if kind is Kind.WRITE:
                    self._checkpoint_sometimes()
                return answer
        # The deadline counts from here: a queue in front of the thread does not prolong it.
        asked = monotonic()
        return await self._in_thread(lambda: self._in_time(work, kind, patience, asked))

    async def run_or(self, work: Callable[[Tx], T], otherwise: Callable[[Tx], T]) -> T:
        """Run a write that may be left out; where the file takes none now, only `otherwise`.

        A disk that is full, or a lock that stays, must not sign anybody out.
        """
        now = monotonic()
        patience = 0 if now < self._tired else int(self._deadline * LIGHT)
        until = now + patience / 1000
        try:
            if self._suspends:
                answer = await self._on_loop(work, patience, until)
            else:
                answer = self._explained(work, Kind.WRITE, patience, until)
        except StoreUnavailable as error:
            answer = await self.run(otherwise, Kind.LOOK)
            self._leave_out(error)
        else:
            self._left_out_since = 0.0
        return answer

    async def _on_loop(self, work: Callable[[Tx], T], patience: int, until: float) -> T:
        """Write from the loop, waiting as a loop waits: a login in the thread may wait longer."""
        import asyncio  # only where a loop is running anyway

        waits = pauses()
        while True:
            try:
                answer = self._attempt(work, Kind.WRITE, on_loop=True)
            except sqlite3.Error as error:
                if not is_busy(error) or monotonic() + (pause := next(waits)) > until:
                    self._reraise(error, patience)
                await asyncio.sleep(pause)
            else:
                self._checkpoint_sometimes()
                return answer

    def _leave_out(self, error: StoreUnavailable) -> None:
        now = monotonic()
        self._tired = now + TIRED_FOR
        if not self._left_out_since:
            self._left_out_since = now
        if now >= self._left_out_since + SAY_AFTER:
            self._left_out_since = now
            log.warning("no activity is written, so people will be signed out as idle: %s", error)

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
        # Whatever is there at the next use is meant.
        self._known, self._reached, self._watched = None, 0, NEVER

    def _close_idle(self) -> None:
        for handle in tuple(self.handles.values()):
            if handle.lock.acquire(blocking=False):
                handle.close()
                handle.lock.release()

    # --- one attempt, in this thread ---

    def _attempt(self, work: Callable[[Tx], T], kind: Kind, *, on_loop: bool = False) -> T:
        handle = self.handles.get(get_ident()) or self._new_handle()
        with handle.lock:
            try:
                db = handle.db
                if db is None:
                    db = handle.open(self.path, self._known, checkpoints=not on_loop)
                if kind in _DURABLE or monotonic() >= self._watched + WATCH_EVERY:
                    self._watch(handle, db)
                if kind is Kind.LOOK:
                    return work(Tx(db, self.clock()))
                return self._step(handle, db, work, kind)
            except sqlite3.Error as error:
                if not is_passing(error):
                    handle.close()  # so that the next call meets the file as it is then
                raise
            except UnicodeDecodeError as error:  # what SQLite says quotes damaged bytes
                handle.close()
                raise damage(self.path, error.reason) from error

    def _step(
        self, handle: Handle, db: sqlite3.Connection, work: Callable[[Tx], T], kind: Kind
    ) -> T:
        answer = self._transact(handle, db, work, kind)
        if kind in _DURABLE:
            self._reached = max(self._reached, reached(db))
        return answer

    def _transact(
        self, handle: Handle, db: sqlite3.Connection, work: Callable[[Tx], T], kind: Kind
    ) -> T:
        if kind is not Kind.READ:
            handle.sync(db, full=kind in _DURABLE)
        try:
            db.execute("BEGIN" if kind is Kind.READ else "BEGIN IMMEDIATE")
            answer = work(Tx(db, self.clock()))  # the time is taken once the lock is held
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                _undo(handle, db)
        return answer

    def _watch(self, handle: Handle, db: sqlite3.Connection) -> None:
        """See whether the name still belongs to what is open, and that it did not go back."""
        before = self._reached  # another thread may raise it while this one reads
        try:
            place.refuse_another(self.path, handle.identity)
        except StoreUnavailable:
            handle.close()
            raise
        now = reached(db)
        if now < before:
            raise StoreUnavailable(
                f"the session file {self.path} was set back while it was in use (a backup was "
                "restored): restart the app and end everybody's sessions (it brings ended ones "
                "back)"
            )
        self._known, self._reached = handle.identity, max(now, self._reached)
        self._watched = monotonic()

    def _new_handle(self) -> Handle:
        with _gate:
            return self.handles.setdefault(threading.get_ident(), Handle())

    # --- errors and deadlines ---

    def _explained(self, work: Callable[[Tx], T], kind: Kind, patience: int, until: float) -> T:
        with closing(in_turn(self._turn, until)) as waits:
            while True:
                try:
                    return self._attempt(work, kind)
                except sqlite3.Error as error:
                    if kind is Kind.ENDING and is_full(error):
                        kind = Kind.DURABLE
                        self._checkpoint_quietly()  # what is in the file already makes room
                    elif not is_busy(error) or monotonic() + (pause := next(waits)) > until:
                        self._reraise(error, patience)
                    else:
                        time.sleep(pause)

    def _reraise(self, error: sqlite3.Error, patience: int) -> NoReturn:
        told = explain(error, self.path, patience)
        if told is None:
            raise error
        raise told from error

    def _in_time(self, work: Callable[[Tx], T], kind: Kind, patience: int, asked: float) -> T:
        """Run work in the thread; a queue that moves may take longer than one lock."""
        allowed = patience / 1000
        until = min(max(asked, self._moved) + allowed, asked + JOB * allowed)
        if monotonic() >= until:
            raise StoreUnavailable(
                f"the session file {self.path} had a queue of writes that did not move for "
                f"{allowed:g} s: another process holds the lock, or the disk is slow"
            )
        answer = self._explained(work, kind, patience, until)
        self._moved = monotonic()
        return answer

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
            self._attempt(_passive, Kind.LOOK)


def _undo(handle: Handle, db: sqlite3.Connection) -> None:
    try:
        db.execute("ROLLBACK")
    except sqlite3.Error:
        handle.close()  # which undoes it too


def _truncate(tx: Tx) -> None:
    tx.db.execute("PRAGMA busy_timeout = 250")  # for those that read just now; writers wait too
    try:
        tx.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        tx.db.execute("PRAGMA busy_timeout = 0")


def _passive(tx: Tx) -> None:
    tx.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


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
