"""The SQLite store under faults: killed processes, full disks, locks.

The oracle is what callers were told: an acknowledged login lives unless an end of it was asked
for, an acknowledged end is never undone, and no answer belongs to somebody else.

Processes are killed for real (SIGKILL). A disk is full for real where this process may mount one
(tmpfs), and by a limit of file sizes everywhere. Damage and power cuts are in
test_sqlite_damage, forks, threads and cancellations in test_sqlite_shared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from sqlite_faults import (
    History,
    Workers,
    bench_at,
    ended,
    finish,
    full_disk,
    holder,
    let_go,
    query,
)

from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.answer import Answer, NewSession, Standing
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import Bench

pytestmark = [pytest.mark.full, pytest.mark.ci]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=[False, True], ids=["wsgi", "asgi"])
def suspends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# --- processes that are killed ---


def test_four_processes_that_are_killed_lose_nothing_they_were_told(
    path: Path, tmp_path: Path
) -> None:
    journals = tmp_path / "journals"
    journals.mkdir()
    with Workers(path, journals, ["plain", "loop", "plain", "loop"]) as workers:
        workers.wait_for(20)
        for number in (0, 1, 2, 3, 1, 0):
            workers.kill(number)
            workers.start(number)
            workers.wait_for(15)
    assert workers.kills == 10
    history = History(journals)
    assert history.bad == []
    found = finish(store := SQLiteStore(path), history.check(store))
    assert found["living"] > 20
    assert found["dead"] > 20
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


# --- a full disk ---


async def log_in_until_full(bench: Bench, told: list[NewSession]) -> None:
    """Use up what is left of the last blocks, too."""
    for _ in range(100):
        told += [await bench.login(Event("session_created", "anna"))]


@pytest.mark.parametrize("disk", ["mount", "limit"])
def test_a_full_disk_signs_nobody_out_and_needs_no_restart(
    disk: str, suspends: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "disk"
    with full_disk(disk, folder) as (fill, make_room):
        bench = bench_at(folder / "sessions.db", suspends=suspends)
        store = bench.store

        async def scene() -> None:
            told = [await bench.login(Event("session_created", "anna")) for _ in range(40)]
            bench.clock.advance(120)
            fill()
            with pytest.raises(StoreUnavailable, match=r"disk.* quota"):
                await log_in_until_full(bench, told)
            for new in told:
                answer = await bench.load(new, touch=60_000)
                assert answer.standing is Standing.LIVE
            assert len((await store.sessions(told[0].alias)).records) == 1
            make_room()
            assert (await bench.load(told[0], touch=1)).was_seen
            told.append(await bench.login())
            await store.revoke(told[1].alias, reason=EndReason.ADMIN, event=ended(told[1]))
            assert [await bench.lives(new) for new in told].count(False) == 1

        finish(store, scene())
        assert query(folder / "sessions.db", "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("disk", ["mount", "limit"])
def test_on_a_full_disk_sessions_end_where_the_file_need_not_grow(
    disk: str, tmp_path: Path
) -> None:
    """An attacker who fills the disk must not be the one whose session cannot be ended."""
    folder = tmp_path / "disk"
    with full_disk(disk, folder) as (fill, _):
        bench = bench_at(folder / "sessions.db")
        store = bench.store

        async def scene() -> None:
            told = [await bench.login() for _ in range(150)]
            for new in told[100:]:
                await store.revoke(new.alias, only=new.sid, reason=EndReason.ADMIN)
            await store.forget(told[-1].alias, "nobody")  # empties the WAL into the file
            told = [*told[:100], *[await bench.login() for _ in range(10)]]
            fill()
            with pytest.raises(StoreUnavailable):
                await log_in_until_full(bench, [])
            for new in told[:5]:
                await store.revoke(new.alias, only=new.sid, reason=EndReason.ADMIN)
            assert [await bench.lives(new) for new in told[:6]] == [False] * 5 + [True]

        finish(store, scene())


# --- a locked file ---

LOCKED_FOR = 10.0
LAST = 1.2  # a call that is begun later outlives the lock


class Clerk:
    """Makes one call again and again until the lock goes, and notes how long each took."""

    def __init__(self, until: float, *, last: float = 0.0, on_loop: bool = False) -> None:
        self.until, self.on_loop = until - last, on_loop
        self.took: list[float] = []

    async def refused(self, call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        while (start := time.monotonic()) < self.until:
            with pytest.raises(StoreUnavailable, match=r"did not move for 1 s|process for 1 s"):
                await call()
            self.took.append(time.monotonic() - start)

    async def answered(self, call: Callable[[], Coroutine[Any, Any, Answer]]) -> None:
        while (start := time.monotonic()) < self.until:
            answer = await call()
            self.took.append(time.monotonic() - start)
            assert (answer.standing, answer.was_seen) == (Standing.LIVE, 0)
            if self.on_loop:
                await asyncio.sleep(0.02)
            else:
                time.sleep(0.02)  # noqa: ASYNC251 - a thread, in real time

    async def tick(self) -> None:
        last = time.monotonic()
        while last < self.until:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            self.took.append(now - last)
            last = now


def test_a_lock_of_ten_seconds_stops_writes_at_their_deadline_and_no_reader(path: Path) -> None:
    """One lock for both kinds of store: threads for the plain one, a ticker on the loop."""
    plain = bench_at(path)
    loop = Bench(lambda _: SQLiteStore(path, suspends=True, clock=plain.clock))
    loop._minted = 1_000_000
    told = [run_sync(plain.login()) for _ in range(3)]
    victim = told[2]
    plain.clock.advance(120)

    async def whole() -> list[list[float]]:
        await loop.lives(told[0])  # opened before the lock, as in a running app
        with holder(path, "EXCLUSIVE") as process, ThreadPoolExecutor(3) as pool:
            until = time.monotonic() + LOCKED_FOR
            logins, ends, behind = (Clerk(until, last=LAST) for _ in range(3))
            looks, beside, ticker = Clerk(until), Clerk(until, on_loop=True), Clerk(until)
            end = partial(plain.store.revoke, victim.alias, reason=EndReason.USER)
            look = partial(plain.load, told[0], touch=60_000)
            threads = [
                pool.submit(lambda: run_sync(logins.refused(plain.login))),
                pool.submit(lambda: run_sync(ends.refused(end))),
                pool.submit(lambda: run_sync(looks.answered(look))),
            ]
            await asyncio.gather(
                ticker.tick(),
                behind.refused(loop.login),
                beside.answered(partial(loop.load, told[1], touch=60_000)),
            )
            let_go(process)
            for thread in threads:
                thread.result()
        await loop.login()  # nothing has to be restarted
        await asyncio.sleep(1.1)  # the second in which nobody waits for a touch
        assert (await loop.load(told[1], touch=60_000)).was_seen
        await loop.store.close()
        return [clerk.took for clerk in (logins, ends, behind, looks, beside, ticker)]

    logins, ends, behind, looks, beside, gaps = asyncio.run(whole())
    run_sync(plain.login())
    assert run_sync(plain.lives(victim))
    run_sync(plain.store.close())
    print(  # noqa: T201 - the figures, for whoever runs this with -s
        f"\nlogin {max(logins):.2f} s, revoke {max(ends):.2f} s, login on the loop "
        f"{max(behind):.2f} s, load max {max(looks) * 1000:.0f} ms median "
        f"{median(looks) * 1000:.2f} ms, load on the loop {max(beside) * 1000:.0f} ms median "
        f"{median(beside) * 1000:.2f} ms, ticker of 5 ms: median {median(gaps) * 1000:.1f} ms, "
        f"max {max(gaps) * 1000:.1f} ms"
    )
    assert max(*logins, *ends, *behind) < 1.8
    assert min(*logins, *ends) > 0.9
    # A quarter of a second once a second, while touches are tried; the others do not wait.
    assert max(*looks, *beside) < 0.6
    assert median(looks) < 0.1
    assert max(gaps) < 0.2, "a loop that waits for a lock stands still for its whole deadline"
    assert median(gaps) < 0.02
