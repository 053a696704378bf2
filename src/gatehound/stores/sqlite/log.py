"""Events, counters and User-Agent texts: what is kept for people rather than for a session."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any, Final

from gatehound.model import Event
from gatehound.stores.answer import EventPage, EventQuery, Tail
from gatehound.stores.rule import MAX_COUNTER_NAMES, MAX_TAIL, clip_moment, matches_event
from gatehound.stores.sqlite.row import EVENT, Tx, to_bytes, to_shown_event, to_text, write_event
from gatehound.stores.sqlite.schema import reached

# One constant statement for each index that can drive the search; the rest only filters.
_REST: Final = (
    "AND (:user IS NULL OR user_id = :user) AND (:session IS NULL OR public_id = :session) "
    "AND (:names IS NULL OR name IN (SELECT value FROM json_each(:names))) "
    "AND at >= :since AND (:until IS NULL OR at < :until) AND id < :before "
    "ORDER BY id DESC LIMIT :limit"
)
_BY_SESSION: Final = EVENT + "INDEXED BY events_session WHERE public_id = :session " + _REST
_BY_USER: Final = EVENT + "INDEXED BY events_user WHERE user_id = :user " + _REST
_BY_TIME: Final = EVENT + "NOT INDEXED WHERE 1 " + _REST
_AFTER: Final = EVENT + "WHERE id > ? AND at >= ? ORDER BY id LIMIT ?"
_SINCE: Final = "SELECT min(id) FROM events INDEXED BY events_at WHERE at >= ?"
_LAST_ID: Final = 2**63 - 1
# A page looks at no more than this many for those of a network, which no index finds.
_MAX_SCAN: Final = 5_000


def events(tx: Tx, query: EventQuery, retention: int) -> EventPage:
    """Return events that match and are not too old, newest first; a foreign cursor is none."""
    limit = min(max(query.limit, 1), 1000)
    look_at = limit if query.network is None else _MAX_SCAN
    cursor = query.cursor
    kept = tx.now - retention
    values: dict[str, Any] = {
        "user": None if query.user_id is None else to_bytes(query.user_id),
        "session": None if query.public_id is None else to_bytes(query.public_id),
        "names": None if query.names is None else json.dumps(sorted(query.names)),
        "since": kept if query.since is None else max(clip_moment(query.since), kept),
        "until": None if query.until is None else clip_moment(query.until),
        "before": int(cursor) if _is_number(cursor) else _LAST_ID,
        "limit": look_at + 1,
    }
    statement = _BY_TIME
    if query.public_id is not None:
        statement = _BY_SESSION
    elif query.user_id is not None:
        statement = _BY_USER
    return _page(map(to_shown_event, tx.db.execute(statement, values)), query, limit, look_at)


def _page(newest: Iterable[Event], query: EventQuery, limit: int, look_at: int) -> EventPage:
    """Take those that match out of `look_at` events; one more says that there are more."""
    found: list[Event] = []
    last = ""
    for number, event in enumerate(newest):
        if number == look_at or len(found) == limit:
            return EventPage(tuple(found), last)
        last = event.id
        if matches_event(event, query):  # by network, and what could not be read
            found.append(event)
    return EventPage(tuple(found))


def tail(tx: Tx, place: str, since: int | None, limit: int, retention: int) -> Tail:
    """Return those after a place, the number of an event, the oldest first.

    One writer at a time gives the numbers, so that none comes to light behind a greater one.
    """
    limit = min(max(limit, 1), MAX_TAIL)
    latest = reached(tx.db)
    after = int(place) if _is_number(place) else _LAST_ID
    if after > latest:
        after = latest if since is None else _before(tx, since, latest)
    rows = tx.db.execute(_AFTER, (after, tx.now - retention, limit + 1))
    found = [to_shown_event(row) for row in rows]
    told = tuple(found[:limit])
    return Tail(told, told[-1].id if told else str(after), len(found) > limit)


def _before(tx: Tx, since: int, latest: int) -> int:
    """Return the number before that of the first event since a moment."""
    (first,) = tx.db.execute(_SINCE, (clip_moment(since),)).fetchone()
    return latest if first is None else int(first) - 1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


# --- agents ---


def agents(tx: Tx, digests: Collection[bytes]) -> dict[bytes, str]:
    """Return the texts that are known."""
    found = {}
    for digest in digests:
        row = tx.db.execute("SELECT agent FROM agents WHERE digest = ?", (digest,)).fetchone()
        if row is not None:
            found[digest] = row[0]
    return found


# --- counters ---

_DROP_COUNTERS: Final = "DELETE FROM counters WHERE kind = ? AND span = ? AND slot = ?"
_DROP_WINDOW: Final = "DELETE FROM windows WHERE kind = ? AND span = ? AND slot = ?"


def count(tx: Tx, kind: str, name: str, by: int, window: int) -> int:
    """Add to a counter of the present window; 0 for a name too many."""
    slot = (kind, window, tx.now // window)
    key = (*slot, to_bytes(name))
    row = tx.db.execute(
        "SELECT value FROM counters WHERE kind = ? AND span = ? AND slot = ? AND name = ?", key
    ).fetchone()
    if row is None and not _admit(tx, slot):
        return 0
    value = by + (row[0] if row else 0)
    tx.db.execute(
        "INSERT OR REPLACE INTO counters (kind, span, slot, name, value) VALUES (?, ?, ?, ?, ?)",
        (*key, value),
    )
    return int(value)


def _admit(tx: Tx, slot: tuple[str, int, int]) -> bool:
    """Count a new name of a window; False where it has as many as are allowed."""
    row = tx.db.execute(
        "SELECT names FROM windows WHERE kind = ? AND span = ? AND slot = ?", slot
    ).fetchone()
    names = row[0] if row else 0
    if names >= MAX_COUNTER_NAMES:
        return False
    if not names:  # the first of a window: those before the last have no more use
        drop_counters(tx)
    tx.db.execute(
        "INSERT OR REPLACE INTO windows (kind, span, slot, names) VALUES (?, ?, ?, ?)",
        (*slot, names + 1),
    )
    return True


def counts(tx: Tx, kind: str, window: int) -> tuple[dict[str, int], bool]:
    """Return the counters of one kind in the present window, and if there is something to drop."""
    rows = tx.db.execute(
        "SELECT name, value FROM counters WHERE kind = ? AND span = ? AND slot = ?",
        (kind, window, tx.now // window),
    )
    return {to_text(name): value for name, value in rows}, bool(_over(tx))


def append(tx: Tx, event: Event) -> None:
    """Write an event that belongs to no change."""
    write_event(tx, event)
    drop_counters(tx)


def drop_counters(tx: Tx) -> None:
    """Delete the counters of every window that is over for a whole window.

    Wherever one looks at counters or writes an event, so that they are gone in time: there are a
    few windows, and mostly none to drop.
    """
    over = _over(tx)
    for statement in (_DROP_COUNTERS, _DROP_WINDOW):
        tx.db.executemany(statement, over)


def _over(tx: Tx) -> list[tuple[str, int, int]]:
    return tx.db.execute(
        "SELECT kind, span, slot FROM windows WHERE slot < ? / span - 1", (tx.now,)
    ).fetchall()
