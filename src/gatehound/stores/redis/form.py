"""How answers and events look on the wire: bytes to data and back, no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import replace

from gatehound.errors import StoreCorrupt
from gatehound.model import END_REASONS, Event
from gatehound.stores.answer import Before, Finished, Memory, NewSession
from gatehound.stores.record import (
    MAX_USER_ID_BYTES,
    Record,
    Security,
    Seen,
    Tombstone,
)
from gatehound.stores.redis.script import NO_GRACE
from gatehound.stores.rule import MAX_DATA_FIELDS, check_memory, unreadable_event

# Of the envelope: what is in it is versioned by those who remember.
MEMORY_VERSION: Final = 1
CACHED_RECORDS: Final = 4096  # of about 1.5 KB each
NO_EVENT: Final = (b"", b"", b"", b"", b"")


def to_bytes(text: str) -> bytes:
    """Encode any str; lone surrogates, which WSGI makes of odd bytes, come back as they were."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """Decode what `to_bytes` made."""
    return data.decode("utf-8", "surrogatepass")


def pack_roles(roles: tuple[str, ...]) -> bytes:
    """Roles as stored: a JSON list, and nothing for none."""
    return json.dumps(roles, separators=(",", ":")).encode() if roles else b""


@lru_cache(CACHED_RECORDS)
def read_record(
    alias: bytes, sid: bytes, security: bytes, seen: bytes, user_id: bytes, roles: bytes
) -> Record:
    """Build a record from its parts; StoreCorrupt where one is none.

    The same bytes are the same record, which is frozen: nothing is remembered of the store.
    """
    return Record(
        alias=alias,
        user_id=to_text(user_id),
        roles=tuple(_loads(roles)) if roles else (),
        security=Security.unpack(sid, security),
        seen=Seen.unpack(seen),
    )


def read_listed(
    alias: bytes, user_id: bytes, roles: bytes, items: Iterable[Sequence[Any]]
) -> list[Record]:
    """Build the living sessions of a list: (sid, security, seen ...) each."""
    return [read_record(alias, item[0], item[1], item[2], user_id, roles) for item in items]


def read_finished(
    alias: bytes, user_id: bytes, roles: bytes, items: Iterable[Sequence[Any]], now: int
) -> tuple[Finished, ...]:
    """Build what a script says it ended: (sid, security, seen, reason code) each."""
    return tuple(
        Finished(read_record(alias, sid, security, seen, user_id, roles), END_REASONS[code], now)
        for sid, security, seen, code in items
    )


def read_before(data: bytes | None) -> Before | None:
    """Read the secret before; its layout is in core.lua."""
    if data is None:
        return None
    grace = int.from_bytes(data[29:33])
    rotated, confirmed = int.from_bytes(data[17:23]), int.from_bytes(data[23:29])
    return Before(data[1:17], rotated, confirmed, None if grace == NO_GRACE else grace)


def pack_before(before: Before, version: int) -> bytes:
    """Return what `read_before` reads."""
    grace = NO_GRACE if before.grace is None else before.grace
    times = before.rotated.to_bytes(6) + before.confirmed.to_bytes(6)
    return bytes([version]) + before.secret_hash + times + grace.to_bytes(4)


def stone_until(stone: bytes) -> int:
    """Until when a tombstone is of use."""
    return int.from_bytes(stone[2:8]) + 1000 * int.from_bytes(stone[8:11])


def pack_stone(stone: Tombstone, until: int, version: int) -> bytes:
    """Return a tombstone as the scripts write it."""
    life = min(max(-((stone.at - until) // 1000), 0), 0xFFFFFF)
    return stone.pack(version) + life.to_bytes(3)


def read_stones(items: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Tombstone]:
    """Build tombstones by sid."""
    return {sid: Tombstone.unpack(data) for sid, data in items}


def pack_new(new: NewSession, version: int) -> tuple[bytes, bytes, bytes]:
    """Return the two parts, with `absolute` for the end and no times, and the user id.

    ValueError for a user id or evidence over the limits.
    """
    check_memory(Memory(new.memory))
    user_id = to_bytes(new.user_id)
    if len(user_id) > MAX_USER_ID_BYTES:
        raise ValueError(f"user id of {len(user_id)} bytes: at most {MAX_USER_ID_BYTES} are kept")
    security = Security(
        sid=new.sid,
        secret_hash=new.secret_hash,
        created=0,  # the script puts the server's time in
        authenticated=0,
        expires=new.absolute,
        idle=new.idle,
        flags=new.flags,
        aal=new.aal,
        methods=new.methods,
    )
    return security.pack(version), replace(new.seen, last_seen=0).pack(version), user_id


def pack_next_memory(owner: bytes, memory: Memory | None) -> tuple[bytes, bytes]:
    """Return the version that must be stored, and what then is; empty for no evidence."""
    if memory is None:
        return b"", b""
    after = Memory(memory.data, memory.version + 1)
    return b"%d" % memory.version, pack_memory(owner, after)


def pack_memory(owner: bytes, memory: Memory) -> bytes:
    """Evidence as stored. 4 bytes of its owner show a reply that belongs to another question."""
    return bytes([MEMORY_VERSION]) + owner[:4] + memory.version.to_bytes(4, "big") + memory.data


def read_memory(owner: bytes, data: bytes | None) -> Memory:
    """Read evidence; StoreCorrupt where it is of another owner or release."""
    if not data:
        return Memory()
    if data[0] != MEMORY_VERSION or data[1:5] != owner[:4]:
        raise StoreCorrupt("evidence of another owner or release")
    return Memory(data[9:], int.from_bytes(data[5:9], "big"))


def pack_event(event: Event | None) -> tuple[bytes, ...]:
    """Return name, user id, public id, reason and the rest; five empty ones for no event."""
    if event is None:
        return NO_EVENT
    rest = {"a": event.address, "d": dict(event.detail), "n": event.notify}
    rest = {key: value for key, value in rest.items() if value}
    return (
        to_bytes(event.name),
        to_bytes(event.user_id or ""),
        to_bytes(event.public_id or ""),
        to_bytes(event.reason),
        json.dumps(rest, separators=(",", ":")).encode() if rest else b"",
    )


def read_event(stream_id: bytes, bucket: int, fields: Mapping[bytes, bytes]) -> Event:
    """Build an event from its stream entry; StoreCorrupt where no release wrote it.

    Its id names the bucket too.
    """
    try:
        address, detail, notify = _rest_of(fields[b"j"])
        return Event(
            name=to_text(fields[b"n"]),
            user_id=to_text(fields[b"u"]) or None,
            public_id=to_text(fields[b"p"]) or None,
            reason=to_text(fields[b"r"]),
            address=address,
            detail=detail,
            notify=notify,
            at=int(fields[b"a"] or _moment(stream_id)) / 1000,
            id=_event_id(stream_id, bucket),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreCorrupt(f"event {stream_id!r} cannot be read: {error}") from error


def read_shown_event(stream_id: bytes, bucket: int, fields: Mapping[bytes, bytes]) -> Event:
    """Build an event from its stream entry; one that cannot be read is an event that says so."""
    try:
        return read_event(stream_id, bucket, fields)
    except StoreCorrupt:
        return unreadable_event(_event_id(stream_id, bucket), _moment(stream_id))


def _rest_of(data: bytes) -> tuple[str, dict[str, Any], Any]:
    """Read address, detail and whom to notify of an event."""
    rest = _loads(data) if data else {}
    address, detail, notify = rest.get("a", ""), rest.get("d", {}), rest.get("n", "")
    if (type(address), type(detail), type(notify)) != (str, dict, str):
        raise StoreCorrupt("an event cannot be read: a value is of another type")
    return address, detail, notify


def _event_id(stream_id: bytes, bucket: int) -> str:
    return f"{stream_id.decode()}-{bucket:02x}"


def _moment(stream_id: bytes) -> int:
    return int(stream_id.partition(b"-")[0])


def read_exported(alias: bytes, reply: Sequence[Any]) -> dict[str, Any]:
    """Build what Store.export returns of what a user's keys hold."""
    user_id, roles, living, stones, user_memory, disabled = reply
    memories = {item[0].hex(): read_memory(item[0], item[3]).data for item in living}
    data = {item[0].hex(): pairs(item[4]) for item in living}
    return {
        "sessions": read_listed(alias, user_id, roles, living),
        "ended": {sid.hex(): stone for sid, stone in read_stones(stones).items()},
        "memory": {name: memory for name, memory in memories.items() if memory},
        "user_memory": read_memory(alias, user_memory).data,
        "data": {
            sid: {to_text(name): value for name, value in fields.items()}
            for sid, fields in data.items()
            if fields
        },
        "disabled": bool(disabled),
    }


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Turn name, value, name, value ... into a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def too_many_fields() -> ValueError:
    """The error of app data over the limit of fields."""
    return ValueError(
        f"a session keeps at most {MAX_DATA_FIELDS} data fields: delete some, or keep large "
        "collections elsewhere"
    )


def _loads(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise StoreCorrupt("stored JSON cannot be read") from error
