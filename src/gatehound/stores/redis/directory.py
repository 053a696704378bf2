"""All sessions, over all users: search, sweep and ending everybody's.

The directory of a bucket is a sorted set by creation of sid + alias. It finds sessions and
decides nothing: what is living is read from the users' hashes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from gatehound.errors import StoreCorrupt
from gatehound.stores.answer import Finished, Page, Query
from gatehound.stores.record import ALIAS_BYTES, SID_BYTES, Record
from gatehound.stores.redis.call import Calls
from gatehound.stores.redis.form import read_finished
from gatehound.stores.redis.keys import BUCKETS
from gatehound.stores.redis.merge import Key, Merge, Source
from gatehound.stores.redis.trouble import SlotMoving
from gatehound.stores.redis.wire import Command
from gatehound.stores.rule import matches

# Pieces that one trip names for a bucket.
_PIECES: Final = 8
# Sessions that one call ends when all of a piece may end: no more lie in one, as a rule.
_PATIENTLY: Final = 1_000
_CURSOR: Final = re.compile(r"([0-9]{1,16})-([0-9a-f]{16})-([0-9a-f]{24})")

Member = tuple[bytes, bytes]


class Directory:
    """The directories of one namespace. `sweep` goes on where it stopped."""

    __slots__ = ("_calls", "_next_bucket")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._next_bucket = 0

    async def search(self, query: Query, siblings: Sequence[Record] | None = None) -> Page:
        """Return one page; `siblings` are the sessions of the user that `query` names."""
        before = _read_cursor(query.cursor)
        now = await self._calls.refresh(patient=True)
        if siblings is not None:
            records = [(_key(record), record) for record in reversed(siblings)]
            return _page_of([r for r in records if before is None or r[0] < before], query, now)
        if before is None and query.created_before is not None:
            before = (query.created_before,)

        async def accept(members: list[Member]) -> list[Record | None]:
            records = await self._read(members, now)
            return [record if record and matches(record, query) else None for record in records]

        merge = Merge(self._fill, before)
        found, last = await merge.page(query.limit, accept)
        cursor = "" if last is None else _write_cursor(last)
        return Page(tuple(found), now, cursor, merge.looked_at)

    async def living(self) -> int:
        """Count what the directories hold; see Store.living."""
        keys = [[bucket + b"i"] for bucket in self._calls.keys.buckets]
        replies = await self._calls.run_each("living", keys)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return sum(reply[2] for reply in replies)

    async def sweep(self, limit: int) -> tuple[Finished, ...]:
        """End what is over; see Store.sweep."""
        finished: list[Finished] = []
        occupied = await self._occupied()
        # Those from the place where the last sweep stopped come first.
        for bucket in sorted(occupied, key=lambda bucket: (bucket - self._next_bucket) % BUCKETS):
            self._next_bucket = bucket
            finished += await self._sweep_bucket(bucket, limit - len(finished))
            if len(finished) >= limit:
                return tuple(finished)
        self._next_bucket = 0
        return tuple(finished)

    async def end_all(self) -> int:
        """Move `not_before` and end every session behind it; return how many."""
        line = await self._calls.draw_line(await self._newest() + 1)
        count = 0
        for bucket in await self._occupied():
            count += len(await self._sweep_bucket(bucket, None, until=line))
        return count

    async def _newest(self) -> int:
        """The latest moment that any clock or any session names, where clocks do not agree.

        A session that was made by a clock that is ahead is not to outlive the end of all.
        """
        calls = self._calls
        seconds = [0]
        if not calls.clock.override:
            told = [
                await calls.wire.ask_at(m, [("TIME",)], patient=True)
                for m in await calls.wire.masters()
            ]
            seconds = [int(time[0]) + 1 for [time] in told if isinstance(time, list | tuple)]
        indexes = [bucket + b"i" for bucket in calls.keys.buckets]
        starts = await self._all([("ZREVRANGE", index, 0, 0) for index in indexes])
        pieces = [index + start[0] for index, start in zip(indexes, starts, strict=True) if start]
        newest = await self._all([("ZREVRANGE", p, 0, 0, "WITHSCORES") for p in pieces])
        scores = [int(float(pair[1])) for pair in newest if pair]
        return max(max(seconds) * 1000, *scores, 0)

    async def _occupied(self) -> list[int]:
        """Name the buckets where there is a directory or a stream of events."""
        prefixes = self._calls.keys.buckets
        commands = [("EXISTS", prefix + b"i", prefix + b"ev") for prefix in prefixes]
        counts = await self._all(commands)
        return [bucket for bucket, count in enumerate(counts) if count]

    async def _sweep_bucket(
        self, bucket: int, limit: int | None, until: int | None = None
    ) -> list[Finished]:
        prefix = self._calls.keys.buckets[bucket]
        keys = (prefix + b"i", prefix + b"ev")
        bound = b"" if until is None else until
        finished: list[Finished] = []
        after = b"-inf"
        while after:
            room = _PATIENTLY if limit is None else limit - len(finished)
            try:
                now, piece, is_whole, done = await self._calls.run(
                    "sweep", keys, after, room, bound, patient=True
                )
            except SlotMoving:  # what is left here is found by another sweep
                break
            for alias, user_id, roles, *item in done:
                finished += read_finished(alias, user_id, roles, [item], now)
            if limit is not None and len(finished) >= limit:
                break
            if is_whole:
                after = piece and b"(" + piece
        return finished

    async def _read(self, members: Sequence[Member], now: int) -> list[Record | None]:
        """Read the records, None for those that do not live."""
        keys = self._calls.keys
        replies = await self._calls.wire.batch(
            [("HMGET", keys.user(alias), sid, sid + b"t", "@u", "@r") for sid, alias in members],
            patient=True,
        )
        records = [await self._record(*m, reply) for m, reply in zip(members, replies, strict=True)]
        cut = self._calls.clock.not_before
        return [
            record if record and not record.expiry(now) and record.security.created >= cut else None
            for record in records
        ]

    async def _record(self, sid: bytes, alias: bytes, parts: Any) -> Record | None:
        if isinstance(parts, Exception):
            raise parts
        if parts[0] is None:
            return None
        if parts[0][5:9] != sid[:4]:
            raise await self._calls.wire.mixed_up()
        try:
            return await self._calls.record(alias, sid, parts)
        except StoreCorrupt:
            return None  # one session of another release must not hide all others

    async def _fill(self, sources: Sequence[Source[Member]]) -> None:
        """Read on, in one trip for the pieces where they are not known, and one for members."""
        await self._name_pieces([source for source in sources if not source.pieces])
        open_ = [source for source in sources if source.pieces]
        commands = [
            (
                "ZREVRANGEBYSCORE",
                self._index(source) + source.pieces[0],
                *("+inf" if source.before is None else source.before[0], "-inf"),
                *("WITHSCORES", "LIMIT", 0, source.count),
            )
            for source in open_
        ]
        for source, flat in zip(open_, await self._all(commands), strict=True):
            items = [_item(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
            if len(items) < source.count:
                source.pieces.popleft()
                source.more = bool(source.pieces) or source.more_pieces
            # Sessions of the millisecond where the last page ended come again.
            before = source.before
            source.items.extend(i for i in items if before is None or i[0] < before)

    async def _name_pieces(self, sources: Sequence[Source[Member]]) -> None:
        """Name the next pieces; none left means that the source is at its end."""
        commands = [
            (
                *("ZREVRANGEBYSCORE", self._index(source)),
                *(_before(source), "-inf", "LIMIT", 0, _PIECES),
            )
            for source in sources
        ]
        for source, pieces in zip(sources, await self._all(commands), strict=True):
            source.pieces.extend(pieces)
            source.last_piece = pieces[-1] if pieces else b""
            source.more = bool(pieces)
            source.more_pieces = len(pieces) == _PIECES

    async def _all(self, commands: Sequence[Command]) -> list[Any]:
        """Send reading commands in one trip; the first failure is the failure of all."""
        replies = await self._calls.wire.batch(commands, patient=True) if commands else []
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _index(self, source: Source[Member]) -> bytes:
        return self._calls.keys.buckets[source.bucket] + b"i"


def _before(source: Source[Member]) -> bytes | int:
    if source.last_piece:
        return b"(" + source.last_piece
    return b"+inf" if source.before is None else source.before[0]


def _item(member: bytes, score: bytes) -> tuple[Key, Member]:
    sid, alias = member[:SID_BYTES], member[SID_BYTES:]
    return (int(float(score)), int.from_bytes(sid), int.from_bytes(alias)), (sid, alias)


def _key(record: Record) -> Key:
    sid, alias = int.from_bytes(record.sid), int.from_bytes(record.alias)
    return (record.security.created, sid, alias)


def _page_of(records: Sequence[tuple[Key, Record]], query: Query, now: int) -> Page:
    found = [(key, record) for key, record in records if matches(record, query)]
    page = found[: query.limit]
    cursor = _write_cursor(page[-1][0]) if len(found) > len(page) else ""
    return Page(tuple(record for _, record in page), now, cursor, len(page))


def _write_cursor(key: Key) -> str:
    created, sid, alias = key
    return f"{created}-{sid:0{2 * SID_BYTES}x}-{alias:0{2 * ALIAS_BYTES}x}"


def _read_cursor(cursor: str) -> Key | None:
    """Read a cursor; one that no page came with means the first page."""
    found = _CURSOR.fullmatch(cursor)
    return found and (int(found[1]), int(found[2], 16), int(found[3], 16))
