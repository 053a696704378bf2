"""The modes: which headers answer the question, and in which order they are believed.

What belongs here: one function for each way to find the client behind a trusted peer, and
the table `MODES`. A new mode is a function and a row; a preset is data (presets.py).
Each function is called only after the peer was found to be trusted. `read(given, name)`
returns the lines of a header (lines.py).
"""

# Annotations are no texts here: NamedTuple compiles those, which is a tenth of the import.

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, final

from gatehound.clientip.grammar import BLANKS, MAX_ELEMENT, UNIX, parse_address, parse_hop
from gatehound.clientip.lines import (
    CF_CONNECTING_IP,
    CF_CONNECTING_IPV6,
    FORWARDED,
    X_FORWARDED_FOR,
    Name,
    Read,
)
from gatehound.clientip.trust import TrustSet
from gatehound.clientip.walk import BY_ELEMENT, BY_LIST, Found, Seen, walk, walk_plain


@final
class Secret:
    """The second factor of a shared edge: a header, and the values that are accepted.

    No tuple: what prints those, such as rich with local variables, would print the values.
    """

    __slots__ = ("name", "same", "values")

    def __init__(
        self, name: Name, values: tuple[bytes, ...], same: Callable[[bytes, bytes], bool]
    ) -> None:
        self.name: Final = name
        self.values: Final = values
        self.same: Final = same

    def __repr__(self) -> str:
        """Show no value."""
        return f"Secret({self.name.text!r})"


@final
class Rules:
    """Checked options. `peers` may speak to us; `own` are the operator's proxies alone.

    They differ where a mode trusts Cloudflare by itself: there `own` holds no address of
    Cloudflare's (`edge`), so that the walk stops at the edge and proves it. `declares` tells
    that `scheme` or `host` is set; `mode` is the one behind a preset.

    Written out as Name is, and for the same reasons: every request reads most of these.
    """

    __slots__ = (
        *("declares", "edge", "edge_published", "farthest", "find", "header", "headerless"),
        *("hops", "host", "mode", "own", "peer_port", "peers", "preset", "scheme", "secret"),
    )

    def __init__(
        self,
        *,
        find: "Find",
        peers: TrustSet,
        own: TrustSet,
        edge: TrustSet,
        edge_published: str,
        mode: str,
        preset: str,
        header: Name,
        hops: int,
        peer_port: bool,
        farthest: bool,
        headerless: TrustSet | None,
        secret: Secret | None,
        scheme: Name | None,
        host: Name | None,
    ) -> None:
        self.find: Final = find
        self.peers: Final = peers
        self.own: Final = own
        self.edge: Final = edge
        self.edge_published: Final = edge_published
        self.mode: Final = mode
        self.preset: Final = preset
        self.header: Final = header
        self.hops: Final = hops
        self.peer_port: Final = peer_port
        self.farthest: Final = farthest
        self.headerless: Final = headerless
        self.secret: Final = secret
        self.scheme: Final = scheme
        self.host: Final = host
        self.declares: Final = scheme is not None or host is not None


Find = Callable[[Rules, bytes, Any, Read], Found]


def by_x_forwarded_for(rules: Rules, _peer: bytes, given: Any, read: Read) -> Found:
    """Walk X-Forwarded-For, or count in it where `hops` is set."""
    lines = read(given, X_FORWARDED_FOR)
    if rules.hops:
        return walk(BY_LIST, lines, rules.peers, rules.hops)
    found = walk_plain(lines, rules.peers)
    return found if found.reason == "client" else _all_trusted(rules, found)


def by_one_line(rules: Rules, peer: bytes, given: Any, read: Read) -> Found:
    """Walk X-Forwarded-For where it is one line: the provider adds to the first of several."""
    lines = read(given, X_FORWARDED_FOR)
    if len(lines) > 1:
        seen = _clipped(X_FORWARDED_FOR, lines)
        return Found("header-repeated", None, X_FORWARDED_FOR.text, seen)
    return by_x_forwarded_for(rules, peer, given, read)


