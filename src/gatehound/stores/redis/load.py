"""Load: what every request asks. A plain read where that can do, else the script.

The plain read (one HMGET) answers only the ordinary case: there, current secret, not seemingly
over, nothing to write. Whatever else it finds goes on to the script, which decides.
"""

from __future__ import annotations

from typing import Any, Final

from gatehound.errors import StoreCorrupt
from gatehound.model import END_REASONS, EndReason
from gatehound.stores.answer import Answer, Standing
from gatehound.stores.record import Record, Tombstone
from gatehound.stores.redis.call import Calls
from gatehound.stores.redis.form import read_finished, read_record, read_stones
from gatehound.stores.redis.script import NO_GRACE, POINTER
from gatehound.stores.redis.trouble import SlotMoving

# Sessions whose last touch is remembered, about 150 bytes each. Emptied when full: it is only
# a hint, and one script a session fills it again.
MAX_HINTS: Final = 20_000

_LIVE: Final = Standing.LIVE  # an enum's member takes long to look up in Python 3.11
_PLAIN: Final = 5  # the fields of the plain read
# HMGET key sid sid+"t" sid+"p" @u @r, as the Redis protocol writes it: every request sends it.
_PACKED: Final = (
    b"*7\r\n$5\r\nHMGET\r\n$%d\r\n%b\r\n$8\r\n%b\r\n$9\r\n%bt\r\n$9\r\n%bp\r\n"
    b"$2\r\n@u\r\n$2\r\n@r\r\n"
)


class Loader:
    """Loads sessions of one namespace. Safe to share between threads and loops."""

    __slots__ = ("_calls", "_touched")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._touched: dict[bytes, int] = {}

    async def load(self, alias: bytes, sid: bytes, secret_hash: bytes, touch: int | None) -> Answer:
        """See Store.load."""
        calls = self._calls
        bucket = calls.keys.bucket(alias)
        now = calls.clock.now_beside(bucket + b"n")
        if touch is not None and not self._was_touched(sid, touch, now):
            return await self._judge(alias, sid, secret_hash, touch)
        key = bucket + b"u" + alias
        trip = None if now is None else calls.wire.short(key)
        if trip is None:
            parts = await self._read(key, sid)
        else:
            try:
                replies: Any = trip.ask_packed(_PACKED % (len(key), key, sid, sid, sid))
                [parts] = await replies if calls.wire.suspends else replies
            except Exception as error:
                raise await calls.wire.failed(trip, error) from error
            if isinstance(parts, Exception):  # refused: nothing was done
                parts = await self._read(key, sid)
        if type(parts) is not list or len(parts) != _PLAIN:
            raise await calls.wire.mixed_up()
        security, seen, _, user_id, roles = parts
        if not security or not seen:
            return await self._judge(alias, sid, secret_hash, touch)
        if security[5:9] != sid[:4]:
            raise await calls.wire.mixed_up()
        if user_id == POINTER or roles == POINTER:
            record = await calls.record(alias, sid, (security, seen, user_id, roles))
        else:
            record = read_record(alias, sid, security, seen, user_id or b"", roles or b"")
        answer = self._ordinary(record, secret_hash, touch, parts[2])
        return answer or await self._judge(alias, sid, secret_hash, touch)

    def _ordinary(
        self, record: Record, secret_hash: bytes, touch: int | None, previous: bytes | None
    ) -> Answer | None:
        """Answer the ordinary case; None for what the script has to decide, or to write."""
        security, last_seen = record.security, record.seen.last_seen
        clock = self._calls.clock
        now = clock.now
        if now is None or security.secret_hash != secret_hash:
            return None
        if now >= security.expires or now >= last_seen + security.idle:  # as `expiry` has it
            return None
        if security.created < clock.not_before or (touch is not None and now - last_seen >= touch):
            return None
        if previous is not None and _waits_for_confirmation(previous):
            return None
        self._note(record.security.sid, last_seen)
        return Answer(_LIVE, now, record)

    async def _read(self, key: bytes, sid: bytes) -> Any:
        """Read the same with all that may have to be found out or followed."""
        return await self._calls.read("HMGET", key, sid, sid + b"t", sid + b"p", b"@u", b"@r")

    async def answer(self, alias: bytes, sid: bytes, reply: list[Any]) -> Answer:
        """Read the reply of load.lua or rotate.lua."""
        now, word, *rest = reply
        standing = Standing(word.decode())
        if standing is Standing.UNKNOWN:
            return Answer(standing, now)
        if standing is Standing.ENDED:
            stone, *was = rest
            ended = Tombstone.unpack(stone)
            noticed = read_record(alias, sid, *was) if was else None
            return Answer(standing, now, noticed, ended, expired=bool(was))
        *parts, reuse, was_seen = rest
        record = await self._calls.record(alias, sid, parts)
        if standing in (Standing.LIVE, Standing.GRACE):
            self._note(sid, record.seen.last_seen)
        return Answer(standing, now, record=record, reuse=reuse.decode(), was_seen=was_seen)

    def _was_touched(self, sid: bytes, touch: int, now: int | None) -> bool:
        last = self._touched.get(sid)
        if last is None:
            return False
        if now is None:
            now = self._calls.clock.now
        return now is not None and now - last < touch

    def _note(self, sid: bytes, last_seen: int) -> None:
        if len(self._touched) >= MAX_HINTS:
            self._touched.clear()
        self._touched[sid] = last_seen

    async def _judge(
        self, alias: bytes, sid: bytes, secret_hash: bytes, touch: int | None
    ) -> Answer:
        keys = (self._calls.keys.user(alias),)
        wanted = b"" if touch is None else touch
        for _ in range(3):
            reply = await self._calls.run("load", keys, sid, secret_hash, wanted, again=True)
            if reply[1] != b"over":
                return await self.answer(alias, sid, reply)
            try:
                ended = await self._end(alias, sid)
            except SlotMoving:  # it is over, whoever comes to write that down
                stone = Tombstone(END_REASONS[reply[2]], reply[0])
                return Answer(Standing.ENDED, reply[0], ended=stone)
            if ended is not None:
                return ended
        raise StoreCorrupt("a session is over and cannot be ended: its parts contradict each other")

    async def _end(self, alias: bytes, sid: bytes) -> Answer | None:
        """End what is over, with all its keys; None where somebody else was there first."""
        now, user_id, roles, _, finished, stones, *_ = await self._calls.run(
            "sessions", self._calls.keys.of_user(alias), alias, sid
        )
        for done in read_finished(alias, user_id, roles, finished, now):
            if done.record.sid == sid:
                expired = done.reason is not EndReason.EVERYONE
                ended = read_stones(stones)[sid]
                noticed = done.record if expired else None
                return Answer(Standing.ENDED, now, noticed, ended, expired=expired)
        return None


def _waits_for_confirmation(previous: bytes) -> bool:
    """True after a routine rotation whose new secret was not presented yet: a write is due."""
    return previous[23:29] == bytes(6) and int.from_bytes(previous[29:33]) != NO_GRACE
