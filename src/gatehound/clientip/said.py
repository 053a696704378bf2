"""Scheme and host as the client's own hop reported them.

Each hop may report how it was asked. Only the report of the hop that named the client is about
the client: a proxy further in says how the proxy before it asked. The report of the Forwarded
header stands in the same element; X-Forwarded-Proto and its kin are lists beside
X-Forwarded-For, where the entry of the same number from the right is of the same hop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from gatehound.clientip.forwarded import read_pairs
from gatehound.clientip.grammar import BLANKS
from gatehound.clientip.lines import FORWARDED, Read
from gatehound.clientip.modes import Rules
from gatehound.clientip.walk import MAX_SCAN, Found

Said = tuple[str | None, str | None]
"""Scheme and host; None for what was not said, or is not one."""

NOTHING: Final[Said] = (None, None)

_SCHEMES: Final = frozenset({"http", "https"})
# RFC 3986 section 3.2.2 without percent-encoding and sub-delims, which no DNS name has.
_HOST: Final = re.compile(
    r"(?:[0-9A-Za-z](?:[0-9A-Za-z._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)


def said_beside(rules: Rules, found: Found, given: Any, read: Read) -> Said:
    """Return what the declared headers say of the client's hop."""
    if found.packed is None or not found.seen:
        return NOTHING
    scheme, host = rules.scheme, rules.host
    return (
        _scheme(_entry(read(given, scheme), found.at)) if scheme is not None else None,
        _host(_entry(read(given, host), found.at)) if host is not None else None,
    )


def said_within(found: Found) -> Said:
    """Return what the Forwarded element that named the client says."""
    if found.packed is None or not found.source.startswith("forwarded["):
        return NOTHING
    texts = next(texts for name, texts in found.seen if name == FORWARDED.text)
    pairs = read_pairs(texts[0]) or {}
    return _scheme(pairs.get("proto", "")), _host(pairs.get("host", ""))


def _entry(lines: Sequence[str], at: int) -> str:
    """Take the entry of that number from the right, "" where there is none; 0: the only one."""
    line = ",".join(lines)[-MAX_SCAN:]
    entries = line.rsplit(",", at or 1)
    if len(entries) < at or (at == 0 and len(entries) > 1):
        return ""
    return entries[-at if at else 0].strip(BLANKS)


def _scheme(text: str) -> str | None:
    low = text.lower()
    return low if low in _SCHEMES else None


def _host(text: str) -> str | None:
    return text if _HOST.fullmatch(text) else None
