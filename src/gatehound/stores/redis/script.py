"""The Lua scripts: loaded from their files, put behind their preludes, named by their digest.

Numbers that Python owns (lifetimes, codes, sizes) are written in front of each script, so that
none is stated twice. Changing a script changes its digest; old and new run side by side.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from typing import Final

import msgspec

from gatehound.model import END_REASONS, EndReason
from gatehound.stores import record, rule

NO_GRACE: Final = 0xFFFF_FFFF  # a privilege rotation, in the 4 bytes of the grace
LINE_LIFE: Final = 401 * rule.DAY  # longer than any session may live
LINGER: Final = rule.DAY  # how long the sweep may notice what ran out
# Sessions in one piece of a directory. Redis keeps up to 128 in compact form (its
# zset-max-listpack-entries), where each takes 35 bytes instead of 140.
PIECE: Final = 100
POINTER: Final = b"\xff"  # stands for a long text; no UTF-8 text begins so

_CONSTANTS: Final = {
    "SID_BYTES": record.SID_BYTES,
    "SECURITY_BYTES": record.SECURITY_BYTES,
    "SEEN_BYTES": record.SEEN_BYTES,
    "NO_GRACE": NO_GRACE,
    "SUPERSEDED_FOR": rule.SUPERSEDED_FOR,
    "UNCONFIRMED_FOR": rule.UNCONFIRMED_FOR,
    "IDLE": EndReason.IDLE.code,
    "ABSOLUTE": EndReason.ABSOLUTE.code,
    "EVERYONE": EndReason.EVERYONE.code,
    "LINGER": LINGER,
    "LINE_LIFE": LINE_LIFE,
    "MAX_DATA_FIELDS": rule.MAX_DATA_FIELDS,
    "MAX_COUNTER_NAMES": rule.MAX_COUNTER_NAMES,
}
_USER_CONSTANTS: Final = {
    "LIMIT_REASON": EndReason.LIMIT.code,
    "REPLACED": EndReason.REPLACED.code,
    "MAX_VALUE_BYTES": record.MAX_VALUE_BYTES,
    "PIECE": PIECE,
    "ANONYMOUS": record.ANONYMOUS,
    "TOMBSTONE_MIN": rule.TOMBSTONE_MIN,
    "TOMBSTONE_MAX": rule.TOMBSTONE_MAX,
    "TOMBSTONES_PER_USER": rule.TOMBSTONES_PER_USER,
    "USER_MEMORY_LIFE": rule.USER_MEMORY_LIFE,
}
# Scripts that need no more than the core: load is on the path of every request.
_LEAN: Final = frozenset({"load", "data", "count", "everyone", "line", "shelf", "living", "last"})


class Script(msgspec.Struct, frozen=True):
    """One script as the server gets it. `digest` is the SHA-1 of `text`, as EVALSHA wants it."""

    name: str
    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """Read a script; work of the first call, a look-up afterwards."""
    parts = [_assign(_CONSTANTS), _reads(), _source("core")]
    if name not in _LEAN:
        parts += [_assign(_USER_CONSTANTS), _reasons(), _source("user")]
    text = "\n".join([*parts, _source(name)])
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _source(name: str) -> str:
    from importlib.resources import files  # scripts are read at their first use

    return files("gatehound.stores.redis").joinpath("scripts", f"{name}.lua").read_text("utf-8")


def _assign(constants: dict[str, int]) -> str:
    return "\n".join(f"local {name} = {value}" for name, value in constants.items())


def _reads() -> str:
    versions = ", ".join(f"[{version}] = true" for version in sorted(record.READS))
    return f"local READS = {{{versions}}}"


def _reasons() -> str:
    names = ", ".join(f"[{reason.code}] = '{reason.value}'" for reason in END_REASONS)
    return f"local REASONS = {{{names}}}\nlocal POINTER = '\\{POINTER[0]}'"
