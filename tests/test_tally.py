"""Figures by the hour, against a naive count of the same log.

Not checked here: that the log itself is whole; gatehound.testing does that for each store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehound import Event, tally
from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.stores.answer import Memory
from gatehound.stores.memory import MemoryStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.tally import HOUR, HOURS, KINDS, SHELF, Tally, levels
from gatehound.testing import FakeClock, FaultyStore

MONTH = 30 * 24 * HOUR
NAMES = [*(name for names in KINDS.values() for name in names), "session_rotated", "user_disabled"]
START = 1_800_000_000 // HOUR  # the hour at which a fake clock begins


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def store(
    request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path
) -> Iterator[MemoryStore | SQLiteStore]:
    """A store that keeps events for a month, in memory and in a file."""
    made: MemoryStore | SQLiteStore = (
        MemoryStore(clock=clock, event_retention=MONTH * 1000)
        if request.param == "memory"
        else SQLiteStore(tmp_path / "s.db", clock=clock, event_retention=MONTH * 1000)
    )
    yield made
    run_sync(made.close())


def counted(store: Any, *, batches: int = 20, retention: float = MONTH) -> Tally:
    return run_sync(tally.tally(store, retention=retention, batches=batches))


def write(store: Any, name: str, many: int = 1, **detail: Any) -> None:
    for _ in range(many):
        run_sync(store.append(Event(name, detail=detail)))


def shelf(store: Any) -> Memory:
    found: Memory = run_sync(store.shelf(SHELF))
    return found


def test_nothing_is_counted_of_nothing(store: Any) -> None:
    found = counted(store)
    assert (found.counts, found.until, found.complete) == ({}, 0.0, True)
    assert found.since == 1_800_000_000 - MONTH
    assert found.series("logins", range(3)) == [0, 0, 0]


def test_each_kind_by_the_hour(store: Any, clock: FakeClock) -> None:
    for name in NAMES:
        write(store, name)
    clock.advance(HOUR)
    write(store, "session_created", 3)
    found = counted(store)
    assert {kind: dict(hours) for kind, hours in found.counts.items()} == {
        "logins": {START: 1, START + 1: 3},
        "ends": {START: 3},
        "flags": {START: 1},
        "failed": {START: 2},
        "step_ups": {START: 1},
    }
    assert found.until == clock() / 1000
    version = shelf(store).version
    assert counted(store) == found  # and nothing is counted twice
    assert shelf(store).version == version  # nor written where nothing is new


def test_of_a_flood_one_event_stands_for_many(store: Any) -> None:
    write(store, "login_failed", 2)
    write(store, "login_failed", count=57)
    write(store, "login_failed", count="many")
    assert counted(store).series("failed", [START]) == [60]


def test_end_of_all_ends_as_many_as_it_says(store: Any, clock: FakeClock) -> None:
    write(store, "session_created", 7)
    write(store, "everyone_terminated", count=6)
    write(store, "everyone_terminated")  # of a release that did not say
    clock.advance(HOUR)
    write(store, "session_created", 2)
    found = counted(store)
    assert found.series("ends", [START, START + 1]) == [6, 0]
    assert levels(3, found, [START, START + 1]) == [1, 3]


def test_long_log_is_counted_in_several_calls(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "BATCH", 3)
    write(store, "session_created", 10)
    sums = []
    while not (found := counted(store, batches=1)).complete:
        sums += found.series("logins", [START])
    assert sums == [3, 6, 9]
    assert found.series("logins", [START]) == [10]


def test_call_that_breaks_off_counts_nothing_twice(clock: FakeClock) -> None:
    store = FaultyStore(MemoryStore(clock=clock))
    write(store, "session_created", 5)
    for name in ("shelf", "ping", "tail", "put"):
        for when in ("before", "after"):
            store.fail(name, when=when)
            with pytest.raises(StoreUnavailable):
                counted(store)
            assert counted(store).series("logins", [START]) == [5]
            assert counted(store).series("logins", [START]) == [5]
            write(store, "session_rotated")


class Rivals(MemoryStore):
    """A store in which others do something between reading a shelf and writing it."""

    others: Callable[[], Awaitable[object]]

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.times, self.inside = 0, False

    async def put(self, name: str, memory: Memory) -> bool:
        if self.times and not self.inside:
            self.times, self.inside = self.times - 1, True
            await self.others()
            self.inside = False
        return await super().put(name, memory)


@pytest.mark.parametrize(("times", "first", "then"), [(1, 7, 7), (3, 11, 11), (100, 14, 15)])
def test_two_who_count_at_once_count_nothing_twice(
    clock: FakeClock, times: int, first: int, then: int
) -> None:
    """Each time the other was quicker, and left one event more that nobody has counted."""
    store = Rivals(clock)

    async def other() -> None:
        await store.append(Event("session_created"))
        await tally.tally(store, retention=MONTH)
        await store.append(Event("session_created"))

    store.others, store.times = other, times
    write(store, "session_created", 5)
    found = counted(store)
    assert found.series("logins", [START]) == [first]  # 14: theirs, after five tries
    assert found.complete == (times < tally.ATTEMPTS)
    store.times = 0
    assert counted(store).series("logins", [START]) == [then]


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"text",
        msgspec.msgpack.encode({"place": "1"}),
        msgspec.msgpack.encode(["1", 0.0]),
        msgspec.msgpack.encode([1, 0.0, 0.0, {}]),
        msgspec.msgpack.encode(["1", 0.0, 0.0, {"logins": {"x": 1}}]),
        msgspec.msgpack.encode(["", float("nan"), 0.0, {}]),
        msgspec.msgpack.encode(["", float("inf"), 0.0, {}]),
        msgspec.msgpack.encode(["", 0.0, float("nan"), {}]),
    ],
)
def test_damaged_shelf_is_counted_anew(store: Any, data: bytes) -> None:
    write(store, "session_created", 4)
    assert run_sync(store.put(SHELF, Memory(data, 0)))
    assert counted(store).series("logins", [START]) == [4]
    assert shelf(store).data != data


def test_only_a_month_is_kept(store: Any, clock: FakeClock) -> None:
    write(store, "session_created")
    assert counted(store).counts["logins"] == {START: 1}
    size = len(shelf(store).data)
    clock.advance((HOURS - 1) * HOUR)
    assert counted(store).counts["logins"] == {START: 1}
    clock.advance(HOUR)
    write(store, "session_created")
    assert counted(store).counts["logins"] == {START + HOURS: 1}
    assert len(shelf(store).data) <= size + 2


def test_figures_outlive_the_log(clock: FakeClock) -> None:
    store = MemoryStore(clock=clock, event_retention=HOUR * 1000)
    write(store, "session_created", 2)
    assert counted(store, retention=HOUR).since == 1_800_000_000 - HOUR
    clock.advance(2 * HOUR)
    write(store, "session_created")
    assert counted(store, retention=HOUR).series("logins", range(START, START + 3)) == [2, 0, 1]


def test_levels_go_back_from_now() -> None:
    found = Tally(
        {"logins": {10: 5, 12: 2}, "ends": {11: 1, 12: 4}}, since=0.0, until=0.0, complete=True
    )
    # 9: 1, then 5 come; 11: one goes; 12: two come and four go
    assert levels(3, found, range(9, 13)) == [1, 6, 5, 3]
    assert levels(0, found, range(9, 13)) == [0, 3, 2, 0]  # never under none
    assert levels(7, found, [12]) == [7]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NAMES), st.none() | st.integers(1, 99)),
        st.tuples(st.just("wait"), st.integers(1, 3 * HOUR)),
        st.tuples(st.just("wait"), st.integers(20 * 24 * HOUR, 21 * 24 * HOUR)),
        st.tuples(st.just("count"), st.integers(1, 3)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 4))
def test_tally_is_a_naive_count_however_it_is_cut(steps: list[tuple[str, Any]], size: int) -> None:
    """Oracle: a Counter of what was written. Not checked: that each call is quick."""
    clock = FakeClock()
    store = MemoryStore(clock=clock, event_retention=10**12)
    naive: dict[str, Counter[int]] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tally, "BATCH", size)
        for name, value in steps:
            if name == "wait":
                clock.advance(value)
            elif name == "count":
                counted(store, batches=value)
            else:
                write(store, name, **({} if value is None else {"count": value}))
                for kind, names in KINDS.items():
                    if name in names:
                        many = value or int(name != "everyone_terminated")
                        naive.setdefault(kind, Counter())[clock() // 1000 // HOUR] += many
        while not (found := counted(store)).complete:
            pass
    last = clock() // 1000 // HOUR
    for kind in KINDS:
        kept = {h: n for h, n in naive.get(kind, {}).items() if h > last - HOURS}
        assert dict(found.counts.get(kind, {})) == kept
