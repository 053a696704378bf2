"""Copy a store: what is counted and told, and two names of one store are not copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable, UsageError
from gatehound.model import EndReason
from gatehound.stores.base import Store
from gatehound.stores.copying import Copied, copy_store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import Bench, FakeClock, FaultyStore
from gatehound.testing.bench import META


def filled(count: int) -> tuple[Bench, Store]:
    bench = Bench(lambda clock: MemoryStore(clock=clock))

    async def fill() -> Store:
        for number in range(count):
            new = await bench.login(user_id=f"user-{number}")
            await bench.login(alias=new.alias)
        ended = await bench.login()
        await bench.store.revoke(ended.alias, reason=EndReason.LOGOUT)
        return await bench.another()

    return bench, run_sync(fill())


def test_copy_counts_and_tells_how_far_it_is() -> None:
    bench, target = filled(6)
    steps: list[int] = []
    done = run_sync(copy_store(bench.store, target, limit=3, progress=steps.append))
    assert done == Copied(users=7, sessions=12)
    assert steps == [3, 6, 7]
    assert run_sync(copy_store(target, bench.store)) == done


def test_copy_of_an_empty_store() -> None:
    stores = [MemoryStore(), MemoryStore()]
    steps: list[int] = []
    assert run_sync(copy_store(*stores, progress=steps.append)) == Copied(0, 0)
    assert steps == [0]


@pytest.mark.parametrize("link", [False, True])
def test_a_store_is_not_copied_into_itself(tmp_path: Path, link: bool) -> None:
    path = other = tmp_path / "one.db"
    first = SQLiteStore(path)
    run_sync(first.prepare(META))
    if link:
        (tmp_path / "linked").symlink_to(tmp_path)
        other = tmp_path / "linked" / "one.db"
    second = SQLiteStore(other)
    with pytest.raises(UsageError, match="copy a store into itself: name another"):
        run_sync(copy_store(first, second))
    for store in (first, second):
        run_sync(store.close())


def test_a_copy_that_was_broken_off_is_repeated() -> None:
    bench, target = filled(6)
    faulty = FaultyStore(target)
    faulty.fail("restore", when="after")
    with pytest.raises(StoreUnavailable):
        run_sync(copy_store(bench.store, faulty, limit=3))
    assert run_sync(copy_store(bench.store, faulty, limit=3)) == Copied(7, 12)


def test_a_full_memory_store_takes_no_more_users() -> None:
    bench, _ = filled(6)
    small = MemoryStore(clock=bench.clock, max_users=3)
    with pytest.raises(StoreUnavailable, match="full"):
        run_sync(copy_store(bench.store, small))
    whole = MemoryStore(clock=bench.clock, max_users=7)
    for _ in range(2):  # users who are there take no room the second time
        assert run_sync(copy_store(bench.store, whole)).users == 7


def test_findings_of_a_sqlite_store(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "open.db", clock=FakeClock())
    run_sync(store.prepare(META))
    (tmp_path / "open.db").chmod(0o644)
    codes = [finding.code for finding in run_sync(store.findings())]
    assert "session-file-open" in codes
    run_sync(store.close())
