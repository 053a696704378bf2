"""Split a Forwarded header (RFC 7239) from its right end, and read one element of it.

The line is split from its end, because only its end is known to be written by a trusted
proxy. A parser that starts at the left honours a quote that the client left open, and so
lets the client swallow what the proxy appended. Inside one element the grammar of
section 4 is kept strictly: `token "=" ( token / quoted-string )`, joined by `;`, no blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gatehound.clientip.grammar import BLANKS, CUT, MAX_ELEMENT, parse_node

MAX_LENGTH: Final = 1024
"""Characters in one element; the longest legal host has 253, and three of the four have less."""

MAX_PAIRS: Final = 16
"""Pairs in one element: four are registered, so 16 leaves room and bounds the work."""

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*)"'
_PAIR: Final = re.compile(rf"(?:({_WORD})=(?:({_WORD})|{_QUOTED}))?(;|\Z)")
_ESCAPE: Final = re.compile(r"\\(.)")


def split_elements(line: str) -> Iterator[str]:
    """Yield the elements from the right; a comma inside a quoted text does not split.

    The quote that opens is searched from the one that closes: in what a proxy wrote, the
    quotes between the two have a backslash before them.
    """
    end = at = len(line)
    comma = line.rfind(",")
    while True:
        quote = line.rfind('"', comma + 1, at)
        if quote >= 0 and end - quote > MAX_LENGTH:
            yield CUT + line[quote:end]  # nobody writes that: refused, and nothing left of it read
            return
        if quote >= 0:
            # Where nothing opens it, the piece ends at its comma and is refused by its grammar.
            opening = _opening(line, quote)
            at = opening if opening >= 0 else comma + 1
            if comma >= at:
                comma = line.rfind(",", 0, at)
            continue
        yield line[comma + 1 : end]
        if comma < 0:
            return
        end = at = comma
        comma = line.rfind(",", 0, at)


def _opening(line: str, close: int) -> int:
    """Find the quote that `close` ends, -1 without one; after a backslash it is content."""
    at = line.rfind('"', 0, close)
    while at > 0 and line[at - 1] == "\\":
        at = line.rfind('"', 0, at)
    return at


def read_pairs(text: str) -> dict[str, str] | None:
    """Read one element as pairs, names in lower case; None for bad syntax or a repeated name."""
    text = text.strip(BLANKS)
    if len(text) > MAX_LENGTH:
        return None
    pairs: dict[str, str] = {}
    at = 0
    for _ in range(MAX_PAIRS):
        found = _PAIR.match(text, at)
        if found is None:
            return None
        name, token, quoted, end = found.groups()
        if name is not None:
            name = name.lower()
            if name in pairs:
                return None
            pairs[name] = token if token is not None else _ESCAPE.sub(r"\1", quoted)
        if not end:
            return pairs
        at = found.end()
    return None


def parse_element(text: str) -> bytes | None:
    """Parse the `for` of one element; None where it has none, or none that is an address."""
    pairs = read_pairs(text)
    node = pairs.get("for") if pairs else None
    return parse_node(node) if node is not None and len(node) <= MAX_ELEMENT else None
