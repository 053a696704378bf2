"""Load: what every request asks. A plain read where that can do, else the script.

The plain read (one HMGET) answers only the ordinary case: there, current secret, not seemingly
over, nothing to write. Whatever else it finds goes on to the script, which decides.
"""

from __future__ import annotations

from typing import Any, Final

from gatehound.errors import StoreCorrupt
from gatehound.model import END_REASONS, EndReason
from gatehound.stores.answer import Answer, Asked, Lost, Question, Standing, failing
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


class PlainRead(Question, frozen=True, gc=False):
    """A question as one HMGET, and what it was answered with.

    `parts` are the bytes of `record`, and () for none, which no reply is. `seen` is when it was
    touched, as far as this process knows; None where it does not.
    """

    key: bytes
    line: bytes
    packed: bytes
    seen: int | None
    parts: Any
    created: int


class Loader:
    """Loads sessions of one namespace. Safe to share between threads and loops.

    It is the `quick` of its store, and `load` goes the same way.
    """

    __slots__ = ("_calls", "_clock", "_touched", "_wire")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._clock = calls.clock
        self._wire = calls.wire
        self._touched: dict[bytes, int] = {}

    async def load(self, alias: bytes, sid: bytes, secret_hash: bytes, touch: int | None) -> Answer:
        """See Store.load."""
        question = self.question(alias, sid, secret_hash)
        asked = self.ask(question, touch)
        if asked is None:
            if touch is not None and not self._was_touched(question.seen, touch):
                return await self._judge(question, touch)
            return await self._weigh(question, await self._read(question), touch)
        try:
            replies = await asked[1] if self._wire.suspends else asked[1]
        except Exception as error:
            replies = Lost(error)
        return await self.go_on(question, (asked[0], replies), touch)

    def question(
        self, alias: bytes, sid: bytes, secret_hash: bytes, replies: list[Any] | None = None
    ) -> PlainRead:
        """See Quick."""
        bucket = self._calls.keys.bucket(alias)
        key = bucket + b"u" + alias
        packed = _PACKED % (len(key), key, sid, sid, sid)
        parts: Any = ()
        record, created = None, 0
        if replies and (found := _ordinary_record(alias, sid, secret_hash, replies[0])):
            parts, record, created = replies[0], found, found.security.created
        seen = self._touched.get(sid)
        about = alias, sid, secret_hash, record
        return PlainRead(*about, key, bucket + b"n", packed, seen, parts, created)

    def ask(self, question: PlainRead, touch: int | None) -> Asked | None:
        """See Quick; None also where line and time have to be read beside."""
        now = self._clock.now_beside(question.line)
        if now is None:
            return None
        if touch is not None and (question.seen is None or now - question.seen >= touch):
            return None
        trip = self._wire.short(question.key)
        if trip is None:
            return None
        try:
            return trip, trip.ask_packed(question.packed)
        except Exception as error:  # it counts as one that came in place of the replies
            return trip, failing(error) if self._wire.suspends else Lost(error)

    def told(self, question: PlainRead, replies: list[Any]) -> int:
        """See Quick."""
        if replies[0] != question.parts:
            return 0
        clock = self._clock
        return (clock.now or 0) if question.created >= clock.not_before else 0

    async def go_on(self, question: PlainRead, asked: Asked, touch: int | None) -> Answer:
        """See Quick."""
        trip, replies = asked
        if isinstance(replies, Lost):
            raise await self._wire.failed(trip, replies.error) from replies.error
        [parts] = replies
        if isinstance(parts, Exception):  # refused: nothing was done
            parts = await self._read(question)
        return await self._weigh(question, parts, touch)

    async def _weigh(self, question: PlainRead, parts: Any, touch: int | None) -> Answer:
        """Answer by the plain read where that can do."""
        if type(parts) is not list or len(parts) != _PLAIN:
            raise await self._wire.mixed_up()
        security, seen, _, user_id, roles = parts
        if not security or not seen:
            return await self._judge(question, touch)
        alias, sid = question.alias, question.sid
        if security[5:9] != sid[:4]:
            raise await self._wire.mixed_up()
        if user_id == POINTER or roles == POINTER:
            record = await self._calls.record(alias, sid, (security, seen, user_id, roles))
        else:
            record = read_record(alias, sid, security, seen, user_id or b"", roles or b"")
        answer = self._ordinary(record, question.secret_hash, touch, parts[2])
        return answer or await self._judge(question, touch)

    def _ordinary(
        self, record: Record, secret_hash: bytes, touch: int | None, previous: bytes | None
    ) -> Answer | None:
        """Answer the ordinary case; None for what the script has to decide, or to write."""
        security, last_seen = record.security, record.seen.last_seen
        clock = self._clock
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

    async def _read(self, question: PlainRead) -> Any:
        """Read the same with all that may have to be found out or followed."""
        key, sid = question.key, question.sid
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

    def _was_touched(self, seen: int | None, touch: int) -> bool:
        now = self._clock.now
        return seen is not None and now is not None and now - seen < touch

    def _note(self, sid: bytes, last_seen: int) -> None:
        if len(self._touched) >= MAX_HINTS:
            self._touched.clear()
        self._touched[sid] = last_seen

    async def _judge(self, question: PlainRead, touch: int | None) -> Answer:
        alias, sid, secret_hash = question.alias, question.sid, question.secret_hash
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


def _ordinary_record(alias: bytes, sid: bytes, secret_hash: bytes, parts: Any) -> Record | None:
    """Return the record of a plain read that stands for itself; None where more has to be asked."""
    if type(parts) is not list or len(parts) != _PLAIN:
        return None
    security, seen, previous, user_id, roles = parts
    if not security or not seen or user_id == POINTER or roles == POINTER:
        return None
    if previous is not None and _waits_for_confirmation(previous):
        return None
    record = read_record(alias, sid, security, seen, user_id or b"", roles or b"")
    return record if record.security.secret_hash == secret_hash else None


def _waits_for_confirmation(previous: bytes) -> bool:
    """True after a routine rotation whose new secret was not presented yet: a write is due."""
    return previous[23:29] == bytes(6) and int.from_bytes(previous[29:33]) != NO_GRACE
