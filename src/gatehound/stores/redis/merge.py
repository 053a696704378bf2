"""Read 256 sorted buckets as one list, newest first, without reading any of them whole."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from gatehound.stores.redis.keys import BUCKETS

T = TypeVar("T")
R = TypeVar("R")
Key = tuple[int, ...]

# A page looks at no more than this many items for those that match, so that a rare one does not
# hold the caller for the whole store; its cursor goes on from there.
MAX_SCAN: Final = 5_000
_CHUNK: Final = 100


class Source(msgspec.Struct, Generic[T]):
    """One bucket: read on from below `before` (None: from its newest), `count` at a time.

    What has `piece` in its name is for a bucket that is stored in pieces.
    """

    bucket: int
    before: Key | None
    count: int
    more: bool = True
    items: deque[tuple[Key, T]] = msgspec.field(default_factory=deque)
    pieces: deque[bytes] = msgspec.field(default_factory=deque)
    last_piece: bytes = b""
    more_pieces: bool = True


# Fill the sources, in one trip: append items older than `before` and tell if there may be more.
Fill = Callable[[Sequence[Source[T]]], Awaitable[None]]


class Merge(Generic[T]):
    """A merge by key. A source is read on, twice as far each time, when it runs empty.

    `looked_at` is how many items stand before the one that a page goes on from.
    """

    def __init__(self, fill: Fill[T], before: Key | None, first: int = 4) -> None:
        self._fill = fill
        self._sources = [Source[T](bucket, before, first) for bucket in range(BUCKETS)]
        self._heap: list[tuple[Key, int]] = []
        self._hungry = list(self._sources)
        self.looked_at = 0

    async def page(
        self, limit: int, accept: Callable[[list[T]], Awaitable[list[R | None]]]
    ) -> tuple[list[R], Key | None]:
        """Return the next `limit` that `accept` lets through (the others it turns into None).

        The key is that of the last item looked at, to go on from; None at the end.
        """
        found: list[R] = []
        chunk: list[tuple[Key, T]] = []
        for _ in range(0, MAX_SCAN, _CHUNK):
            chunk = await self.take(_CHUNK)
            accepted = await accept([item for _, item in chunk])
            for place, ((key, _), result) in enumerate(zip(chunk, accepted, strict=True), 1):
                self.looked_at += 1
                if result is not None:
                    found.append(result)
                if len(found) == limit:
                    done = place == len(chunk) and await self.is_empty()
                    return found, None if done else key
            if await self.is_empty():
                return found, None
        return found, chunk[-1][0]

    async def take(self, count: int) -> list[tuple[Key, T]]:
        """Return the next items, fewer than `count` only at the end."""
        taken: list[tuple[Key, T]] = []
        while len(taken) < count and not await self.is_empty():
            _, bucket = heapq.heappop(self._heap)
            source = self._sources[bucket]
            taken.append(source.items.popleft())
            self._offer(source)
        return taken

    async def is_empty(self) -> bool:
        """True where nothing is left."""
        while self._hungry:
            hungry, self._hungry = self._hungry, []
            await self._fill(hungry)
            for source in hungry:
                source.count *= 2
                if source.items:
                    source.before = source.items[-1][0]
                self._offer(source)
        return not self._heap

    def _offer(self, source: Source[T]) -> None:
        if source.items:
            key = source.items[0][0]
            heapq.heappush(self._heap, (tuple(-part for part in key), source.bucket))
        elif source.more:
            self._hungry.append(source)
