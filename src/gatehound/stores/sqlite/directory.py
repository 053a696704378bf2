"""What admin pages and jobs do over many users: search, sweep, end everybody, forget, export."""

from __future__ import annotations

import re
from typing import Any, Final

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Finished, Page, Query
from gatehound.stores.record import Record
from gatehound.stores.rule import (
    TIDY_SESSIONS,
    TOMBSTONE_MAX,
    TOMBSTONE_MIN,
    TOMBSTONES_PER_USER,
    event_for_all,
)
from gatehound.stores.sqlite.ending import all_of, draw_line, expire, is_disabled
from gatehound.stores.sqlite.evidence import OF_USER, fields, memory
from gatehound.stores.sqlite.log import agents, drop_counters
from gatehound.stores.sqlite.row import (
    EVENT,
    SESSION,
    Tx,
    to_bytes,
    to_event,
    to_record,
    to_tombstone,
    write_event,
)

# --- search ---

# One constant statement for each index that can drive the search; the rest only filters.
_REST: Final = """
    AND min(expires, last_seen + idle) > :now
    AND (:alias IS NULL OR alias = :alias)
    AND (:flagged IS NULL OR (flags & 4 <> 0) = :flagged)
    AND (:country IS NULL OR country = :country)
    AND (:low IS NULL OR (address BETWEEN :low AND :high AND length(address) = length(:low)))
    AND created < :created
    AND last_seen < :seen
    AND created <= :at AND (created < :at OR sid < :sid)
    ORDER BY created DESC, sid DESC LIMIT :limit
"""
_BY_USER: Final = SESSION + "WHERE alias = :alias" + _REST
_BY_ADDRESS: Final = (
    SESSION + "INDEXED BY sessions_address WHERE address BETWEEN :low AND :high" + _REST
)
_BY_FLAG: Final = SESSION + "INDEXED BY sessions_flagged WHERE flags & 4" + _REST
_BY_COUNTRY: Final = SESSION + "INDEXED BY sessions_country WHERE country = :country" + _REST
_BY_AGE: Final = SESSION + "INDEXED BY sessions_created WHERE 1" + _REST
_CURSOR: Final = re.compile(r"([0-9]{1,18})-([0-9a-f]{16})")
_FOREVER: Final = 2**63 - 1  # no bound: later than any time that is stored


def search(tx: Tx, query: Query) -> Page:
    """Return living sessions that match, newest first; a foreign cursor is none."""
    limit = min(max(query.limit, 1), 1000)
    low, high = (None, None) if query.network is None else _range(*query.network)
    cursor = _CURSOR.fullmatch(query.cursor)
    values: dict[str, Any] = {
        "now": tx.now,
        "alias": query.alias,
        "flagged": query.flagged,
        "country": query.country,
        "low": low,
        "high": high,
        "created": _FOREVER if query.created_before is None else query.created_before,
        "seen": _FOREVER if query.seen_before is None else query.seen_before,
        "at": int(cursor[1]) if cursor else _FOREVER,
        "sid": bytes.fromhex(cursor[2]) if cursor else b"",
        "limit": limit + 1,
    }
    found = [to_record(row) for row in tx.db.execute(_statement(query), values)]
    page = tuple(found[:limit])
    to = _cursor(page[-1]) if len(found) > limit else ""
    return Page(page, tx.now, to, len(page))


def living(tx: Tx) -> int:
    """Count all sessions."""
    (count,) = tx.db.execute("SELECT count(*) FROM sessions").fetchone()
    return int(count)


def _statement(query: Query) -> str:
    if query.alias is not None:
        return _BY_USER
    if query.network is not None:
        return _BY_ADDRESS
    if query.flagged:
        return _BY_FLAG
    return _BY_AGE if query.country is None else _BY_COUNTRY


def _range(address: bytes, length: int) -> tuple[bytes, bytes]:
    """Return the lowest and the highest address of a network."""
    size = len(address)
    host = (1 << max(size * 8 - length, 0)) - 1
    number = int.from_bytes(address)
    return (number & ~host).to_bytes(size), (number | host).to_bytes(size)


def _cursor(record: Record) -> str:
    return f"{record.security.created}-{record.public_id}"


# --- sweep ---


_DUE: Final = (
    SESSION + "WHERE min(expires, last_seen + idle) <= ? "
    "ORDER BY min(expires, last_seen + idle) LIMIT ?"
)


def end_due(tx: Tx, limit: int) -> tuple[Finished, ...]:
    """End at most `limit` sessions whose time is over."""
    due = tx.db.execute(_DUE, (tx.now, limit)).fetchall()
    return tuple(ended for row in due for ended in expire(tx, [to_record(row)]))


# Table, what names a row of it, and which rows; each is found by an index.
_STALE: Final = tuple(
    f"DELETE FROM {table} WHERE {name} IN (SELECT {key} FROM {table} WHERE {over} LIMIT :limit)"  # noqa: S608 - constants, no value of anybody
    for table, name, key, over in (
        ("tombstones", "id", "id", "until <= :now"),
        ("epochs", "alias", "alias", "until <= :now"),
        ("memories", "(alias, sid)", "alias, sid", "sid = x'' AND until <= :now"),
        ("agents", "digest", "digest", "until <= :now"),
        ("events", "id", "id", "at < :kept"),
    )
)
# Of each table, with each 20th login: ten rows a login, and some milliseconds.
_TIDY_ROWS: Final = 200
_ALL: Final = -1  # what LIMIT takes for none


