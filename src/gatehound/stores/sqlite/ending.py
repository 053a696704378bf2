"""What is there of a user's sessions, and how a session ends.

Rules of this file. Ending always goes through `end`, so that no session goes without its
tombstone, its event and all that hangs on it. A session whose time is over counts as not
there, except for those that notice it: `create`, `load`, `rotate`, `sessions` and `sweep`.
Each function does its work within the transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Finished, Revoked
from gatehound.stores.record import Record, Tombstone, expiry
from gatehound.stores.rule import (
    HOUR,
    TOMBSTONES_PER_USER,
    event_for,
    told_expiry,
    tombstone_life,
)
from gatehound.stores.sqlite.row import (
    SESSION,
    Row,
    Tx,
    checked,
    to_record,
    to_row,
    to_tombstone,
    write_event,
)

_ONE: Final = SESSION + "WHERE alias = ? AND sid = ?"
_ALL: Final = SESSION + "WHERE alias = ? ORDER BY created, sid"

# --- what is there ---


def stored(tx: Tx, alias: bytes, sid: bytes) -> Row | None:
    """Return a session whether or not its time is over."""
    # Python looks for an adapter of each value that is bytes, and of none that is a bytearray.
    values = tx.db.execute(_ONE, (bytearray(alias), bytearray(sid))).fetchone()
    return None if values is None else to_row(values)


def living(tx: Tx, alias: bytes, sid: bytes) -> Row | None:
    """Return a session whose time is not over."""
    row = stored(tx, alias, sid)
    return None if row is None or row.record.expiry(tx.now) else row


def is_living(tx: Tx, alias: bytes, sid: bytes) -> bool:
    """True for a session whose time is not over, without reading all of it."""
    values = tx.db.execute(
        "SELECT expires, idle, last_seen FROM sessions WHERE alias = ? AND sid = ?", (alias, sid)
    ).fetchone()
    if values is None:
        return False
    expires, idle, last_seen = checked("sessions", values, int, int, int)
    return expiry(tx.now, expires=expires, idle=idle, last_seen=last_seen) is None


def all_of(tx: Tx, alias: bytes) -> list[Record]:
    """Return every stored session of a user, oldest first, those whose time is over included."""
    return [to_record(values) for values in tx.db.execute(_ALL, (alias,))]


def tombstone(tx: Tx, alias: bytes, sid: bytes) -> Tombstone | None:
    """Return why a session ended, while that is kept."""
    values = tx.db.execute(
        "SELECT reason, at FROM tombstones WHERE alias = ? AND sid = ? AND until > ?",
        (alias, sid, tx.now),
    ).fetchone()
    return None if values is None else to_tombstone(*values)


def epoch(tx: Tx, alias: bytes) -> int:
    """Return the user's epoch: the greater of their own and that of everybody."""
    row = tx.db.execute(
        "SELECT max(coalesce((SELECT epoch FROM epochs WHERE alias = ?), 0), "
        "coalesce((SELECT value FROM meta WHERE name = 'everyone'), 0))",
        (alias,),
    ).fetchone()
    return int(checked("epochs", row, int)[0])


def not_before(tx: Tx) -> int:
    """Return the moment before which everybody's sessions are over, 0 where nothing was ended."""
    row = tx.db.execute("SELECT value FROM meta WHERE name = 'not_before'").fetchone()
    return int(checked("meta", row, int)[0]) if row else 0


# --- ending ---

# A login that is under way was begun before, and is refused by its epoch. The epoch moves with
# each end of all, and may run ahead of the clock; a copy takes the other for a time.
_DRAW_LINE: Final = (
    "INSERT OR REPLACE INTO meta (name, value) SELECT 'not_before', "
    "max(:moment, coalesce((SELECT value FROM meta WHERE name = 'not_before'), 0))"
)
_RAISE_EPOCHS: Final = (
    "INSERT OR REPLACE INTO meta (name, value) SELECT 'everyone', max(:moment, "
    "1 + coalesce((SELECT max(epoch) FROM epochs), 0), "
    "1 + coalesce((SELECT value FROM meta WHERE name = 'everyone'), 0))"
)


