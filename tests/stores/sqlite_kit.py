"""What the tests of the SQLite store share: locks, processes and forks to hold against it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from gatehound._sync import run_sync
from gatehound.stores.answer import (
    Meta,
)
from gatehound.stores.base import Store
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import Bench

T = TypeVar("T")
META = Meta(b"f" * 16, "default")


class Hasty(SQLiteStore):
    """Gives up soon, so that a test of giving up takes no five seconds."""

    deadline = 40


def finish(store: Store, work: Coroutine[Any, Any, T]) -> T:
    """Run to the end as the adapter of the store's kind would, and close the store."""

    async def whole() -> T:
        try:
            return await work
        finally:
            await store.close()

    return asyncio.run(whole()) if store.suspends else run_sync(whole())


def bench_at(path: Path, *, suspends: bool = False, kind: type[SQLiteStore] = SQLiteStore) -> Bench:
    return Bench(lambda clock: kind(path, suspends=suspends, clock=clock))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock with a connection that is not the store's."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.close()


def query(path: Path, sql: str, *values: Any) -> list[Any]:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        return db.execute(sql, values).fetchall()
    finally:
        db.close()


def error_of(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@contextmanager
def process(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a script in another Python, and end it whatever happens."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def line_of(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def tell(running: subprocess.Popen[str], text: str = "go") -> None:
    assert running.stdin is not None
    running.stdin.write(f"{text}\n")
    running.stdin.flush()


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: threads are running; yes
        return os.fork()


def in_child(work: Callable[[], str]) -> str:
    """Run work in a forked child and return what it says."""
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        text = "nothing"
        try:
            text = work()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, text.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read().decode()
    os.waitpid(pid, 0)
    return text
