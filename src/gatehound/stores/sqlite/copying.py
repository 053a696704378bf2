"""Copy: read users as they are stored, and put users of another store in.

Each function works within the transaction of its caller. Users are looked for in every table
that may be the only one to name them: of some only a mark, an epoch or evidence is left.
"""

from __future__ import annotations

import re
from typing import Final

from gatehound.model import EndReason
from gatehound.stores.answer import Before, Dump, Holding, Holdings
from gatehound.stores.rule import HOUR, USER_MEMORY_LIFE, ended_before
from gatehound.stores.sqlite.ending import all_of, bury, draw_line, end, is_disabled, not_before
from gatehound.stores.sqlite.ends import NOBODY, leave_trace
from gatehound.stores.sqlite.evidence import OF_USER, fields, memory
from gatehound.stores.sqlite.life import note_agent
from gatehound.stores.sqlite.log import agents
from gatehound.stores.sqlite.row import (
    SESSION,
    Row,
    Tx,
    checked,
    to_bytes,
    to_record,
    to_row,
    to_tombstone,
    write_session,
)

_CURSOR: Final = re.compile(r"[0-9a-f]{24}")
# Each part reads its index from the cursor on, so that a page costs a page.
_PART: Final = (
    "SELECT * FROM (SELECT DISTINCT alias FROM {} WHERE alias > :after ORDER BY alias LIMIT :n)"
)
_TABLES: Final = ("sessions", "tombstones", "epochs", "disabled", "memories")
_USERS: Final = " UNION ".join(map(_PART.format, _TABLES)) + " ORDER BY alias LIMIT :n"

# --- dump ---


def dump(tx: Tx, cursor: str, limit: int) -> Dump:
    """Return users by their alias; see Store.dump."""
    limit = min(max(limit, 1), 1000)
    after = bytes.fromhex(cursor) if _CURSOR.fullmatch(cursor) else NOBODY
    found = [row[0] for row in tx.db.execute(_USERS, {"after": after, "n": limit + 1})]
    users = tuple(_held(tx, alias) for alias in found[:limit])
    return Dump(users, not_before(tx), found[limit - 1].hex() if len(found) > limit else "")


def _held(tx: Tx, alias: bytes) -> Holdings:
    rows = tx.db.execute(SESSION + "WHERE alias = ? ORDER BY created, sid", (alias,))
    sessions = tuple(_session(tx, to_row(values)) for values in rows.fetchall())
    ended = tx.db.execute(
        "SELECT sid, reason, at, until FROM tombstones WHERE alias = ? AND until > ? ORDER BY id",
        (alias, tx.now),
    )
    return Holdings(
        alias=alias,
        sessions=sessions,
        ended={sid: (to_tombstone(reason, at), until) for sid, reason, at, until in ended},
        epoch=_own_epoch(tx, alias),
        disabled=is_disabled(tx, alias),
        user_memory=memory(tx, alias, OF_USER).data,
        agents=agents(tx, {held.record.seen.agent for held in sessions}),
    )


def _session(tx: Tx, row: Row) -> Holding:
    record = row.record
    data = tx.db.execute(
        "SELECT name, value FROM data WHERE alias = ? AND sid = ?", (record.alias, record.sid)
    )
    before = None
    if row.previous is not None:
        before = Before(row.previous, record.security.rotated, row.confirmed, row.grace)
    return Holding(record, before, memory(tx, record.alias, record.sid).data, fields(data))


def _own_epoch(tx: Tx, alias: bytes) -> int:
    row = tx.db.execute("SELECT epoch FROM epochs WHERE alias = ?", (alias,)).fetchone()
    return int(checked("epochs", row, int)[0]) if row else 0


# --- restore ---


def restore(tx: Tx, given: Dump) -> None:
    """Put users in the place of those in the file; see Store.restore."""
    if given.not_before > not_before(tx):
        _end_older(tx, given.not_before)
    line = not_before(tx)
    for held in given.users:
        _restore_user(tx, ended_before(held, line))


def _end_older(tx: Tx, line: int) -> None:
    """Do what `revoke_everyone` of the other store did, also to who is not in its dump."""
    draw_line(tx, line)
    rows = tx.db.execute(SESSION + "WHERE created < ? ORDER BY created, sid", (line,))
    records = [to_record(values) for values in rows.fetchall()]
    for record in records:
        end(tx, record, EndReason.EVERYONE, None)
    for alias in {record.alias for record in records}:
        bury(tx, alias)


_CLEAR: Final = tuple(
    f"DELETE FROM {table} WHERE alias = ?"  # noqa: S608 - constants, no value of anybody
    for table in ("sessions", "memories", "data", "disabled")
)


def _restore_user(tx: Tx, held: Holdings) -> None:
    lived = {record.sid for record in all_of(tx, held.alias)}
    for statement in _CLEAR:
        tx.db.execute(statement, (held.alias,))
    _restore_ends(tx, held)
    leave_trace(tx, lived - {one.record.sid for one in held.sessions} - held.ended.keys())
    for one in held.sessions:
        _restore_session(tx, one, held.agents.get(one.record.seen.agent, ""))
    if held.user_memory:
        _restore_memory(tx, held.alias, OF_USER, held.user_memory, tx.now + USER_MEMORY_LIFE)
    if held.epoch:
        last = max((one.record.security.expires for one in held.sessions), default=0)
        tx.db.execute(
            "INSERT INTO epochs (alias, epoch, until) VALUES (?, ?, ?) ON CONFLICT (alias) DO "
            "UPDATE SET epoch = max(epoch, excluded.epoch), until = max(until, excluded.until)",
            (held.alias, held.epoch, max(tx.now, last) + HOUR),
        )
    if held.disabled:
        tx.db.execute("INSERT INTO disabled (alias, at) VALUES (?, ?)", (held.alias, tx.now))


def _restore_ends(tx: Tx, held: Holdings) -> None:
    """Replace tombstones; one that is there keeps its id, or it would look like a new end."""
    known = tx.db.execute("SELECT sid FROM tombstones WHERE alias = ?", (held.alias,)).fetchall()
    tx.db.executemany(
        "DELETE FROM tombstones WHERE alias = ? AND sid = ?",
        [(held.alias, sid) for (sid,) in known if sid not in held.ended],
    )
    tx.db.executemany(
        "INSERT INTO tombstones (alias, sid, reason, at, until) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (alias, sid) DO UPDATE "
        "SET reason = excluded.reason, at = excluded.at, until = excluded.until",
        [
            (held.alias, sid, stone.reason.code, stone.at, until)
            for sid, (stone, until) in sorted(held.ended.items(), key=lambda item: item[1][0].at)
        ],
    )
    bury(tx, held.alias)


def _restore_session(tx: Tx, one: Holding, agent: str) -> None:
    record = one.record
    write_session(tx, record, one.before)
    if one.memory:
        _restore_memory(tx, record.alias, record.sid, one.memory, 0)
    tx.db.executemany(
        "INSERT INTO data (alias, sid, name, value) VALUES (?, ?, ?, ?)",
        [(record.alias, record.sid, to_bytes(name), value) for name, value in one.data.items()],
    )
    note_agent(tx, record.seen.agent, agent, record.security.expires)


def _restore_memory(tx: Tx, alias: bytes, sid: bytes, data: bytes, until: int) -> None:
    tx.db.execute(
        "INSERT INTO memories (alias, sid, data, version, until) VALUES (?, ?, ?, 1, ?)",
        (alias, sid, data, until),
    )
