"""Walk a chain of hops from its right end to the first one that nobody vouches for.

What belongs here: the walk that X-Forwarded-For and Forwarded share, and its bounds. What
must not: which header is read (modes.py) and how one element is written (grammar.py,
forwarded.py).

The right end was written by the trusted peer. Each hop that is trusted vouches for the
one to its left; the first that is not is the client, and all further left is its own text.
MUST NOT skip a hop that does not parse, nor go on in another header: an attacker cannot
cause it, because his text stands left of his own address.
"""

# Annotations are no texts here: NamedTuple compiles those, which is a tenth of the import.

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from socket import AF_INET, AF_INET6, inet_pton
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
"""Header text that decided: names with their elements, the deciding one leftmost."""


class Found(NamedTuple):
    """What a mode found: `packed` is None where the client is unresolved.

    `seen` is enough to tell how it came about, and holds nothing that a client wrote left of
    its own address. `at` counts the hops from the right; 0 where there is no chain. `text` is
    the address as written, where that is how ipaddress writes it; "" where nobody looked.
    """

    reason: str
    packed: bytes | None
    source: str
    seen: Seen = ()
    at: int = 0
    text: str = ""


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


_XFF: Final = X_FORWARDED_FOR.text
_SOURCES: Final = BY_LIST.sources
_new: Final = tuple.__new__  # a NamedTuple's own takes twice as long, on every request


def walk(chain: Chain, lines: Sequence[str], trust: TrustSet, hops: int = 0) -> Found:
    """Find the client in `chain`, or the reason why not.

    `hops` above 0 selects that entry from the right instead of the first untrusted one;
    the skipped ones must still be addresses, or the order is doubtful.
    """
    if not lines:
        return Found("header-missing", None, chain.name.text)
    line = lines[0] if len(lines) == 1 else ",".join(lines)
    if len(line) > MAX_SCAN:  # the piece that is cut in two is never read, only marked
        line = CUT + line[-MAX_SCAN:]
    parse, covers = chain.parse, trust.covers
    seen: list[str] = []
    packed: bytes | None = None
    for text in chain.split(line):
        seen.append(text)
        packed = parse(text)
        if packed is None:
            break
        if hops:
            if len(seen) < hops and (packed or trust.unix):
                continue
        elif covers(packed):
            if len(seen) <= MAX_TRUSTED_HOPS:
                continue
            return _found(chain, "too-many-hops", None, seen)
        break
    else:
        if hops:
            return _found(chain, "too-few-hops", None, seen)
        return _found(chain, "all-trusted", packed or None, seen)
    if packed:
        return _found(chain, "client", packed, seen)
    return _refused(chain, line, seen)


def _found(chain: Chain, reason: str, packed: bytes | None, seen: list[str]) -> Found:
    """Make the answer; `seen` was collected from the right."""
    seen.reverse()
    at = len(seen)
    return Found(reason, packed, chain.sources[at], ((chain.name.text, seen),), at)


def _refused(chain: Chain, line: str, seen: list[str]) -> Found:
    """Say why the walk ended at a hop that is no address; UNIX is none either."""
    if not line.strip(_SEPARATORS):
        return Found("header-missing", None, chain.name.text, ((chain.name.text, ("",)),))
    reason = "malformed-hop"
    if seen[-1].startswith(CUT):
        reason = "header-too-long"
        seen[-1] = ""
    return _found(chain, reason, None, seen)


def walk_plain(lines: Sequence[str], trust: TrustSet) -> Found:
    """Walk X-Forwarded-For; the common case, one line of plain addresses, without a detour.

    Whatever is not as plain as that is left to `walk`, which answers alike where both can:
    a property test compares the two. Counted by callgrind for three hops, it takes two thirds
    of the instructions.
    """
    if len(lines) == 1 and len(lines[0]) <= MAX_SCAN:
        pieces = lines[0].rsplit(",", MAX_TRUSTED_HOPS)
        octets = trust.octets
        at = 0
        for text in reversed(pieces):
            at += 1
            text = text.strip(BLANKS)
            try:
                if ":" in text:
                    packed = inet_pton(AF_INET6, text)
                    trusted: bool | None = trust.covers(packed)
                    usual = 0 < packed[0] < 255
                    text = ""
                else:
                    packed = inet_pton(AF_INET, text)  # strict: the text is that of ipaddress
                    first = packed[0]
                    trusted = octets[first]
                    if trusted is None:
                        trusted = packed <= trust.ends4[bisect_right(trust.starts4, packed)]
                    usual = 0 < first < 224
            except (OSError, ValueError):
                break
            if not usual:
                break
            if trusted:
                continue
            seen = pieces if at == len(pieces) else pieces[-at:]
            return _new(Found, ("client", packed, _SOURCES[at], ((_XFF, seen),), at, text))
    return walk(BY_LIST, lines, trust)