def by_forwarded(rules: Rules, _peer: bytes, given: Any, read: Read) -> Found:
    """Walk Forwarded (RFC 7239)."""
    return _all_trusted(rules, walk(BY_ELEMENT, read(given, FORWARDED), rules.peers))


def by_header(rules: Rules, _peer: bytes, given: Any, read: Read) -> Found:
    """Take the one value of a header; a trusted one is one more proxy, as in a chain."""
    found = _single(rules.header, given, read, parse_hop)
    if found.reason != "client":
        return found
    packed = found.packed or UNIX
    if rules.peers.covers(packed):
        return _all_trusted(rules, found._replace(reason="all-trusted", packed=packed or None))
    return found if packed else found._replace(reason="malformed-hop", packed=None)


def by_connecting_ip(_rules: Rules, _peer: bytes, given: Any, read: Read) -> Found:
    """Take CF-Connecting-IP from a peer that hands on Cloudflare's own, as cloudflared does."""
    return _connecting_ip(given, read)


def by_cloudflare(rules: Rules, peer: bytes, given: Any, read: Read) -> Found:
    """Take CF-Connecting-IP, where the peer or the chain of own proxies proves Cloudflare.

    The own proxies must append to X-Forwarded-For, or the client writes the proof.
    No fall-back to X-Forwarded-For, which a Worker can write, nor to True-Client-IP, which
    the client can.
    """
    if rules.edge.covers(peer):
        return _connecting_ip(given, read)
    found = walk_plain(read(given, X_FORWARDED_FOR), rules.own)
    if found.reason == "client":
        if found.packed and rules.edge.covers(found.packed):
            return _connecting_ip(given, read, proof=found)
        return found._replace(reason="bypassed-cloudflare")
    return _all_trusted(rules, found)


def by_auto(rules: Rules, peer: bytes, given: Any, read: Read) -> Found:
    """Take CF-Connecting-IP behind a proven edge, else X-Forwarded-For and Forwarded.

    The two chains must agree before anything is concluded from either, Cloudflare's edge
    included: a proxy writes one of them and passes the other on as the client sent it, so
    a client could otherwise forge the edge and CF-Connecting-IP with it. One that comes alone
    is believed, so a proxy that writes none of the two lets a client choose.
    Single-value headers are never guessed.
    """
    if rules.edge.covers(peer):
        return _connecting_ip(given, read)
    found = _agreed(
        walk_plain(read(given, X_FORWARDED_FOR), rules.own),
        walk(BY_ELEMENT, read(given, FORWARDED), rules.own),
    )
    if found.reason == "client" and found.packed and rules.edge.covers(found.packed):
        return _connecting_ip(given, read, proof=found)
    return _all_trusted(rules, found)


def by_peer(_rules: Rules, peer: bytes, _given: Any, _read: Read) -> Found:
    """Take the socket peer; no header is read."""
    return Found("direct", peer, "peer") if peer else Found("unix-peer", None, "peer")


def _agreed(one: Found, two: Found) -> Found:
    if two.reason == "header-missing":
        missing = one.reason == "header-missing"
        return one._replace(source=f"{one.source} {two.source}") if missing else one
    if one.reason == "header-missing":
        return two
    if (one.reason, one.packed) == (two.reason, two.packed):
        return one  # and nothing of the other: who agrees may be a client with a header of its own
    seen = (*one.seen, *two.seen)
    return Found("headers-disagree", None, f"{one.source} {two.source}", seen)


def _all_trusted(rules: Rules, found: Found) -> Found:
    """Drop the farthest hop where the operator prefers no answer to that one."""
    if found.reason == "all-trusted" and not rules.farthest:
        return found._replace(packed=None)
    return found


