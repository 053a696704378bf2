"""Walk a chain of hops from its right end to the first one that nobody vouches for.

What belongs here: the walk that X-Forwarded-For and Forwarded share, and its bounds. What
must not: which header is read (modes.py) and how one element is written (grammar.py,
forwarded.py).

The right end was written by the trusted peer. Each hop that is trusted vouches for the
one to its left; the first that is not is the client, and all further left is its own text.
MUST NOT skip a hop that does not parse, nor go on in another header: an attacker cannot
cause it, because his text stands left of his own address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from gatehound.clientip.forwarded import take_forwarded
from gatehound.clientip.grammar import BLANKS, MAX_ELEMENT, UNIX, parse_hop
from gatehound.clientip.trust import TrustSet

MAX_SCAN: Final = 8192
"""Characters read from the right end: node and nginx refuse longer header blocks (16 and
8 KiB). Length to the left of the client is never counted, or a client could hide by sending
more text."""

MAX_TRUSTED_HOPS: Final = 32
"""Trusted hops in one chain; the longest seen in the field is 6."""

_SEPARATORS: Final = BLANKS + ","

Pairs = Sequence[tuple[str, str]]
"""Header lines as (name in lower case, value), in order."""

Take = Callable[[str, int, int], tuple[int, bytes | None]]
"""Take the element that ends at the third argument, looking at nothing left of the second.

Answers where the element begins (the index of its comma, or -1 at the start of the line)
and its address, `UNIX`, or None for an element that is refused.
"""


class Found(NamedTuple):
    """What a mode found: `packed` is None where the client is unresolved.

    `read` holds the header text that decided, cut off left of the deciding hop: enough to
    run again for `explain()`, and nothing that a client wrote left of its own address.
    """

    reason: str
    packed: bytes | None
    source: str
    read: Pairs = ()


class Step(NamedTuple):
    """One step for `explain()`: where, the text there, its address, and whether reading went on."""

    where: str
    text: str
    packed: bytes | None
    vouched: bool


class Chain(NamedTuple):
    """A header that holds a chain: its name, its grammar, and its sources from the right."""

    name: str
    take: Take
    sources: tuple[str, ...]


def take_hop(line: str, floor: int, end: int) -> tuple[int, bytes | None]:
    """Take one X-Forwarded-For element; commas split, and quotes are never honoured."""
    comma = line.rfind(",", floor, end)
    text = line[comma + 1 or floor : end].strip(BLANKS)
    return comma, parse_hop(text) if len(text) <= MAX_ELEMENT else None


def _sources(name: str, suffix: str = "") -> tuple[str, ...]:
    return tuple(f"{name}[-{at}]{suffix}" for at in range(MAX_TRUSTED_HOPS + 2))


X_FORWARDED_FOR: Final = Chain("x-forwarded-for", take_hop, _sources("x-forwarded-for"))
FORWARDED: Final = Chain("forwarded", take_forwarded, _sources("forwarded", ".for"))


def walk(
    chain: Chain,
    pairs: Pairs,
    trust: TrustSet,
    *,
    hops: int = 0,
    steps: list[Step] | None = None,
) -> Found:
    """Find the client in `chain`, or the reason why not.

    `hops` above 0 selects that entry from the right instead of the first untrusted one;
    the skipped ones must still be addresses, or the order is doubtful.
    `steps` collects what happened, for people; leave it None where nobody reads it.
    """
    name, take, sources = chain
    lines = [value for key, value in pairs if key == name]
    if not lines or (lines[-1][-1:] in _SEPARATORS and _is_blank(lines)):
        return Found("header-missing", None, name, ((name, ""),) if lines else ())
    budget = MAX_SCAN
    at = 0
    packed: bytes | None = None
    for row in range(len(lines) - 1, -1, -1):
        line = lines[row]
        end = len(line)
        while end >= 0:
            at += 1
            floor = end - budget if end > budget else 0
            start, packed = take(line, floor, end)
            cut = start < 0 < floor
            if packed is None or cut:
                vouched = False
            elif hops:
                vouched = at < hops and (packed != UNIX or trust.unix)
            else:
                vouched = packed in trust
            if steps is not None:
                steps.append(Step(sources[at], line[max(start + 1, floor) : end], packed, vouched))
            if not vouched or at > MAX_TRUSTED_HOPS:
                reason = "header-too-long" if cut else _why_stopped(packed, vouched)
                read = _kept(name, lines, row, floor - 1 if cut else start)
                if reason == "client":
                    return Found(reason, packed, sources[at], read)
                return Found(reason, None, sources[at], read if cut else _marked(read, start, row))
            budget -= end - start
            end = start
    reason = "too-few-hops" if hops else "all-trusted"
    return Found(reason, None if hops else packed or None, sources[at], _kept(name, lines, 0, 0))


def _is_blank(lines: Sequence[str]) -> bool:
    """Tell whether nothing but separators was written."""
    return not any(line[-MAX_SCAN:].strip(_SEPARATORS) for line in lines)


def _why_stopped(packed: bytes | None, vouched: bool) -> str:
    if vouched:
        return "too-many-hops"
    return "client" if packed else "malformed-hop"  # UNIX is empty: no client has it for address


def _kept(name: str, lines: Sequence[str], row: int, start: int) -> Pairs:
    """Keep what was read. The comma stays, so that a second run sees an end of element."""
    first = (name, lines[row][start:] if start > 0 else lines[row])
    if row == len(lines) - 1:
        return (first,)
    return (first, *((name, line) for line in lines[row + 1 :]))


def _marked(read: Pairs, start: int, row: int) -> Pairs:
    """Put a mark for the text that was cut off, or an empty hop would look like no header."""
    name, text = read[0]
    if start < 0 and row == 0:
        return read
    return ((name, f"-{text}" if start >= 0 else f"-,{text}"), *read[1:])