def draw_line(tx: Tx, moment: int) -> None:
    """Say what is over for all, and move the epoch of everybody past that of anybody."""
    for statement in (_DRAW_LINE, _RAISE_EPOCHS):
        tx.db.execute(statement, {"moment": moment})


def end(tx: Tx, record: Record, reason: EndReason, event: Event | None) -> Finished:
    """End one session and write its tombstone and event; `bury` must follow for its user."""
    key = (record.alias, record.sid)
    until = tx.now + tombstone_life(tx.now, record.security.expires)
    tx.db.execute(
        "INSERT OR REPLACE INTO tombstones (alias, sid, reason, at, until) VALUES (?, ?, ?, ?, ?)",
        (*key, reason.code, tx.now, until),
    )
    tx.db.execute("DELETE FROM sessions WHERE alias = ? AND sid = ?", key)
    tx.db.execute("DELETE FROM memories WHERE alias = ? AND sid = ?", key)
    tx.db.execute("DELETE FROM data WHERE alias = ? AND sid = ?", key)
    write_event(tx, event)
    return Finished(record, reason, tx.now)


def bury(tx: Tx, alias: bytes) -> None:
    """Keep the newest tombstones of a user, by the order in which the sessions ended."""
    tx.db.execute(
        "DELETE FROM tombstones WHERE alias = ? AND id NOT IN "
        "(SELECT id FROM tombstones WHERE alias = ? ORDER BY id DESC LIMIT ?)",
        (alias, alias, TOMBSTONES_PER_USER),
    )


def expire(tx: Tx, records: Iterable[Record]) -> tuple[Finished, ...]:
    """End those sessions, all of one user, whose time is over."""
    finished = []
    for record in records:
        reason = record.expiry(tx.now)
        if reason is not None:
            event = told_expiry(record, reason, tx.now)
            finished.append(end(tx, record, reason, event))
    if finished:
        bury(tx, finished[0].record.alias)
    return tuple(finished)


def revoke(
    tx: Tx,
    alias: bytes,
    only: bytes | None,
    keep: bytes | None,
    reason: EndReason,
    event: Event | None,
) -> Revoked:
    """End one, all but one, or all living sessions of a user; the latter two move the epoch."""
    finished = [
        end(tx, record, reason, event_for(event, record, tx.now))
        for record in all_of(tx, alias)
        if only in (None, record.sid) and record.sid != keep and record.expiry(tx.now) is None
    ]
    if finished:
        bury(tx, alias)
    if only is None:
        _raise_epoch(tx, alias)
    return Revoked(tuple(finished), epoch(tx, alias), tx.now)


def disable(tx: Tx, alias: bytes, event: Event | None) -> Revoked:
    """Mark a user and end all sessions; the epoch moves, so that no login slips past `enable`."""
    tx.db.execute(
        "INSERT INTO disabled (alias, at) VALUES (?, ?) ON CONFLICT (alias) DO NOTHING",
        (alias, tx.now),
    )
    return revoke(tx, alias, None, None, EndReason.DISABLED, event)


def is_disabled(tx: Tx, alias: bytes) -> bool:
    """Say whether a user is marked."""
    mark = tx.db.execute("SELECT 1 FROM disabled WHERE alias = ?", (alias,)).fetchone()
    return mark is not None


def enable(tx: Tx, alias: bytes) -> bool:
    """Remove the mark of a disabled user; False if there was none."""
    return bool(tx.db.execute("DELETE FROM disabled WHERE alias = ?", (alias,)).rowcount)


def _raise_epoch(tx: Tx, alias: bytes) -> None:
    # The time, so that the value does not come back once it was dropped.
    value = max(tx.now, epoch(tx, alias) + 1)
    (last,) = tx.db.execute(
        "SELECT coalesce(max(expires), 0) FROM sessions WHERE alias = ?", (alias,)
    ).fetchone()
    tx.db.execute(
        "INSERT INTO epochs (alias, epoch, until) VALUES (?, ?, ?) ON CONFLICT (alias) "
        "DO UPDATE SET epoch = excluded.epoch, until = max(until, excluded.until)",
        (alias, value, max(tx.now, last) + HOUR),
    )
