"""The modes: which headers answer the question, and in which order they are believed.

What belongs here: one function for each way to find the client behind a trusted peer, and
the table `MODES`. A new mode is a function and a row; a preset is a row with other options.
Each function is called only after the peer was found to be trusted, with the header lines
of its row, names in lower case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gatehound.clientip.cloudflare import WORKER
from gatehound.clientip.grammar import BLANKS, MAX_ELEMENT, UNIX, parse_address, parse_hop
from gatehound.clientip.trust import TrustSet, cloudflare_set
from gatehound.clientip.walk import FORWARDED, X_FORWARDED_FOR, Found, Pairs, Step, walk

Steps = list[Step] | None


@dataclass(frozen=True, slots=True)
class Rules:
    """Checked options. `peers` may speak to us; `own` are the operator's proxies alone.

    They differ where a mode trusts Cloudflare by itself: there `own` holds no address of
    Cloudflare's, so that the walk stops at the edge and proves it.
    """

    mode: str
    peers: TrustSet
    own: TrustSet
    hops: int = 0
    peer_port: bool = False
    farthest: bool = True


Find = Callable[[Rules, bytes, Pairs, Steps], Found]


@dataclass(frozen=True, slots=True)
class Mode:
    """One row: the headers it may read, how it finds the client, what it trusts by itself."""

    names: tuple[str, ...]
    find: Find
    cloudflare: bool = False


def by_x_forwarded_for(rules: Rules, _peer: bytes, pairs: Pairs, steps: Steps) -> Found:
    """Walk X-Forwarded-For, or count in it where `hops` is set."""
    found = walk(X_FORWARDED_FOR, pairs, rules.peers, hops=rules.hops, steps=steps)
    return found if found.reason != "all-trusted" else _all_trusted(rules, found)


def by_forwarded(rules: Rules, _peer: bytes, pairs: Pairs, steps: Steps) -> Found:
    """Walk Forwarded (RFC 7239)."""
    return _all_trusted(rules, walk(FORWARDED, pairs, rules.peers, steps=steps))


def by_x_real_ip(rules: Rules, _peer: bytes, pairs: Pairs, steps: Steps) -> Found:
    """Take the one X-Real-IP; a trusted value is one more proxy, as in a chain."""
    found = _single("x-real-ip", pairs, parse_hop, steps)
    if found.reason != "client":
        return found
    packed = found.packed or UNIX
    if packed in rules.peers:
        return _all_trusted(rules, found._replace(reason="all-trusted", packed=packed or None))
    return found if packed else found._replace(reason="malformed-hop", packed=None)


def by_cloudflare(rules: Rules, peer: bytes, pairs: Pairs, steps: Steps) -> Found:
    """Take CF-Connecting-IP, where the peer or the chain of own proxies proves Cloudflare.

    The own proxies must append to X-Forwarded-For, or the client writes the proof.
    No fall-back to X-Forwarded-For, which a Worker can write, nor to True-Client-IP, which
    the client can.
    """
    edge = cloudflare_set()
    if peer in edge:
        return _connecting_ip(pairs, steps)
    found = walk(X_FORWARDED_FOR, pairs, rules.own, steps=steps)
    if found.reason == "client":
        if found.packed and found.packed in edge:
            return _connecting_ip(pairs, steps, proof=found.read)
        return found._replace(reason="bypassed-cloudflare")
    return _all_trusted(rules, found)


def by_auto(rules: Rules, peer: bytes, pairs: Pairs, steps: Steps) -> Found:
    """Take CF-Connecting-IP behind a proven edge, else X-Forwarded-For and Forwarded.

    The two chains must agree before anything is concluded from either, Cloudflare's edge
    included: a proxy writes one of them and passes the other on as the client sent it, so
    a client could otherwise forge the edge and CF-Connecting-IP with it.
    Single-value headers are never guessed.
    """
    edge = cloudflare_set()
    if peer in edge:
        return _connecting_ip(pairs, steps)
    found = _agreed(
        walk(X_FORWARDED_FOR, pairs, rules.own, steps=steps),
        walk(FORWARDED, pairs, rules.own, steps=steps),
    )
    if found.reason == "client" and found.packed and found.packed in edge:
        return _connecting_ip(pairs, steps, proof=found.read)
    return _all_trusted(rules, found)


def by_peer(_rules: Rules, peer: bytes, _pairs: Pairs, _steps: Steps) -> Found:
    """Take the socket peer; no header is read."""
    return Found("direct", peer, "peer") if peer else Found("unix-peer", None, "peer")


def _agreed(one: Found, two: Found) -> Found:
    if two.reason == "header-missing":
        return one
    if one.reason == "header-missing":
        return two
    read = (*one.read, *two.read)
    if (one.reason, one.packed) == (two.reason, two.packed):
        return one._replace(read=read)
    return Found("headers-disagree", None, f"{one.source} {two.source}", read)


def _all_trusted(rules: Rules, found: Found) -> Found:
    """Drop the farthest hop where the operator prefers no answer to that one."""
    if found.reason == "all-trusted" and not rules.farthest:
        return found._replace(packed=None)
    return found


def _connecting_ip(pairs: Pairs, steps: Steps, proof: Pairs = ()) -> Found:
    """Read what the edge says. Cloudflare never sends a port, so a port is a forgery.

    A class E value is Pseudo IPv4 (a v4 stand-in for a v6 client): the real address is then
    in CF-Connecting-IPv6, if the zone sends it.
    """
    found = _single("cf-connecting-ip", pairs, parse_address, steps)
    if found.packed is not None and len(found.packed) == 4 and found.packed[0] >= 240:
        real = _single("cf-connecting-ipv6", pairs, _parse_v6_only, steps)
        if real.reason != "header-missing":
            found = real._replace(read=(*found.read, *real.read))
    return found._replace(read=(*found.read, *proof)) if proof else found


def _parse_v6_only(text: str) -> bytes | None:
    packed = parse_address(text)
    return packed if packed is not None and len(packed) == 16 else None


def _single(name: str, pairs: Pairs, parse: Callable[[str], bytes | None], steps: Steps) -> Found:
    """Read a header that has one value; two lines or a comma cannot be attributed."""
    texts = [value.strip(BLANKS)[: MAX_ELEMENT + 1] for key, value in pairs if key == name]
    read = tuple((name, text) for text in texts[:2])
    if steps is not None:
        steps += (Step(name, text, parse(text), vouched=False) for text in texts[:2])
    if not any(texts):
        return Found("header-missing", None, name, read)
    if len(texts) > 1 or "," in texts[0]:
        return Found("header-repeated", None, name, read)
    packed = parse(texts[0]) if len(texts[0]) <= MAX_ELEMENT else None
    return Found("malformed-hop" if packed is None else "client", packed, name, read)


def find(rules: Rules, peer: bytes | None, pairs: Pairs, steps: Steps = None) -> Found:
    """Answer for a peer that may read headers; `gate` has let it through."""
    return MODES[rules.mode].find(rules, peer or UNIX, pairs, steps)


def gate(rules: Rules, peer: bytes | None) -> Found | None:
    """Answer for a peer that ends everything, before any header is looked up."""
    if peer is None:
        return Found("malformed-peer", None, "peer")
    if rules.mode == "remote-addr":
        return by_peer(rules, peer, (), None)
    if peer in rules.peers:
        return None
    if peer:
        return Found("peer-not-trusted", peer, "peer")
    return Found("unix-peer-not-trusted", None, "peer")


MODES: Final[Mapping[str, Mode]] = {
    "remote-addr": Mode((), by_peer),
    "auto": Mode(
        ("x-forwarded-for", "forwarded", "cf-connecting-ip", "cf-connecting-ipv6"),
        by_auto,
        cloudflare=True,
    ),
    "cloudflare": Mode(
        ("cf-connecting-ip", "cf-connecting-ipv6", "x-forwarded-for"),
        by_cloudflare,
        cloudflare=True,
    ),
    "x-forwarded-for": Mode(("x-forwarded-for",), by_x_forwarded_for),
    "x-real-ip": Mode(("x-real-ip",), by_x_real_ip),
    "forwarded": Mode(("forwarded",), by_forwarded),
}


def flags_of(rules: Rules, found: Found) -> frozenset[str]:
    """Name what a reader should know of an address beyond its value."""
    packed = found.packed
    flags = {"all-trusted"} if found.reason == "all-trusted" else set()
    if found.source == "cf-connecting-ipv6":
        flags.add("pseudo-ipv4")
    if packed is None:
        return frozenset(flags)
    if len(packed) == 4 and packed[0] >= 240:
        flags.add("pseudo-ipv4")
    if packed == WORKER:
        flags.add("worker")
    if packed in rules.peers:
        if found.reason != "all-trusted":
            flags.add("trusted-range")
    elif packed in cloudflare_set():
        flags.add("known-provider-range")
    return frozenset(flags)
