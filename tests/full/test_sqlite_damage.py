"""The SQLite store and a file that is not as it was left: flipped bytes, and power cuts.

The oracle: an answer is of the user it was asked for, or a StoreError that says what to do; and
after a power cut the file holds a prefix of the history with all that was acknowledged.

A power cut is simulated from the files: what was written up to an acknowledgment with
synchronous=FULL is taken to be on the disk, for SQLite asked for it (which pragma each call
commits with is asserted in tests/stores), and of what was written after it any sector may be
missing. A disk that says it has written what it has not is not simulated.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlite_faults import bench_at, copy_as_after_a_crash, ended, finish, query, wal_of

from gatehound._sync import run_sync
from gatehound.errors import StoreError
from gatehound.model import EndReason, Event
from gatehound.stores.answer import NewSession, Query, Standing
from gatehound.testing import Bench

pytestmark = [pytest.mark.full, pytest.mark.ci]

SECTOR = 512
FRAME = 24 + 4096  # of a WAL: https://www.sqlite.org/fileformat2.html, section 4.1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


# --- damage ---


def use(bench: Bench, told: list[NewSession]) -> list[Callable[[], Coroutine[Any, Any, object]]]:
    """Every kind of call, on sessions that are there and on new ones."""
    store = bench.store
    calls: list[Callable[[], Coroutine[Any, Any, object]]] = []
    for new in told:
        calls += [
            lambda new=new: bench.load(new, touch=0),  # type: ignore[misc]  # default binds it
            lambda new=new: store.sessions(new.alias),  # type: ignore[misc]  # as above
            lambda new=new: store.recall(new.alias, new.sid),  # type: ignore[misc]  # as above
            lambda new=new: store.data_get(new.alias, new.sid),  # type: ignore[misc]  # as above
            lambda new=new: store.epoch(new.alias),  # type: ignore[misc]  # as above
            lambda new=new: store.export(new.alias, new.user_id),  # type: ignore[misc]  # as above
        ]
    first, last = told[0], told[-1]
    return [
        *calls,
        lambda: store.search(Query(limit=1000)),
        bench.events,
        lambda: store.counts("kind", window=60_000),
        lambda: store.data_set(first.alias, first.sid, {"more": b"value"}),
        lambda: store.data_incr(first.alias, first.sid, "number"),
        lambda: store.rotate(first.alias, first.sid, first.secret_hash, bench.secret()),
        lambda: store.revoke(last.alias, reason=EndReason.ADMIN, event=ended(last)),
        bench.login,
        store.sweep,
    ]


def records_of(answer: object) -> list[Any]:
    single = [answer.record] if getattr(answer, "record", None) is not None else []  # type: ignore[attr-defined]  # asked for just before
    return [*single, *getattr(answer, "records", ())]


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_are_reported_and_never_show_somebody_else(seed: int, path: Path) -> None:
    """The oracle: answers are of the user asked for, or a StoreError that says what to do.

    A flipped bit in a value that has no checksum (app data, a time) is not noticed by anybody.
    """
    dice = random.Random(seed)
    bench = bench_at(path)

    async def fill() -> list[NewSession]:
        told = []
        for number in range(12):
            new = await bench.login(
                Event("session_created", f"user-{number}"), user_id=f"user-{number}", memory=b"m"
            )
            await bench.store.data_set(new.alias, new.sid, {"name": b"value" * 20, "number": b"7"})
            await bench.store.count("kind", f"name-{number}", window=60_000)
            told.append(new)
        await bench.store.revoke(told.pop().alias, reason=EndReason.USER)
        return told

    told = finish(bench.store, fill())
    bench.clock.advance(60)
    raw = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 4, 40, 400))):
        raw[dice.randrange(100 if dice.random() < 0.9 else 0, len(raw))] ^= 1 << dice.randrange(8)
    if seed % 3 == 0:  # where it says whose a session is
        names = [found.end() for found in re.finditer(rb"user-", raw)]
        raw[dice.choice(names)] ^= 1 << dice.randrange(4)
    path.write_bytes(raw)
    owners = {new.sid: new.user_id for new in told}

    fixes: list[str] = []

    async def look() -> None:
        for call in use(bench, told):
            try:
                answer = await call()
            except StoreError as error:
                fixes.append(str(error))
                continue
            for record in records_of(answer):
                assert owners.get(record.sid, "anna") == record.user_id

    finish(bench.store, look())
    assert all("restore" in text or "move" in text for text in fixes)


# --- power cuts ---


def acknowledged(path: Path, count: int) -> tuple[Bench, list[tuple[int, str, NewSession]]]:
    """Log in and out, and note how long the WAL is when each call returns."""
    bench = bench_at(path)
    notes: list[tuple[int, str, NewSession]] = []

    async def scene() -> None:
        await bench.store.ping()
        told: list[NewSession] = []
        for number in range(count):
            told.append(await bench.login())
            notes.append((wal_of(path).stat().st_size, "made", told[-1]))
            await bench.store.data_set(told[-1].alias, told[-1].sid, {"a": b"not synced"})
            if number % 3 == 2:
                victim = told.pop(0)
                await bench.store.revoke(victim.alias, only=victim.sid, reason=EndReason.USER)
                notes.append((wal_of(path).stat().st_size, "ended", victim))
            await bench.load(told[-1], touch=0)

    run_sync(scene())
    return bench, notes


async def standings(bench: Bench, notes: list[tuple[int, str, NewSession]]) -> list[bool]:
    """Say of each note whether it has happened in the file that the bench has open."""
    found = []
    for _, what, new in notes:
        standing = (await bench.load(new)).standing
        made = standing in (Standing.LIVE, Standing.ENDED)
        found.append(made if what == "made" else standing is Standing.ENDED)
    return found


def check_after_a_crash(copied: Path, size: int, notes: list[tuple[int, str, NewSession]]) -> int:
    bench = bench_at(copied)
    found = finish(bench.store, standings(bench, notes))
    happened = found.count(True)
    assert found == [True] * happened + [False] * (len(found) - happened), "a prefix"
    due = sum(end <= size for end, _, _ in notes)
    assert happened >= due, "what was acknowledged by then is there"
    assert query(copied, "PRAGMA integrity_check") == [("ok",)]
    return happened


def test_a_wal_that_is_cut_anywhere_holds_a_prefix_of_the_history(
    path: Path, tmp_path: Path
) -> None:
    bench, notes = acknowledged(path, 9)
    wal = wal_of(path).read_bytes()
    start = 32 + ((notes[0][0] - 32) // FRAME - 1) * FRAME  # the tables are made before
    seen = []
    for number, size in enumerate(range(start, len(wal) + 1, FRAME)):
        copied = copy_as_after_a_crash(path, tmp_path / str(number), wal[:size])
        seen.append(check_after_a_crash(copied, size, notes))
    assert seen == sorted(seen), "more of the WAL is more of the history"
    assert seen[-1] == len(notes)
    run_sync(bench.store.close())


def test_sectors_that_a_power_cut_lost_take_nothing_that_was_synced(
    path: Path, tmp_path: Path
) -> None:
    """After the last fsync the disk may have written any sector of the rest, or none."""
    bench, notes = acknowledged(path, 9)
    wal = wal_of(path).read_bytes()
    dice = random.Random(7)
    for number in range(40):
        size = dice.choice(notes)[0]
        torn = bytearray(wal)
        for at in range(size // SECTOR * SECTOR, len(torn), SECTOR):
            if dice.random() < 0.3:
                torn[max(at, size) : at + SECTOR] = bytes(
                    min(at + SECTOR, len(torn)) - max(at, size)
                )
        copied = copy_as_after_a_crash(path, tmp_path / str(number), bytes(torn))
        check_after_a_crash(copied, size, notes)
    run_sync(bench.store.close())
