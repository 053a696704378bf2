"""The events that came after a place, of 256 streams that know nothing of each other.

A place names the last event that was told of each stream, because no moment would do: clocks of
servers differ and step back, and an event that comes to light behind a moment would be skipped.
Within one stream ids only grow.

A stream that is behind its place was set back, by a failover or a backup. That shows by the id
that it gave last. While its server's clock is ahead of the place, what comes has greater ids
anyway, so only places of late are looked at; clocks of servers may differ by SKEW for that.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from gatehound.model import Event
from gatehound.stores.answer import Tail
from gatehound.stores.redis.call import Calls
from gatehound.stores.redis.form import read_shown_event
from gatehound.stores.redis.keys import BUCKETS
from gatehound.stores.redis.topology import Command
from gatehound.stores.rule import MAX_TAIL, clip_moment

SKEW: Final = 5_000  # milliseconds; more is a finding of guard.check()
# Events of one stream in the first trip: 1,024 in all at the most.
_FIRST: Final = 4
_VERSION: Final = 1

_Moment = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Sequence = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Bucket = Annotated[int, msgspec.Meta(ge=0, lt=BUCKETS)]
Id: TypeAlias = tuple[_Moment, _Sequence]
Key: TypeAlias = tuple[int, int, int]  # an id and its bucket: how events are sorted


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The last id that was told of each bucket; the others begin with the moment `since`.

    Moments in `told` count from `base`, which makes them short.
    """

    version: Literal[1]
    since: _Moment
    base: _Moment
    told: dict[_Bucket, Id]


_DECODER: Final = msgspec.msgpack.Decoder(Place)


class Reader(msgspec.Struct):
    """One bucket, read on from behind `after`: the id told last, or (for None) from `since`."""

    bucket: int
    after: tuple[int, int] | None
    since: int
    check: bool = False
    more: bool = True
    found: list[tuple[Key, Event]] = msgspec.field(default_factory=list)

    @property
    def reached(self) -> Key:
        """Up to where it was read."""
        return self.found[-1][0] if self.found else (0, 0, 0)

    def start(self, oldest: int) -> str:
        """Where to read from."""
        last = self.found[-1][0][:2] if self.found else self.after
        if last is None or last[0] < oldest:
            return str(max(self.since, oldest))
        return f"{'' if self.check else '('}{last[0]}-{last[1]}"


async def tail(calls: Calls, place: str, since: int | None, limit: int) -> Tail:
    """Return those after a place, the oldest first; see Store.tail."""
    now = calls.clock.now
    if now is None:
        now = await calls.refresh(patient=True)
    known = read_place(place)
    if known is None and since is None:
        return Tail((), write_place(0, await _latest(calls)))
    begin, told = known or (min(clip_moment(since or 0), now), {})
    follower = Follower(calls, begin, told, now, since)
    found = await follower.collect(min(max(limit, 1), MAX_TAIL))
    return Tail(tuple(found), write_place(begin, follower.told), follower.more)


