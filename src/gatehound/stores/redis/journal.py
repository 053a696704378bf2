"""Events: one stream a bucket, read as one log.

The event of a change is written by its script, into the bucket of its user. One that belongs to
no change lies in a bucket of its user id, or any bucket: flooding cannot fill a single one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gatehound.model import Event
from gatehound.stores.answer import EventPage, EventQuery
from gatehound.stores.redis.call import Calls
from gatehound.stores.redis.form import pack_event, read_event, read_shown_event, to_bytes
from gatehound.stores.redis.keys import BUCKETS, bucket_of_text
from gatehound.stores.redis.merge import Key, Merge, Source
from gatehound.stores.rule import clip_moment, matches_event

Read: TypeAlias = Callable[[bytes, int, Mapping[bytes, bytes]], Event]

_CHUNK: Final = 500
# Milliseconds. An event with a time of its own may be stored after it: behind others that are
# later, where it would be missing before a moment. Sinks and retries take seconds.
_LATE: Final = 60_000
# What Redis takes for the place of an entry: 64 bits, and not 0-0, below which nothing is.
_CURSOR: Final = re.compile(r"([1-9][0-9]{0,18})-([0-9]{1,19})-([0-9]{1,3})")


class Journal:
    """The events of one namespace."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def append(self, event: Event) -> None:
        """Write an event; its own time is kept where it has one."""
        user_id = event.user_id
        bucket = bucket_of_text(user_id) if user_id else secrets.randbelow(BUCKETS)
        at = str(round(event.at * 1000)) if event.at else ""
        await self._calls.run(
            "append", [self._stream(bucket)], *pack_event(event), at, patient=True
        )

    async def page(self, query: EventQuery, read: Read = read_shown_event) -> EventPage:
        """Return one page; see Store.events."""
        now = await self._calls.refresh(patient=True)
        oldest = max(clip_moment(query.since or 0), now - self._calls.retention, 0)
        before = _start(query)
        if before is not None and before <= (oldest, 0, 0):
            return EventPage(())  # nothing is there, and 0-0 is no place for Redis

        async def fill(sources: Sequence[Source[Event]]) -> None:
            await self._fill(sources, oldest, read)

        async def accept(events: list[Event]) -> list[Event | None]:
            return [event if matches_event(event, query) else None for event in events]

        merge = Merge(fill, before)
        found, last = await merge.page(query.limit, accept)
        return EventPage(tuple(found), "" if last is None else _write_cursor(last))

    async def all_of(self, user_id: str) -> list[Event]:
        """Return every event of a user, newest first; StoreCorrupt where one may be missing."""
        found: list[Event] = []
        cursor: str | None = None
        while cursor != "":
            query = EventQuery(user_id=user_id, cursor=cursor or "", limit=1000)
            page = await self.page(query, read_event)
            found += page.events
            cursor = page.cursor
        return found

    async def erase(self, alias: bytes, user_id: str) -> None:
        """Delete the events of a user from the two streams where they may lie."""
        bucket = bucket_of_text(user_id)
        for stream in {self._calls.keys.bucket(alias) + b"ev", self._stream(bucket)}:
            await self._erase_from(stream, to_bytes(user_id))

    async def _erase_from(self, stream: bytes, user_id: bytes) -> None:
        start = "-"
        while True:
            call = self._calls.wire.call
            entries = await call("XRANGE", stream, start, "+", "COUNT", _CHUNK, patient=True)
            gone = [entry for entry, fields in entries if fields.get(b"u") == user_id]
            if gone:
                await call("XDEL", stream, *gone, patient=True)
            if len(entries) < _CHUNK:
                return
            start = "(" + entries[-1][0].decode()

    async def _fill(self, sources: Sequence[Source[Event]], oldest: int, read: Read) -> None:
        commands = [
            ("XREVRANGE", self._stream(s.bucket), _below(s), oldest, "COUNT", s.count)
            for s in sources
        ]
        replies = await self._calls.wire.batch(commands, patient=True)
        for source, entries in zip(sources, replies, strict=True):
            if isinstance(entries, Exception):
                raise entries
            source.more = len(entries) == source.count
            source.items.extend(_item(source.bucket, read, *entry) for entry in entries)

    def _stream(self, bucket: int) -> bytes:
        return self._calls.keys.buckets[bucket] + b"ev"


def _item(bucket: int, read: Read, stream_id: bytes, fields: Any) -> tuple[Key, Event]:
    milliseconds, _, sequence = stream_id.partition(b"-")
    key = (int(milliseconds), int(sequence), bucket)
    return key, read(stream_id, bucket, fields)


def _below(source: Source[Event]) -> str:
    """Where to read a bucket on: its entries that come after `before` in the merged order."""
    if source.before is None:
        return "+"
    milliseconds, sequence, bucket = source.before
    exclusive = "(" if source.bucket >= bucket else ""
    return f"{exclusive}{milliseconds}-{sequence}"


def _start(query: EventQuery) -> Key | None:
    """Return the place before which a page begins; None for the newest event."""
    cursor = _read_cursor(query.cursor)
    if query.until is None:
        return cursor
    until = (clip_moment(query.until) + _LATE, 0, 0)
    return until if cursor is None else min(cursor, until)


def _write_cursor(key: Key) -> str:
    return "-".join(str(part) for part in key)


def _read_cursor(cursor: str) -> Key | None:
    """Read a cursor; one that no page came with means the first page."""
    found = _CURSOR.fullmatch(cursor)
    return None if found is None else tuple(int(part) for part in found.groups())
