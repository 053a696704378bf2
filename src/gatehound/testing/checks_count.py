"""Checks of a store: shared counters."""

from __future__ import annotations

from gatehound.stores.rule import MAX_COUNTER_NAMES
from gatehound.testing.bench import MINUTE, Bench, equal


def _at_start_of_window(bench: Bench, window: int) -> None:
    bench.clock.advance(ms=-bench.clock() % window)


async def check_counters_add_up(bench: Bench) -> None:
    count = bench.store.count
    equal(await bench.store.counts("failed", window=MINUTE), {}, "counts at first")
    equal(await count("failed", "192.0.2.1", window=MINUTE), 1, "the first")
    equal(await count("failed", "192.0.2.1", by=4, window=MINUTE), 5, "by 4")
    equal(await count("failed", "naïve 😀:*", window=MINUTE), 1, "another name")
    equal(await count("forged", "192.0.2.1", window=MINUTE), 1, "another kind")
    expected = {"192.0.2.1": 5, "naïve 😀:*": 1}
    equal(await bench.store.counts("failed", window=MINUTE), expected, "counts")
    equal(await bench.store.counts("forged", window=MINUTE), {"192.0.2.1": 1}, "another kind")
    equal(await bench.store.counts("unknown", window=MINUTE), {}, "an unknown kind")


async def check_counter_windows_are_fixed(bench: Bench) -> None:
    _at_start_of_window(bench, MINUTE)
    bench.clock.advance(ms=MINUTE // 2)
    equal(await bench.store.count("failed", "a", window=MINUTE), 1, "in the middle")
    bench.clock.advance(ms=MINUTE // 2 - 1)
    equal(await bench.store.count("failed", "a", window=MINUTE), 2, "its last millisecond")
    bench.clock.advance(ms=1)
    equal(await bench.store.counts("failed", window=MINUTE), {}, "counts in the next window")
    equal(await bench.store.count("failed", "a", window=MINUTE), 1, "the next window")
    bench.clock.advance(ms=MINUTE)
    await bench.store.sweep()
    equal(await bench.store.counts("failed", window=MINUTE), {}, "the one after it")


async def check_counters_of_several_windows(bench: Bench) -> None:
    _at_start_of_window(bench, 60 * MINUTE)
    for _ in range(3):
        await bench.store.count("short", "a", window=MINUTE)
        await bench.store.count("long", "a", window=60 * MINUTE)
        bench.clock.advance(ms=MINUTE)
    equal(await bench.store.counts("short", window=MINUTE), {}, "windows of a minute")
    equal(await bench.store.counts("long", window=60 * MINUTE), {"a": 3}, "windows of an hour")


async def check_counter_names_are_bounded(bench: Bench) -> None:
    for number in range(MAX_COUNTER_NAMES):
        await bench.store.count("failed", f"n{number}", window=MINUTE)
    equal(await bench.store.count("failed", "one more", window=MINUTE), 0, "one name more")
    equal(await bench.store.count("failed", "n0", window=MINUTE), 2, "a name that is there")
    counts = await bench.store.counts("failed", window=MINUTE)
    equal((len(counts), "one more" in counts), (MAX_COUNTER_NAMES, False), "counts")
    equal(await bench.store.count("forged", "one more", window=MINUTE), 1, "another kind")
    bench.clock.advance(ms=MINUTE)
    equal(await bench.store.count("failed", "one more", window=MINUTE), 1, "the next window")