def _connecting_ip(given: Any, read: Read, proof: Found | None = None) -> Found:
    """Read what the edge says. Cloudflare never sends a port, so a port is a forgery.

    A class E value is Pseudo IPv4 (a v4 stand-in for a v6 client): the real address is then
    in CF-Connecting-IPv6, if the zone sends it.
    """
    found = _single(CF_CONNECTING_IP, given, read, parse_address)
    if found.packed is not None and len(found.packed) == 4 and found.packed[0] >= 240:
        real = _single(CF_CONNECTING_IPV6, given, read, _parse_v6_only)
        if real.reason != "header-missing":
            found = real._replace(seen=(*found.seen, *real.seen))
    if proof is None:
        return found
    # The client stands one hop left of the edge that the chain proves.
    return found._replace(seen=(*proof.seen, *found.seen), at=proof.at + 1)


def _parse_v6_only(text: str) -> bytes | None:
    packed = parse_address(text)
    return packed if packed is not None and len(packed) == 16 else None


def _single(name: Name, given: Any, read: Read, parse: Callable[[str], bytes | None]) -> Found:
    """Read a header that has one value; two lines or a comma cannot be attributed."""
    texts = [value.strip(BLANKS) for value in read(given, name)]
    if not any(texts):
        return Found("header-missing", None, name.text, _clipped(name, texts))
    if len(texts) > 1 or "," in texts[0]:
        return Found("header-repeated", None, name.text, _clipped(name, texts))
    packed = parse(texts[0]) if len(texts[0]) <= MAX_ELEMENT else None
    reason = "malformed-hop" if packed is None else "client"
    return Found(reason, packed, name.text, _clipped(name, texts))


def _clipped(name: Name, texts: list[str]) -> Seen:
    return () if not texts else ((name.text, [text[: MAX_ELEMENT + 1] for text in texts[:2]]),)


def find(rules: Rules, peer: bytes | None, given: Any, read: Read) -> Found:
    """Answer for a peer, which packs to `peer`, and the headers in `given`."""
    if peer is None:
        return Found("malformed-peer", None, "peer")
    if rules.find is by_peer:
        return by_peer(rules, peer, given, read)
    if not rules.peers.covers(peer):
        if peer:
            return Found("peer-not-trusted", peer, "peer")
        return Found("unix-peer-not-trusted", None, "peer")
    if rules.secret is not None:
        lines = read(given, rules.secret.name)
        if not _is_proven(rules.secret, lines):
            return Found("edge-secret-wrong", None, rules.secret.name.text, at=len(lines))
    found = rules.find(rules, peer, given, read)
    headerless = rules.headerless
    came_bare = found.reason == "header-missing" and not found.seen
    if headerless is not None and came_bare and headerless.covers(peer):
        return Found("headerless-peer", peer, "peer")
    return found


def _is_proven(secret: Secret, lines: list[str]) -> bool:
    """Compare in constant time; a header that came twice proves nothing."""
    if len(lines) != 1:
        return False
    line = lines[0].strip(BLANKS).encode("latin-1", "replace")
    matches = [secret.same(line, value) for value in secret.values]  # all of them, in equal time
    return any(matches)


class Mode(NamedTuple):
    """One row: how it finds the client, the headers that it may read, what it trusts."""

    find: Find
    names: tuple[str, ...]
    cloudflare: bool = False


CF_NAMES: Final = ("cf-connecting-ip", "cf-connecting-ipv6")
MODES: Final[Mapping[str, Mode]] = {
    "remote-addr": Mode(by_peer, ()),
    "auto": Mode(by_auto, (*CF_NAMES, "x-forwarded-for", "forwarded"), cloudflare=True),
    "cloudflare": Mode(by_cloudflare, (*CF_NAMES, "x-forwarded-for"), cloudflare=True),
    "x-forwarded-for": Mode(by_x_forwarded_for, ("x-forwarded-for",)),
    "x-real-ip": Mode(by_header, ("x-real-ip",)),
    "forwarded": Mode(by_forwarded, ("forwarded",)),
    "header": Mode(by_header, ()),
}
