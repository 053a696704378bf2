"""One SQLite store shared: forked workers, many threads, several loops, cancelled callers.

The oracle is what callers were told, as in test_sqlite_faults.
"""

from __future__ import annotations

import asyncio
import os
import random
import warnings
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlite_faults import bench_at, finish, query

from gatehound._sync import run_sync
from gatehound.model import EndReason
from gatehound.stores.answer import Created, NewSession, Query
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import Bench

pytestmark = [pytest.mark.full, pytest.mark.ci]
T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def suspends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def busy(store: SQLiteStore, prefix: str, rounds: int) -> str:
    """Log in, look and log out; say what was wrong, or nothing."""
    bench = Bench(lambda _: store)
    bench._minted = int.from_bytes(prefix.encode()) * 1_000_000
    told: list[NewSession] = []
    for number in range(rounds):
        told.append(await bench.login(user_id=f"{prefix}-{number}"))
        for new in told[-3:]:
            record = (await bench.load(new, touch=0)).record
            if record is None or (record.user_id, record.sid) != (new.user_id, new.sid):
                return f"asked for {new.user_id} {new.sid.hex()}, got {record}"
        if number % 3 == 2:
            old = told.pop(0)
            await store.revoke(old.alias, only=old.sid, reason=EndReason.USER)
            if await bench.lives(old):
                return f"{old.user_id} was ended and lives"
    for new in told:
        if not await bench.lives(new):
            return f"{new.user_id} was acknowledged and is lost"
    return ""


def test_four_forked_workers_and_their_parent_never_mix_up_answers(
    path: Path, suspends: bool
) -> None:
    """The store is open, with its thread, when each worker is forked."""
    store = SQLiteStore(path, suspends=suspends)

    def whole(work: Coroutine[Any, Any, str]) -> str:
        return asyncio.run(work) if suspends else run_sync(work)

    children = []
    for name in "bcde":
        assert whole(busy(store, f"a{name}", 3)) == ""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: threads are running; yes
            pid = os.fork()
        if pid == 0:
            text = "it failed"
            try:
                text = whole(busy(store, name, 25)) or "ok"
            except BaseException as error:
                text = repr(error)
            finally:
                os.write(writer, text.encode())
                os._exit(0)
        os.close(writer)
        children.append((pid, reader))
        # The parent goes on, and closes the file under its children: it must not take their WAL.
        assert finish(store, busy(store, f"p{name}", 3)) == ""
    for pid, reader in children:
        with os.fdopen(reader) as file:
            assert file.read() == "ok"
        os.waitpid(pid, 0)
    finish(store, store.ping())
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


class Unhurried(SQLiteStore):
    """Thirty-two writers take their turns at the lock, and an fsync each: who wins is no matter."""

    deadline = 10_000


def test_thirty_two_threads_share_one_store(path: Path, suspends: bool) -> None:
    """Each thread of the store for loops has a loop of its own."""
    store = Unhurried(path, suspends=suspends)
    finish(store, store.ping())

    def work(number: int) -> str:
        job = busy(store, f"t{number:02}", 4)
        return asyncio.run(job) if suspends else run_sync(job)

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(work, range(32))) == [""] * 32
    finish(store, store.ping())


class Crowd:
    """Calls that are cancelled at any moment, and what each was told before that."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench, self.store = bench, bench.store
        self.dice = random.Random(seed)
        self.told: list[NewSession] = []
        self.gone: list[NewSession] = []
        self.perhaps: list[NewSession] = []
        self.cancelled = 0

    async def one(self, call: Coroutine[Any, Any, T]) -> T | None:
        """Cancel a call after a while; None where that was before its end."""
        if self.dice.random() < 0.25:
            return await call
        task = asyncio.ensure_future(call)
        # Before the thread has begun, in the middle of its work, or when it is done.
        await asyncio.sleep(self.dice.random() * self.dice.choice((0, 0.001, 0.004)))
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            self.cancelled += 1
            return None

    async def step(self) -> None:
        what, kept = self.dice.random(), self.told[0]
        if what < 0.35:
            new = self.bench.new(user_id=f"user-{len(self.told)}")
            created = await self.one(self.store.create(new))
            (self.told if isinstance(created, Created) else self.perhaps).append(new)
        elif what < 0.5 and len(self.told) > 15:
            new = self.told.pop(self.dice.randrange(1, len(self.told)))
            done = await self.one(self.store.revoke(new.alias, reason=EndReason.USER))
            (self.gone if done is not None else self.perhaps).append(new)
        elif what < 0.8:
            await self.one(self.store.search(Query()))
        else:
            await self.one(self.store.export(kept.alias, kept.user_id))
        new = self.dice.choice(self.told)
        if new not in self.gone + self.perhaps:
            await self._is_its_own(new)

    async def _is_its_own(self, new: NewSession) -> None:
        record = (await self.bench.load(new)).record
        if record is not None:  # another step may have ended it meanwhile
            assert (record.user_id, record.sid) == (new.user_id, new.sid), "mixed up"

    async def check(self) -> None:
        for new in self.told:
            assert await self.bench.lives(new), "an acknowledged login is lost"
        for new in self.gone:
            assert not await self.bench.lives(new), "an acknowledged end was undone"
        for new in self.perhaps:
            await self._is_its_own(new)


def test_two_loops_in_turn_and_two_thousand_cancellations(path: Path) -> None:
    """What was acknowledged stays, and what was cancelled happened whole or not at all."""
    bench = bench_at(path, suspends=True)
    crowd = Crowd(bench, seed=11)

    async def scene() -> None:
        crowd.told.append(await bench.login(user_id="user-0"))
        aim = crowd.cancelled + 1000
        while crowd.cancelled < aim:
            await asyncio.gather(*(crowd.step() for _ in range(4)))
        await crowd.check()
        assert query(path, "BEGIN IMMEDIATE") == [], "no lock is left behind"

    for _ in range(2):
        asyncio.run(scene())
    assert crowd.cancelled >= 2000
    assert min(len(crowd.told), len(crowd.gone), len(crowd.perhaps)) > 10
    asyncio.run(bench.store.close())
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
