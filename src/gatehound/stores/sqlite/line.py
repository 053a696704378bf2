"""The session that a request asks for, as one column: what is read most often.

Each column of an answer costs Python's sqlite3 some 2,000 instructions, as it describes them anew
each time; finding the row takes 15,000. So one row is read as one value: numbers in JSON, then
bytes one after the other, whose lengths are among the numbers.

What is found here is sound. For a row that holds anything else than what a release writes, a
value of another type or of somebody else, there is no line, or nothing is read from it: `row`
reads it column by column and says what is wrong.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

import msgspec

from gatehound.stores.record import HASH_BYTES, Record, Security, Seen, methods_from_bits
from gatehound.stores.sqlite.row import Row, roles_from, to_text, whose

_NULL: Final = -1  # stands for a span that is not there
_NUMBERS: Final = (
    *("created", "authenticated", "expires", "idle", "flags", "aal", "methods", "rotated"),
    *("last_seen", "place", "confirmed", "whose", f"ifnull(grace, {_NULL})"),
)
_BYTES: Final = ("secret", "agent", "address", "pair1", "pair2", "user_id")
_TEXTS: Final = ("country", "roles")
_MEASURED: Final = ("agent", "address", "pair1", "pair2", "previous", "user_id", "country")

# In SQLite's order a number is less than a text, and a text less than a blob.
_SOUND: Final = (
    f"max({', '.join(_NUMBERS)}) < ''",
    # No number with a fraction is among them; sixteenths, so that their sum is no overflow.
    f"typeof({' + '.join(f'{name} / 16' for name in _NUMBERS)}) = 'integer'",
    f"length(secret) = {HASH_BYTES}",
    *(f"{name} >= ''" for name in _TEXTS),
    *(f"{name} < x''" for name in _TEXTS),
    *(f"{name} >= x''" for name in (*_BYTES, "ifnull(previous, x'')")),
)
_ALL_NUMBERS: Final = (*_NUMBERS, *(f"length({name})" for name in _MEASURED))
LINE: Final = (
    f"SELECT CAST(printf('[{','.join(['%d'] * len(_ALL_NUMBERS))}]', {', '.join(_ALL_NUMBERS)}) "  # noqa: S608 - constants, no value of anybody
    "|| secret || agent || address || pair1 || pair2 || ifnull(previous, x'') || user_id "
    "|| country || roles AS BLOB) "
    f"FROM sessions WHERE alias = ? AND sid = ? AND {' AND '.join(_SOUND)}"
)
_read_numbers: Final = msgspec.json.Decoder(tuple[int, ...]).decode


# Until somebody writes a session, it comes back as it was: what was made of it does as well.
@lru_cache(maxsize=1024)
def line_to_row(alias: bytes, sid: bytes, line: bytes) -> Row | None:
    """Read what LINE found; None where it is not what a release wrote."""
    start = line.index(b"]") + 1
    numbers = _read_numbers(line[:start])
    created, authenticated, expires, idle, flags, aal, methods, rotated = numbers[:8]
    last_seen, place, confirmed, mark, grace = numbers[8:13]
    pieces = _pieces(numbers[13:])
    secret, agent, address, first, second, previous, user_id, country = pieces.unpack_from(
        line, start
    )
    if mark != whose(alias, sid, user_id):
        return None
    security = Security(  # by position, as in `record`
        sid,
        secret,
        created,
        authenticated,
        expires,
        idle,
        flags,
        aal,
        methods_from_bits(methods),
        rotated,
    )
    try:
        seen = Seen(last_seen, address, country.decode(), place, agent, (first, second))
        roles = roles_from(line[start + pieces.size :].decode())
        record = Record(alias, to_text(user_id), roles, security, seen)
    except (TypeError, ValueError):
        return None
    return Row(record, previous or None, confirmed, None if grace == _NULL else grace)


@lru_cache(maxsize=256)
def _pieces(lengths: tuple[int, ...]) -> struct.Struct:
    return struct.Struct("".join(f"{length}s" for length in (HASH_BYTES, *lengths)))
