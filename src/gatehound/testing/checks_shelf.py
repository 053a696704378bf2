"""Checks of a store: the shelves of background work, and the number of living sessions."""

from __future__ import annotations

from functools import partial

from gatehound.model import EndReason
from gatehound.stores.answer import Memory
from gatehound.stores.record import ANONYMOUS
from gatehound.stores.rule import MAX_SHELF_BYTES
from gatehound.testing.bench import HOUR, Bench, equal, refuses

WRITERS = 16
EACH = 4  # times that each writer adds one


async def check_shelf_keeps_what_was_put(bench: Bench) -> None:
    store, every_byte = bench.store, bytes(range(256))
    equal(await store.shelf("mail"), Memory(), "a shelf of nothing")
    for version, data in enumerate((every_byte, b"", b"x" * MAX_SHELF_BYTES)):
        equal(await store.put("mail", Memory(data, version)), True, f"put number {version}")
        equal(await store.shelf("mail"), Memory(data, version + 1), f"after put {version}")
    equal(await store.shelf("mail2"), Memory(), "another shelf")
    equal(await store.put("mail2", Memory(b"other")), True, "put on another shelf")
    equal((await store.shelf("mail")).version, 3, "the first shelf")
    equal(await store.shelf("mail2"), Memory(b"other", 1), "the other shelf")


async def check_put_refuses_another_version(bench: Bench) -> None:
    store = bench.store
    for version in (1, 7):
        equal(
            await store.put("a", Memory(b"x", version)), False, "over a version that is not there"
        )
    equal(await store.shelf("a"), Memory(), "after it")
    await store.put("a", Memory(b"one", 0))
    for version in (0, 2):
        equal(await store.put("a", Memory(b"two", version)), False, "over another version")
    equal(await store.shelf("a"), Memory(b"one", 1), "after it")


async def check_shelf_limits(bench: Bench) -> None:
    store = bench.store
    for name in ("", "a" * 33, "A", "a_b", "a b", "é", "a:b", "a\n"):
        await refuses(store.put(name, Memory(b"x")), f"put under {name!r}")
        await refuses(store.shelf(name), f"the shelf {name!r}")
    await refuses(store.put("a", Memory(bytes(MAX_SHELF_BYTES + 1))), "too much")
    equal(await store.shelf("a"), Memory(), "after too much")
    for name in ("a" * 32, "0-9", "-"):
        equal(await store.put(name, Memory(b"x")), True, f"put under {name!r}")


async def check_shelves_stay(bench: Bench) -> None:
    """Nothing but `put` changes one; a copy takes none along, and replaces none."""
    new, other = await bench.login(), await bench.another()
    await bench.store.put("work", Memory(b"mine"))
    await other.put("work", Memory(b"theirs"))
    cursor: str | None = None
    while cursor != "":
        dump = await bench.store.dump(cursor or "")
        await other.restore(dump)
        cursor = dump.cursor
    await bench.store.forget(new.alias, "anna")
    await bench.store.revoke_everyone()
    bench.clock.advance(ms=500 * 24 * HOUR)
    await bench.store.sweep()
    await bench.store.close()
    equal(await bench.store.shelf("work"), Memory(b"mine", 1), "after 500 days and a sweep")
    equal(await other.shelf("work"), Memory(b"theirs", 1), "the shelf of the store copied to")


async def check_race_puts(bench: Bench) -> None:
    """Who adds one to what is there, and tries again where another was quicker, loses none."""
    lost: list[int] = []

    async def add() -> None:
        for _ in range(EACH):
            while True:
                stored = await bench.store.shelf("sum")
                total = int(stored.data or b"0") + 1
                if await bench.store.put("sum", Memory(b"%d" % total, stored.version)):
                    break
                lost.append(total)
                assert len(lost) < 100_000, "nobody is ever the quickest"

    await bench.parallel([partial(add) for _ in range(WRITERS)])
    expected = WRITERS * EACH
    equal(await bench.store.shelf("sum"), Memory(b"%d" % expected, expected), "the sum")


async def check_living_counts_sessions(bench: Bench) -> None:
    living = bench.store.living
    equal(await living(), 0, "of an empty store")
    alias = bench.alias()
    made = [await bench.login(alias=alias, idle=12 * HOUR) for _ in range(3)]
    await bench.login(idle=HOUR)
    await bench.login(idle=HOUR, flags=ANONYMOUS, user_id="")
    equal(await living(), 5, "sessions of two users and a visitor")
    await bench.store.revoke(alias, only=made[0].sid, reason=EndReason.LOGOUT)
    await bench.store.rotate(alias, made[1].sid, made[1].secret_hash, bench.secret())
    equal(await living(), 4, "after a sign-out and a rotation")
    bench.clock.advance(ms=2 * HOUR)
    equal(await living(), 4, "two that are over, and nobody found it")
    await bench.store.sweep()
    equal(await living(), 2, "after somebody did")
    await bench.store.forget(alias, "anna")
    equal(await living(), 0, "after the user was forgotten")
