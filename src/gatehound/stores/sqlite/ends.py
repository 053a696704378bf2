"""Which sessions ended of late, read from the tombstones of all users by the order of their ids.

Ids follow one another, so a gap is a tombstone that went already: a user keeps eight. Then, and
where the row that the place names is another by now, the answer says that some are missed.
What is read is seen across processes, because a revocation is in the file when it returns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gatehound.model import EndReason
from gatehound.stores.answer import Ends
from gatehound.stores.sqlite import directory
from gatehound.stores.sqlite.row import Tx

# One answer reads at most so many, about a millisecond of the loop; the next one goes on.
PAGE: Final = 1000
# Stands for whoever was forgotten: no alias is all zeros, short of 2**96 users.
NOBODY: Final = bytes(12)
_PLACE: Final = re.compile(r"([0-9]{1,18})-([0-9a-f]{16}|)")


def since(tx: Tx, place: str) -> Ends:
    """Name the sessions that ended since a place; "" is the place of now."""
    if not place:
        return Ends((), False, False, _top(tx))
    read = _PLACE.fullmatch(place)
    if read is None or not _is_there(tx, int(read[1]), read[2]):
        return Ends((), False, True, _top(tx))
    number = int(read[1])
    rows = tx.db.execute(
        "SELECT id, sid FROM tombstones WHERE id > ? ORDER BY id LIMIT ?", (number, PAGE)
    ).fetchall()
    if not rows:
        return Ends((), False, False, place)
    last, sid = rows[-1]
    gaps = last - number > len(rows)
    return Ends(tuple(row[1] for row in rows), False, gaps, _place(last, sid))


def forget(tx: Tx, alias: bytes, user_id: str) -> int:
    """Erase a user, and leave for the sids that lived a tombstone of nobody, over at once.

    It names nobody, it answers nobody, and the next sweep takes it away.
    """
    lived = tx.db.execute("SELECT sid FROM sessions WHERE alias = ?", (alias,)).fetchall()
    count = directory.forget(tx, alias, user_id)
    leave_trace(tx, [sid for (sid,) in lived])
    return count


def leave_trace(tx: Tx, sids: Iterable[bytes]) -> None:
    """Say that sessions ended which leave no tombstone of their own."""
    tx.db.executemany(
        "INSERT OR REPLACE INTO tombstones (alias, sid, reason, at, until) VALUES (?, ?, ?, ?, ?)",
        [(NOBODY, sid, EndReason.ADMIN.code, tx.now, tx.now) for sid in sids],
    )


def _top(tx: Tx) -> str:
    row = tx.db.execute("SELECT id, sid FROM tombstones ORDER BY id DESC LIMIT 1").fetchone()
    return "0-" if row is None else _place(*row)


def _is_there(tx: Tx, number: int, mark: str) -> bool:
    """True where the row of a place still is what it was: ids come back once the top went."""
    if number == 0:
        return True
    row = tx.db.execute("SELECT sid FROM tombstones WHERE id = ?", (number,)).fetchone()
    return row is not None and row[0].hex() == mark


def _place(number: int, sid: bytes) -> str:
    return f"{number}-{sid.hex()}"
