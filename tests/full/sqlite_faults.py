"""Faults for the tests of the SQLite store: full disks, locks, killed processes, cut WALs."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlite_worker import alias_of, lines

from gatehound._sync import run_sync
from gatehound.model import Event
from gatehound.stores.answer import NewSession, Standing
from gatehound.stores.base import Store
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import Bench

T = TypeVar("T")
WORKER = Path(__file__).with_name("sqlite_worker.py")


def finish(store: Store, work: Coroutine[Any, Any, T]) -> T:
    """Run to the end as the adapter of the store's kind would, and close the store."""

    async def whole() -> T:
        try:
            return await work
        finally:
            await store.close()

    return asyncio.run(whole()) if store.suspends else run_sync(whole())


def bench_at(path: Path, *, suspends: bool = False) -> Bench:
    return Bench(lambda clock: SQLiteStore(path, suspends=suspends, clock=clock))


def query(path: Path, sql: str) -> list[Any]:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def ended(new: NewSession) -> Event:
    return Event("session_terminated", new.user_id, new.sid.hex())


def wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def copy_as_after_a_crash(path: Path, into: Path, wal: bytes) -> Path:
    """Copy the file with another WAL and without the -shm, which no reboot survives."""
    into.mkdir()
    copied = into / path.name
    shutil.copyfile(path, copied)
    wal_of(copied).write_bytes(wal)
    return copied


# --- other processes ---

HOLDER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute(f"BEGIN {sys.argv[2]}")
print("locked", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")
print("free", flush=True)
"""


@contextmanager
def holder(path: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the write lock until it is told to let go."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def let_go(process: subprocess.Popen[str]) -> None:
    """Tell a holder to give the lock back, and wait until it has."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "free\n"


class Workers:
    """Processes that load one file; each can be killed and started again."""

    def __init__(self, path: Path, journals: Path, kinds: list[str]) -> None:
        self.path, self.journals, self.kinds = path, journals, kinds
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self.kills = 0

    def __enter__(self) -> Self:
        for number in range(len(self.kinds)):
            self.start(number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in tuple(self._running):
            self.kill(number)

    def start(self, number: int) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        given = (self.path, self.journals, number, self.kinds[number])
        self._running[number] = subprocess.Popen(
            [sys.executable, str(WORKER), *map(str, given)], env=environment
        )

    def kill(self, number: int) -> None:
        process = self._running.pop(number)
        assert process.poll() is None, f"worker {number} ended by itself"
        process.kill()
        process.wait()
        self.kills += 1

    def wait_for(self, count: int) -> None:
        """Wait until each journal has so many more acknowledgments."""
        before = {number: self.acknowledged(number) for number in self._running}
        until = time.monotonic() + 30
        while any(self.acknowledged(n) < before[n] + count for n in self._running):
            assert time.monotonic() < until, "the workers do not get on"
            time.sleep(0.02)  # real processes work in real time

    def acknowledged(self, number: int) -> int:
        journal = self.journals / f"{number}.journal"
        return journal.read_bytes().count(b'"done"') if journal.exists() else 0


# --- what the journals say ---


@dataclass
class Told:
    """What is known of one session: times are of the system's monotonic clock."""

    user: str
    tried: int
    made: int = 0  # 0: its creation was not acknowledged
    secrets: list[str] = field(default_factory=list)  # the last acknowledged, and unknown ones
    ended: int = 0  # when its end was acknowledged, 0: never
    perhaps: bool = False  # an end whose outcome is unknown
    counts: list[int] = field(default_factory=lambda: [0, 0])  # acknowledged, tried


class History:
    """All journals together, and what must be true of the file in the end."""

    def __init__(self, journals: Path) -> None:
        self.sessions: dict[str, Told] = {}
        self.purges: list[dict[str, Any]] = []  # ends of all sessions of a user
        self.bad: list[str] = []
        for path in sorted(journals.glob("*.journal")):
            self._read(list(lines(path)))

    def _read(self, told: list[dict[str, Any]]) -> None:
        done = {line["number"]: line["at"] for line in told if line.get("phase") == "done"}
        self.bad += [line["bad"] for line in told if "bad" in line]
        for line in told:
            if line.get("phase") == "try":
                getattr(self, f"_{line['op']}")(line, done.get(line["number"], 0))

    def _create(self, line: dict[str, Any], done: int) -> None:
        self.sessions[line["sid"]] = Told(line["user"], line["at"], done, [line["secret"]])

    def _rotate(self, line: dict[str, Any], done: int) -> None:
        session = self.sessions[line["sid"]]
        session.secrets = [line["secret"]] if done else [*session.secrets, line["secret"]]

    def _count(self, line: dict[str, Any], done: int) -> None:
        counts = self.sessions[line["sid"]].counts
        counts[0] += bool(done)
        counts[1] += 1

    def _revoke(self, line: dict[str, Any], done: int) -> None:
        session = self.sessions[line["sid"]]
        session.ended, session.perhaps = done, not done

    def _revoke_user(self, line: dict[str, Any], done: int) -> None:
        self.purges.append({"user": line["user"], "tried": line["at"], "done": done})

    def must_be_dead(self, told: Told) -> bool:
        return bool(told.ended) or any(
            purge["done"] and told.made and told.made < purge["tried"]
            for purge in self.purges
            if purge["user"] == told.user
        )

    def must_live(self, told: Told) -> bool:
        if not told.made or told.ended or told.perhaps:
            return False
        return not any(
            purge["user"] == told.user and (not purge["done"] or purge["done"] > told.tried)
            for purge in self.purges
        )

    async def check(self, store: Store) -> dict[str, int]:
        """Compare every session with the file; return how many were of each sort."""
        found = {"living": 0, "dead": 0, "open": 0}
        for name, told in self.sessions.items():
            lives = await self._lives(store, name, told)
            if self.must_live(told):
                assert lives, f"an acknowledged login is lost: {name} {told}"
                found["living"] += 1
            elif self.must_be_dead(told):
                assert not lives, f"an acknowledged end was undone: {name} {told}"
                found["dead"] += 1
            else:
                found["open"] += 1
        return found

    async def _lives(self, store: Store, name: str, told: Told) -> bool:
        alias, sid = alias_of(told.user), bytes.fromhex(name)
        for secret in told.secrets:
            answer = await store.load(alias, sid, bytes.fromhex(secret))
            if answer.record is not None:
                assert (answer.record.user_id, answer.record.sid) == (told.user, sid)
            if answer.standing is Standing.LIVE:
                counted = int((await store.data_get(alias, sid)).get("count", b"0"))
                assert told.counts[0] <= counted <= told.counts[1], "a count was lost or doubled"
                return True
        return False


# --- full disks ---


def can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


@contextmanager
def disk_of_its_own(folder: Path) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """A file system of 6 MB, and functions that fill it and make room again."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], check=True)
    filler = folder / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    try:
        yield fill, filler.unlink
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def limit_of_file_sizes(folder: Path) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """The same without rights: no file of this process may grow beyond the WAL of now.

    The kernel then answers EFBIG, as for a quota it answers EDQUOT; SQLite calls both an error
    of I/O. Python ignores SIGXFSZ.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        size = max(entry.stat().st_size for entry in folder.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    try:
        yield fill, make_room
    finally:
        make_room()


@contextmanager
def full_disk(kind: str, folder: Path) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Yield how to fill and how to make room: a "mount" where that is allowed, else a "limit"."""
    folder.mkdir()
    chosen = disk_of_its_own if kind == "mount" and can_mount() else limit_of_file_sizes
    with chosen(folder) as steps:
        yield steps
