"""The bench that a check of a store works at: a fresh store, a clock, and made-up people.

Belongs here: how checks get what they need and how they are run. Does not: what is checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from gatehound._sync import run_sync
from gatehound.model import Event
from gatehound.stores.answer import (
    Answer,
    Created,
    EventQuery,
    Meta,
    NewSession,
    Query,
    Standing,
)
from gatehound.stores.base import Store
from gatehound.stores.record import Record, Seen
from gatehound.testing.clock import FakeClock

T = TypeVar("T")
OpenStore = Callable[[FakeClock], Store]

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
META: Final = Meta(fingerprint=b"f" * 16, namespace="default")
THREADS: Final = 16  # more threads do not make more races, only more waiting
# A cursor comes back through a URL. Not short, and not of one store alone: parts that leave 53,
# 64 or 128 bits, an entry before all, digits that only Python takes for some.
MADE_UP_CURSORS: Final = (
    *("x", "-1", "0", "9" * 400, "é", "\x00", "../..", "*", "a-b-c", "0-0-0", "1-0-0"),
    *("9" * 23 + "-1-1", "1-" + "9" * 23 + "-1", "1-1-" + "9" * 23, "9" * 400 + "-1-1"),
    *(f"{2**64}-0-0", f"{2**64 - 1}-{2**64 - 1}-255", f"{2**53}-{2**64}-1", "1_0-1-1", " 1-1-1"),
    *("9" * 16 + "-" + "f" * 17, "9" * 23 + "-" + "f" * 16, "9" * 23, f"{2**64}", "٣-1-1"),
    *("9" * 23 + "-" + "f" * 16 + "-" + "f" * 24, "1-" + "f" * 40 + "-" + "f" * 40),
)


class Bench:
    """What one check works with; made new for each.

    `store` is fresh, empty and prepared with META. `mint` never gives the same bytes twice.
    """

    def __init__(self, open_store: OpenStore) -> None:
        self.clock = FakeClock()
        self.store = open_store(self.clock)
        self._open_store = open_store
        self._opened = [self.store]
        self._minted = 0

    async def another(self) -> Store:
        """Return a second store of the same kind, fresh, empty and prepared, on the same clock."""
        self._opened.append(self._open_store(self.clock))
        await self._opened[-1].prepare(META)
        return self._opened[-1]

    async def close(self) -> None:
        """Close every store that this bench opened."""
        for store in self._opened:
            await store.close()

    def mint(self, size: int) -> bytes:
        """Return `size` bytes that look random and are the same in every run."""
        self._minted += 1
        return hashlib.blake2b(self._minted.to_bytes(8), digest_size=size).digest()

    def sid(self) -> bytes:
        """Mint the name of a session."""
        return self.mint(8)

    def alias(self) -> bytes:
        """Mint what stands for a user."""
        return self.mint(12)

    def secret(self) -> bytes:
        """Mint the hash of a secret."""
        return self.mint(16)

    def seen(self, **changes: Any) -> Seen:
        """Return where a made-up browser is."""
        pairs = (self.mint(6), b"")
        seen = Seen(0, bytes([192, 0, 2, 7]), "NO", 3143244, b"agent1", pairs)
        return replace(seen, **changes)

    def new(self, **changes: Any) -> NewSession:
        """Return what `create` is asked for: one hour idle, twelve absolute, limit 5."""
        new = NewSession(
            sid=self.sid(),
            alias=b"",
            user_id="anna",
            secret_hash=self.secret(),
            idle=HOUR,
            absolute=12 * HOUR,
            seen=self.seen(),
            roles=("editor",),
            agent="Mozilla/5.0 (Made up)",
        )
        new = replace(new, **changes)
        return new if new.alias else replace(new, alias=self.alias())

    async def login(self, event: Event | None = None, **changes: Any) -> NewSession:
        """Create a session and return what was asked for; it is an error if it is refused."""
        new = self.new(**changes)
        created = await self.store.create(new, event)
        assert isinstance(created, Created), f"create should make a session, it said {created}"
        return new

    async def load(self, new: NewSession, *, touch: int | None = None) -> Answer:
        """Ask what the secret of `new` is worth now."""
        return await self.store.load(new.alias, new.sid, new.secret_hash, touch=touch)

    async def record(self, new: NewSession) -> Record:
        """Return the record of a session that has to be alive."""
        answer = await self.load(new)
        standing(answer, Standing.LIVE, "a living session")
        assert answer.record is not None, "a LIVE answer has to carry the record"
        return answer.record

    async def lives(self, new: NewSession) -> bool:
        """Say whether the secret of `new` authenticates."""
        return (await self.load(new)).standing is Standing.LIVE

    async def events(self, name: str | None = None, **which: Any) -> list[Event]:
        """Return all events, oldest first."""
        names = None if name is None else (name,)
        page = await self.store.events(EventQuery(names=names, limit=1000, **which))
        return list(reversed(page.events))

    async def search(self, **which: Any) -> set[bytes]:
        """Return the sids of everything that a search finds on one page."""
        return {record.sid for record in (await self.store.search(Query(**which))).records}

    async def parallel(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """Make all calls at the same time and return their results, in order.

        Several threads for a store that does not suspend, several tasks for one that does.
        """
        if self.store.suspends:
            return list(await asyncio.gather(*(call() for call in calls)))
        return self._in_threads(calls)

    def _in_threads(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        count = min(THREADS, len(calls))
        start = threading.Barrier(count)

        def work(first: int) -> list[T]:
            start.wait()
            try:
                return [run_sync(call()) for call in calls[first::count]]
            finally:
                run_sync(self.store.close())

        with ThreadPoolExecutor(count) as pool:
            shares = list(pool.map(work, range(count)))
        return [shares[position % count][position // count] for position in range(len(calls))]

    async def elsewhere(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Make a call from another thread, on a loop of its own where the store suspends."""

        async def whole() -> T:
            try:
                return await call()
            finally:
                await self.store.close()

        if self.store.suspends:
            return await asyncio.to_thread(lambda: asyncio.run(whole()))
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: run_sync(whole())).result()


Check = Callable[[Bench], Coroutine[Any, Any, None]]


def run_check(open_store: OpenStore, check: Check) -> None:
    """Run one check on a store of its own: on an event loop if the store suspends, else none."""
    bench = Bench(open_store)

    async def whole() -> None:
        try:
            await bench.store.prepare(META)
            await check(bench)
        finally:
            await bench.close()

    if bench.store.suspends:
        asyncio.run(whole())
    else:
        run_sync(whole())


def equal(actual: object, expected: object, what: str) -> None:
    """Raise AssertionError unless both are equal; `what` is what they are."""
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def standing(answer: Answer, expected: Standing, what: str, reuse: str = "") -> None:
    """Check the standing of an answer, its class of reuse, and what has to come with it."""
    equal((answer.standing, answer.reuse), (expected, reuse), what)
    has_record = expected not in (Standing.ENDED, Standing.UNKNOWN) or answer.expired
    equal(answer.record is not None, has_record, f"{what}: a record with {expected}")
    equal(answer.ended is not None, expected is Standing.ENDED, f"{what}: ended with {expected}")


async def refuses(call: Awaitable[object], what: str) -> None:
    """Raise AssertionError unless the call raises ValueError."""
    try:
        result = await call
    except ValueError:
        return
    raise AssertionError(f"{what}: expected ValueError, got {result!r}")