class Follower:
    """One question: reads every bucket on until the next events are known."""

    def __init__(
        self, calls: Calls, begin: int, told: Mapping[int, Id], now: int, since: int | None
    ) -> None:
        self.told = dict(told)
        self.more = False
        self._calls = calls
        self._oldest = max(now - calls.retention, 0)
        self._since = since
        self._readers = [Reader(n, self.told.get(n), begin) for n in range(BUCKETS)]
        for reader in self._readers:
            # Its last event is read again, to see that it is there.
            reader.check = reader.after is not None and reader.after[0] > now - SKEW

    async def collect(self, limit: int) -> list[Event]:
        """Return the next events; `told` and `more` say where to go on."""
        hungry, count = self._readers, _FIRST
        found: list[tuple[Key, Event]] = []
        while hungry:
            await self._read(hungry, count)
            found = sorted((pair for r in self._readers for pair in r.found), key=_key)
            end = found[limit][0] if len(found) > limit else None
            hungry = [r for r in hungry if r.more and (end is None or r.reached < end)]
            count = min(2 * count, limit)
        self.more = len(found) > limit
        for (milliseconds, sequence, bucket), _ in found[:limit]:
            self.told[bucket] = (milliseconds, sequence)
        return [event for _, event in found[:limit]]

    async def _read(self, readers: Sequence[Reader], count: int) -> None:
        """Read some on, all in one trip, and once more those that were set back."""
        commands = [
            ("XRANGE", _stream(self._calls, r.bucket), r.start(self._oldest), "+", "COUNT", count)
            for r in readers
        ]
        replies = await _all(self._calls, commands)
        doubtful = []
        for reader, entries in zip(readers, replies, strict=True):
            items = [_item(reader.bucket, *entry) for entry in entries]
            reader.more = len(items) == count
            if reader.check:
                reader.check = False
                if not items or items[0][0][:2] != reader.after:
                    doubtful.append(reader)
                items = [item for item in items if item[0][:2] != reader.after]
            reader.found += items
        await self._set_back(doubtful)

    async def _set_back(self, doubtful: Sequence[Reader]) -> None:
        """Begin anew where a stream never came as far as its place."""
        keys = [[_stream(self._calls, reader.bucket)] for reader in doubtful]
        replies = await self._calls.run_each("last", keys) if keys else []
        for reader, reply in zip(doubtful, replies, strict=True):
            if isinstance(reply, Exception):
                raise reply
            last = _id(reply[2])
            if reader.after is None or last >= reader.after:
                continue  # it was deleted: somebody was forgotten
            reader.found.clear()
            if self._since is None:
                reader.after, reader.more = last, False
                self.told[reader.bucket] = last
            else:
                reader.after, reader.more = None, True
                reader.since = clip_moment(self._since)
                self.told.pop(reader.bucket, None)


def read_place(place: str) -> tuple[int, dict[int, Id]] | None:
    """Return from when streams begin that are not told of, and the last id of the others.

    None for what no answer gave: it came through a URL.
    """
    try:
        packed = base64.b64decode(place + "=" * (-len(place) % 4), altchars=b"-_", validate=True)
        read = _DECODER.decode(packed)
    except (ValueError, msgspec.DecodeError):
        return None
    told = {bucket: (read.base + span, number) for bucket, (span, number) in read.told.items()}
    return read.since, told


def write_place(since: int, told: Mapping[int, Id]) -> str:
    """Return what `read_place` reads: text for a URL, 3 KB where every bucket has events."""
    base = min((milliseconds for milliseconds, _ in told.values()), default=0)
    spans = {bucket: (last[0] - base, last[1]) for bucket, last in told.items()}
    packed = msgspec.msgpack.encode(Place(_VERSION, since, base, spans))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


async def _latest(calls: Calls) -> dict[int, Id]:
    """Return the last id of each stream that has one."""
    streams = [_stream(calls, bucket) for bucket in range(BUCKETS)]
    commands = [("XREVRANGE", stream, "+", "-", "COUNT", 1) for stream in streams]
    replies = enumerate(await _all(calls, commands))
    return {bucket: _id(entries[0][0]) for bucket, entries in replies if entries}


async def _all(calls: Calls, commands: Sequence[Command]) -> list[Any]:
    """Send reading commands in one trip; the first failure is the failure of all."""
    replies = await calls.wire.batch(commands, patient=True)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _stream(calls: Calls, bucket: int) -> bytes:
    return calls.keys.buckets[bucket] + b"ev"


def _item(bucket: int, stream_id: bytes, fields: Any) -> tuple[Key, Event]:
    return (*_id(stream_id), bucket), read_shown_event(stream_id, bucket, fields)


def _id(text: bytes) -> Id:
    milliseconds, _, sequence = text.partition(b"-")
    return int(milliseconds), int(sequence)


def _key(item: tuple[Key, Event]) -> Key:
    return item[0]