def drop_stale(tx: Tx, retention: int, limit: int = _ALL) -> None:
    """Delete what has no more use, at most `limit` rows of each table."""
    values = {"now": tx.now, "kept": tx.now - retention, "limit": limit}
    for statement in _STALE:
        tx.db.execute(statement, values)
    drop_counters(tx)


def tidy(tx: Tx, retention: int) -> tuple[Finished, ...]:
    """Do a small part of a sweep, so that the file does not grow where nobody calls it."""
    finished = end_due(tx, TIDY_SESSIONS)
    drop_stale(tx, retention, _TIDY_ROWS)
    return finished


# --- everybody ---

_LIVING: Final = "FROM sessions WHERE min(expires, last_seen + idle) > :now"
# Constant statements over all rows: a loop in Python would hold the write lock for longer.
_BURY_ALL: Final = (
    "INSERT OR REPLACE INTO tombstones (alias, sid, reason, at, until) "
    "SELECT alias, sid, :reason, :now, :now + max(:least, min(:most, expires - :now)) "
    + _LIVING
    + " ORDER BY created, sid"
)
_KEEP_NEWEST: Final = (
    "DELETE FROM tombstones WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER "
    "(PARTITION BY alias ORDER BY id DESC) AS place FROM tombstones) WHERE place > :kept)"
)
_DROP_MEMORIES: Final = (
    "DELETE FROM memories WHERE sid <> x'' AND NOT EXISTS (SELECT 1 FROM sessions "
    "WHERE sessions.alias = memories.alias AND sessions.sid = memories.sid)"
)
_DROP_DATA: Final = (
    "DELETE FROM data WHERE NOT EXISTS (SELECT 1 FROM sessions "
    "WHERE sessions.alias = data.alias AND sessions.sid = data.sid)"
)
_END_ALL: Final = (
    *(_BURY_ALL, _KEEP_NEWEST, "DELETE " + _LIVING),
    *(_DROP_MEMORIES, _DROP_DATA),
)


def revoke_everyone(tx: Tx, event: Event | None) -> int:
    """End every living session in this one step; return how many."""
    values = {
        "now": tx.now,
        "reason": EndReason.EVERYONE.code,
        "least": TOMBSTONE_MIN,
        "most": TOMBSTONE_MAX,
        "kept": TOMBSTONES_PER_USER,
    }
    (count,) = tx.db.execute("SELECT count(*) " + _LIVING, values).fetchone()
    for statement in _END_ALL:
        tx.db.execute(statement, values)
    draw_line(tx, tx.now)
    write_event(tx, event_for_all(event, int(count)))
    return int(count)


# --- one user ---

# Events of a user are those that name the user and those that name a session of the user: a
# replayed cookie is logged under its session alone.
_EVENTS_OF: Final = (
    "WHERE user_id = :user OR (user_id IS NULL AND public_id IN ("
    "SELECT CAST(lower(hex(sid)) AS BLOB) FROM sessions WHERE alias = :alias UNION "
    "SELECT CAST(lower(hex(sid)) AS BLOB) FROM tombstones WHERE alias = :alias))"
)
# A rare User-Agent text tells who somebody is. Those that no session of another user has sent
# go: also the ones of sessions that ended, of which nothing says any more whose they were.
_RARE_AGENTS: Final = (
    "DELETE FROM agents WHERE digest NOT IN (SELECT agent FROM sessions WHERE alias <> :alias)"
)
_FORGET: Final = (
    "DELETE FROM events " + _EVENTS_OF,  # noqa: S608 - two constants, no value of anybody
    _RARE_AGENTS,
    "DELETE FROM sessions WHERE alias = :alias",
    "DELETE FROM tombstones WHERE alias = :alias",
    "DELETE FROM memories WHERE alias = :alias",
    "DELETE FROM data WHERE alias = :alias",
)


def forget(tx: Tx, alias: bytes, user_id: str) -> int:
    """Delete all of a user but the epoch and the mark; the pages are overwritten with zeros."""
    count = sum(record.expiry(tx.now) is None for record in all_of(tx, alias))
    for statement in _FORGET:
        tx.db.execute(statement, {"alias": alias, "user": to_bytes(user_id)})
    return count


def export(tx: Tx, alias: bytes, user_id: str) -> dict[str, Any]:
    """Return all that is stored of a user, as the contract names it."""
    records = all_of(tx, alias)
    key = {"alias": alias, "user": to_bytes(user_id)}
    ended = tx.db.execute(
        "SELECT sid, reason, at FROM tombstones WHERE alias = ? AND until > ? ORDER BY id",
        (alias, tx.now),
    )
    return {
        "sessions": records,
        "agents": agents(tx, {record.seen.agent for record in records}),
        "ended": {sid.hex(): to_tombstone(*end) for sid, *end in ended},
        "memory": {record.public_id: memory(tx, alias, record.sid).data for record in records},
        "user_memory": memory(tx, alias, OF_USER).data,
        "data": {record.public_id: _fields(tx, record) for record in records},
        "events": [
            to_event(row) for row in tx.db.execute(EVENT + _EVENTS_OF + " ORDER BY id DESC", key)
        ],
        "disabled": is_disabled(tx, alias),
    }


def _fields(tx: Tx, record: Record) -> dict[str, bytes]:
    rows = tx.db.execute(
        "SELECT name, value FROM data WHERE alias = ? AND sid = ?", (record.alias, record.sid)
    )
    return fields(rows)
