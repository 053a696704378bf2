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

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from gatehound.clientip.forwarded import parse_element, split_elements
from gatehound.clientip.grammar import BLANKS, CUT, parse_listed
from gatehound.clientip.lines import FORWARDED, X_FORWARDED_FOR, Name
from gatehound.clientip.trust import TrustSet

MAX_SCAN: Final = 8192
"""Characters read from the right end: node and nginx refuse longer header blocks (16 and
8 KiB). Length to the left of the client is never counted, or a client could hide by sending
more text."""

MAX_TRUSTED_HOPS: Final = 32
"""Trusted hops in one chain; the longest seen in the field is 6."""

_SEPARATORS: Final = BLANKS + ","

Seen = tuple[tuple[str, Sequence[str]], ...]
"""Header text that decided: names with their elements from the right, the deciding one last."""


class Found(NamedTuple):
    """What a mode found: `packed` is None where the client is unresolved.

    `seen` is enough to tell how it came about, and holds nothing that a client wrote left of
    its own address. `at` counts the hops from the right; 0 where there is no chain.
    """

    reason: str
    packed: bytes | None
    source: str
    seen: Seen = ()
    at: int = 0


class Chain(NamedTuple):
    """A header that holds a chain: how its text is split from the right, and an element read."""

    name: Name
    split: Callable[[str], Iterable[str]]
    parse: Callable[[str], bytes | None]
    sources: tuple[str, ...]


def split_list(line: str) -> Iterable[str]:
    """Split X-Forwarded-For from the right; on commas only, quotes are never honoured."""
    return reversed(line.rsplit(",", MAX_TRUSTED_HOPS + 1))


def _sources(name: str, suffix: str = "") -> tuple[str, ...]:
    return tuple(f"{name}[-{at}]{suffix}" for at in range(MAX_TRUSTED_HOPS + 3))


BY_LIST: Final = Chain(X_FORWARDED_FOR, split_list, parse_listed, _sources("x-forwarded-for"))
BY_ELEMENT: Final = Chain(FORWARDED, split_elements, parse_element, _sources("forwarded", ".for"))
CHAINS: Final = {chain.name.text: chain for chain in (BY_LIST, BY_ELEMENT)}


def walk(chain: Chain, lines: Sequence[str], trust: TrustSet, hops: int = 0) -> Found:
    """Find the client in `chain`, or the reason why not.

    `hops` above 0 selects that entry from the right instead of the first untrusted one;
    the skipped ones must still be addresses, or the order is doubtful.
    """
    name, split, parse, sources = chain
    if not lines:
        return Found("header-missing", None, name.text)
    line = lines[0] if len(lines) == 1 else ",".join(lines)
    if len(line) > MAX_SCAN:  # the piece that is cut in two is never read, only marked
        line = CUT + line[-MAX_SCAN:]
    covers = trust.covers
    seen: list[str] = []
    at = 0
    packed: bytes | None = None
    for text in split(line):
        at += 1
        seen.append(text)
        packed = parse(text)
        if packed is None:
            break
        if hops:
            if at < hops and (packed or trust.unix):
                continue
        elif covers(packed):
            if at <= MAX_TRUSTED_HOPS:
                continue
            return Found("too-many-hops", None, sources[at], ((name.text, seen),), at)
        break
    else:
        if hops:
            return Found("too-few-hops", None, sources[at], ((name.text, seen),), at)
        return Found("all-trusted", packed or None, sources[at], ((name.text, seen),), at)
    if packed:
        return Found("client", packed, sources[at], ((name.text, seen),), at)
    return _refused(chain, line, seen)


def _refused(chain: Chain, line: str, seen: list[str]) -> Found:
    """Say why the walk ended at a hop that is no address; UNIX is none either."""
    name, at = chain.name.text, len(seen)
    if not line.strip(_SEPARATORS):
        return Found("header-missing", None, name, ((name, ("",)),))
    reason = "malformed-hop"
    if seen[-1].startswith(CUT):
        reason = "header-too-long"
        seen[-1] = ""
    return Found(reason, None, chain.sources[at], ((name, seen),), at)
