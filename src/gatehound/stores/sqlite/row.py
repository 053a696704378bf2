"""Rows in and out: what a transaction carries, and sessions, events and ends as values.

Belongs here: the translation of one row. Does not: any decision about it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from gatehound.errors import StoreCorrupt
from gatehound.model import END_REASONS, EndReason, Event
from gatehound.stores.answer import Before
from gatehound.stores.record import (
    Record,
    Security,
    Seen,
    Tombstone,
    methods_from_bits,
    methods_to_bits,
)
from gatehound.stores.rule import unreadable_event

SESSION: Final = (
    "SELECT alias, sid, user_id, roles, secret, created, authenticated, expires, idle, flags, "
    "aal, methods, rotated, last_seen, address, country, place, agent, pair1, pair2, "
    "previous, confirmed, grace, whose, rev FROM sessions "
)
# SQLite keeps no checksum of what it stores, and a column of any type holds a value of any.
_SHAPE: Final = (bytes, bytes, bytes, str, bytes, *(int,) * 9, bytes, str, int, *(bytes,) * 3)
_SHAPES: Final = frozenset(
    (*_SHAPE, previous, int, grace, int, int)
    for previous in (bytes, type(None))
    for grace in (int, type(None))
)
_EVENT_SHAPE: Final = (int, str, str, str, dict, str)
EVENT: Final = "SELECT id, at, name, user_id, public_id, body FROM events "


class Tx(msgspec.Struct, frozen=True, gc=False):
    """One step in the database and the one time at which all of it happens (milliseconds)."""

    db: sqlite3.Connection
    now: int


class Row(msgspec.Struct, frozen=True, gc=False):
    """A stored session: its record and the terms of the secret before the current one.

    `previous` is None where the secret was never replaced. `confirmed` is 0 until the current
    one was presented; `grace` None says that the rotation was a privilege rotation. `rev` is
    another one after each write to the row.
    """

    record: Record
    previous: bytes | None
    confirmed: int
    grace: int | None
    rev: int


def to_row(values: Sequence[Any]) -> Row:
    """Read a row of SESSION; StoreCorrupt where a column holds what no release wrote."""
    alias, sid, user_id, roles, secret = values[:5]
    created, authenticated, expires, idle, flags, aal, methods, rotated = values[5:13]
    last_seen, address, country, place, agent, first, second = values[13:20]
    previous, confirmed, grace, mark, rev = values[20:25]
    if tuple(map(type, values)) not in _SHAPES:
        raise damaged("sessions", "a value is of another type")
    if mark != whose(alias, sid, user_id):
        raise damaged("sessions", "it does not say whose it is")
    try:
        security = Security(
            sid=sid,
            secret_hash=secret,
            created=created,
            authenticated=authenticated,
            expires=expires,
            idle=idle,
            flags=flags,
            aal=aal,
            methods=methods_from_bits(methods),
            rotated=rotated,
        )
        seen = Seen(last_seen, address, country, place, agent, (first, second))
        record = Record(alias, to_text(user_id), roles_from(roles), security, seen)
    except (AttributeError, TypeError, ValueError) as error:
        raise damaged("sessions", error) from error
    return Row(record, previous, confirmed, grace, rev)


def checked(table: str, values: Sequence[Any], *types: type) -> Sequence[Any]:
    """Return values of a row as they are; StoreCorrupt where one is of another type."""
    if tuple(map(type, values)) != types:
        raise damaged(table, "a value is of another type")
    return values


def damaged(table: str, why: object) -> StoreCorrupt:
    """Return the error for a row that no release wrote."""
    return StoreCorrupt(
        f"a row of the table {table} cannot be read ({why}): the session file is damaged; restore "
        "a backup and end everybody's sessions, or move the file away together with its -wal and "
        "-shm and let everybody sign in again"
    )


def whose(alias: bytes, sid: bytes, user_id: bytes) -> int:
    """Return the checksum of the columns that say whose a session is.

    It is against a flipped bit that makes user 17 of user 16, not against somebody who writes
    to the file: they can write any user.
    """
    return zlib.crc32(user_id, zlib.crc32(sid, zlib.crc32(alias)))


def to_record(values: Sequence[Any]) -> Record:
    """Read a row of SESSION where its earlier secret does not matter."""
    return to_row(values).record


_INSERT: Final = """INSERT INTO sessions (
    alias, sid, user_id, whose, roles, secret, created, authenticated, expires, idle, flags, aal,
    methods, last_seen, address, country, place, agent, pair1, pair2, previous, rotated,
    confirmed, grace
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def write_session(tx: Tx, record: Record, before: Before | None = None) -> None:
    """Write a session that is not there."""
    it, seen, user_id = record.security, record.seen, to_bytes(record.user_id)
    terms: tuple[object, ...] = (None, it.rotated, 0, None)
    if before is not None:
        terms = (before.secret_hash, before.rotated, before.confirmed, before.grace)
    tx.db.execute(
        _INSERT,
        (
            *(record.alias, it.sid, user_id, whose(record.alias, it.sid, user_id)),
            *(roles_to(record.roles), it.secret_hash, it.created, it.authenticated),
            *(it.expires, it.idle, it.flags, it.aal, methods_to_bits(it.methods)),
            *(seen.last_seen, seen.address, seen.country, seen.place, seen.agent, *seen.pairs),
            *terms,
        ),
    )


def to_event(values: Sequence[Any]) -> Event:
    """Read a row of EVENT; StoreCorrupt where no release wrote it."""
    number, at, name, user_id, public_id, body = values
    try:
        reason, address, detail, notify = json.loads(body)
        checked("events", (at, name, reason, address, detail, notify), *_EVENT_SHAPE)
        return Event(
            name=name,
            user_id=None if user_id is None else to_text(user_id),
            public_id=None if public_id is None else to_text(public_id),
            reason=reason,
            address=address,
            detail=detail,
            notify=notify,
            at=at / 1000,
            id=str(number),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise damaged("events", f"event {number}: {error}") from error


def to_shown_event(values: Sequence[Any]) -> Event:
    """Read a row of EVENT; one that cannot be read is an event that says so."""
    try:
        return to_event(values)
    except StoreCorrupt:
        number, at = values[:2]
        return unreadable_event(str(number), at if type(at) is int else 0)


def to_tombstone(code: int, at: int) -> Tombstone:
    """Read why and when a session ended; a reason of a later release reads as ADMIN."""
    checked("tombstones", (code, at), int, int)
    return Tombstone(END_REASONS[code] if 0 <= code < len(END_REASONS) else EndReason.ADMIN, at)


def write_event(tx: Tx, event: Event | None) -> None:
    """Append an event at the time of this step; None writes nothing."""
    if event is None:
        return
    # ASCII escapes keep what SQLite's TEXT would refuse: a client may name the user.
    body = json.dumps([event.reason, event.address, dict(event.detail), event.notify])
    tx.db.execute(
        "INSERT INTO events (at, name, user_id, public_id, body) VALUES (?, ?, ?, ?, ?)",
        (tx.now, event.name, _or_null(event.user_id), _or_null(event.public_id), body),
    )


def to_bytes(text: str) -> bytes:
    """Encode any text, lone surrogates included: it comes back as it was."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """Undo `to_bytes`."""
    return data.decode("utf-8", "surrogatepass")


def _or_null(text: str | None) -> bytes | None:
    return None if text is None else to_bytes(text)


# A site has few role sets: the same texts come back with every load.
@lru_cache(maxsize=256)
def roles_from(text: str) -> tuple[str, ...]:
    """Read stored role names."""
    return tuple(json.loads(text))


def roles_to(roles: tuple[str, ...]) -> str:
    """Return role names as they are stored."""
    return json.dumps(roles)
