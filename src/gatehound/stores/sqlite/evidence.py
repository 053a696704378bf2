"""What detectors remember and what the app keeps with a session, field by field."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gatehound.model import Event
from gatehound.stores.answer import Memory, Remembered
from gatehound.stores.record import STANDING, Seen
from gatehound.stores.rule import MAX_DATA_FIELDS, USER_MEMORY_LIFE, incremented
from gatehound.stores.sqlite.ending import is_living, living
from gatehound.stores.sqlite.life import accepts, note_agent
from gatehound.stores.sqlite.row import Row, Tx, checked, damaged, to_bytes, to_text, write_event

OF_USER: Final = b""  # stands where a sid would: what is remembered of the user


@dataclass(frozen=True, slots=True)
class Change:
    """What `remember` is to write beside the memories; see `Store.remember`."""

    seen: Seen | None
    agent: str
    flags: int | None
    set_flags: int
    clear_flags: int
    events: Sequence[Event]


def recall(tx: Tx, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
    """Return both memories; empty ones for a dead session and a user long not seen."""
    of_session = memory(tx, alias, sid) if is_living(tx, alias, sid) else Memory()
    return of_session, memory(tx, alias, OF_USER)


def remember(
    tx: Tx,
    alias: bytes,
    sid: bytes,
    secret_hash: bytes,
    given: tuple[Memory | None, Memory | None],
    change: Change,
) -> Remembered:
    """Write all of it or nothing, by compare-and-swap on both versions."""
    row = living(tx, alias, sid)
    if row is None or not accepts(row, secret_hash, tx.now):
        return Remembered(done=False, now=tx.now, gone=True)
    before = (memory(tx, alias, sid), memory(tx, alias, OF_USER))
    pairs = tuple(zip(given, before, strict=True))
    flags = row.record.security.flags
    differs = change.flags is not None and (change.flags ^ flags) & STANDING
    if differs or any(new is not None and new.version != old.version for new, old in pairs):
        return Remembered(False, tx.now, memory=before[0], user_memory=before[1], flags=flags)
    after = [old if new is None else Memory(new.data, new.version + 1) for new, old in pairs]
    for name, new, kept in zip((sid, OF_USER), given, after, strict=True):
        if new is not None:
            _write_memory(tx, alias, name, kept)
    _write_change(tx, row, change)
    return Remembered(done=True, now=tx.now, memory=after[0], user_memory=after[1])


def memory(tx: Tx, alias: bytes, sid: bytes) -> Memory:
    """Return one memory; that of a user ends 90 days after it was last written."""
    values = tx.db.execute(
        "SELECT data, version FROM memories "
        "WHERE alias = ? AND sid = ? AND (sid <> x'' OR until > ?)",
        (alias, sid, tx.now),
    ).fetchone()
    return Memory() if values is None else Memory(*checked("memories", values, bytes, int))


def _write_memory(tx: Tx, alias: bytes, sid: bytes, kept: Memory) -> None:
    tx.db.execute(
        "INSERT OR REPLACE INTO memories (alias, sid, data, version, until) VALUES (?, ?, ?, ?, ?)",
        (alias, sid, kept.data, kept.version, tx.now + USER_MEMORY_LIFE),
    )


def _write_change(tx: Tx, row: Row, change: Change) -> None:
    record, seen = row.record, change.seen
    flags = (record.security.flags | change.set_flags) & ~change.clear_flags
    if flags != record.security.flags:
        tx.db.execute(
            "UPDATE sessions SET flags = ? WHERE alias = ? AND sid = ?",
            (flags, record.alias, record.sid),
        )
    if seen is not None:
        tx.db.execute(
            "UPDATE sessions SET last_seen = max(last_seen, ?), address = ?, country = ?, "
            "place = ?, agent = ?, pair1 = ?, pair2 = ? WHERE alias = ? AND sid = ?",
            (
                *(seen.last_seen, seen.address, seen.country, seen.place, seen.agent),
                *(*seen.pairs, record.alias, record.sid),
            ),
        )
        note_agent(tx, seen.agent, change.agent, record.security.expires)
    for event in change.events:
        write_event(tx, event)


# --- app data ---


def data_get(tx: Tx, alias: bytes, sid: bytes, names: Collection[str] | None) -> dict[str, bytes]:
    """Return fields of a living session: those named, or all."""
    if not is_living(tx, alias, sid):
        return {}
    if names is None:
        rows = tx.db.execute(
            "SELECT name, value FROM data WHERE alias = ? AND sid = ?", (alias, sid)
        )
        return fields(rows)
    found = {name: _field(tx, alias, sid, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def fields(rows: Iterable[Sequence[Any]]) -> dict[str, bytes]:
    """Read rows of (name, value); StoreCorrupt where one is damaged."""
    try:
        return {to_text(n): v for n, v in (checked("data", row, bytes, bytes) for row in rows)}
    except ValueError as error:
        raise damaged("data", error) from error


def data_set(tx: Tx, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
    """Set fields of a living session; ValueError, and nothing set, where they are too many."""
    if not is_living(tx, alias, sid):
        return False
    tx.db.executemany(
        "INSERT OR REPLACE INTO data (alias, sid, name, value) VALUES (?, ?, ?, ?)",
        [(alias, sid, to_bytes(name), value) for name, value in values.items()],
    )
    (count,) = tx.db.execute(
        "SELECT count(*) FROM data WHERE alias = ? AND sid = ?", (alias, sid)
    ).fetchone()
    if count > MAX_DATA_FIELDS:  # the transaction is undone
        raise ValueError(f"{count} data fields: at most {MAX_DATA_FIELDS} are allowed")
    return True


def data_delete(tx: Tx, alias: bytes, sid: bytes, names: Collection[str]) -> int:
    """Delete fields of a living session; return how many were there."""
    if not is_living(tx, alias, sid):
        return 0
    return sum(
        tx.db.execute(
            "DELETE FROM data WHERE alias = ? AND sid = ? AND name = ?",
            (alias, sid, to_bytes(name)),
        ).rowcount
        for name in set(names)
    )


def data_incr(tx: Tx, alias: bytes, sid: bytes, name: str, by: int) -> int | None:
    """Add to a decimal integer; None for a dead session."""
    if not is_living(tx, alias, sid):
        return None
    text = _field(tx, alias, sid, name)
    total = incremented(name, b"0" if text is None else text, by)
    data_set(tx, alias, sid, {name: b"%d" % total})
    return total


def _field(tx: Tx, alias: bytes, sid: bytes, name: str) -> bytes | None:
    values = tx.db.execute(
        "SELECT value FROM data WHERE alias = ? AND sid = ? AND name = ?",
        (alias, sid, to_bytes(name)),
    ).fetchone()
    return None if values is None else bytes(checked("data", values, bytes)[0])
