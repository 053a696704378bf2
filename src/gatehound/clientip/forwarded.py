"""Take one element off the right end of a Forwarded line (RFC 7239).

The line is read from its end, because only its end is known to be written by a trusted
proxy. A parser that starts at the left honours a quote that the client left open, and so
lets the client swallow what the proxy appended. Inside one element the grammar of
section 4 is kept strictly: `token "=" ( token / quoted-string )`, joined by `;`, no blanks.
"""

from __future__ import annotations

import re
from typing import Final

from gatehound.clientip.grammar import BLANKS, MAX_ELEMENT, parse_node

MAX_PAIRS: Final = 16
"""Pairs in one element: four are registered, so 16 leaves room and bounds the work."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_QUOTED: Final = re.compile(r'(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*')
_ESCAPE: Final = re.compile(r"\\(.)")

Taken = tuple[int, bytes | None]
"""Where the element begins (its comma, or -1) and its address, or None: refused."""


def take_forwarded(line: str, floor: int, end: int) -> Taken:
    """Take the element that ends at `end`; look at nothing left of `floor`."""
    low, pairs = take_pairs(line, floor, end)
    node = pairs.get("for") if pairs else None
    if node is None or len(node) > MAX_ELEMENT:
        return low, None
    return low, parse_node(node)


def take_pairs(line: str, floor: int, end: int) -> tuple[int, dict[str, str] | None]:
    """Take the element as pairs, names in lower case; None for bad syntax or a repeated name.

    With None the position is the leftmost character that was needed to refuse it.
    """
    pairs: dict[str, str] = {}
    end = _skip_blanks(line, floor, end)
    for _ in range(MAX_PAIRS):
        low, name, value = _take_pair(line, floor, end)
        last = low < floor or line[low] == ","
        if last:
            name = name.lstrip(BLANKS)
        if name or value is not None:
            name = name.lower()
            if value is None or not _TOKEN.fullmatch(name) or name in pairs:
                return low, None
            pairs[name] = value
        if last:
            return low, pairs
        end = low
    return end, None


def _take_pair(line: str, floor: int, end: int) -> tuple[int, str, str | None]:
    """Split the pair that ends at `end` into its delimiter, its name and its value."""
    quoted = end > floor and line[end - 1] == '"'
    if quoted:
        start = _opening_quote(line, floor, end - 1)
        content = line[start + 1 : end - 1]
        value = _ESCAPE.sub(r"\1", content) if _QUOTED.fullmatch(content) else None
    else:
        start = max(floor - 1, *(line.rfind(mark, floor, end) for mark in "=;,")) + 1
        content = line[start:end]
        value = content if _TOKEN.fullmatch(content) else None
    if start <= floor or line[start - 1] != "=":
        if quoted:  # nothing to name: refused, from the last comma on
            return line.rfind(",", floor, end), '"', None
        return start - 1 if start > floor else -1, content, None
    low = max(line.rfind(mark, floor, start - 1) for mark in ";,")
    return low, line[low + 1 if low >= 0 else floor : start - 1], value


def _opening_quote(line: str, floor: int, close: int) -> int:
    """Find the quote that `close` ends; a quote after a backslash is content."""
    at = line.rfind('"', floor, close)
    while at > floor and line[at - 1] == "\\":
        at = line.rfind('"', floor, at)
    return at


def _skip_blanks(line: str, floor: int, end: int) -> int:
    while end > floor and line[end - 1] in BLANKS:
        end -= 1
    return end
