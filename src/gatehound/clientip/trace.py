"""Explain an answer to a person: the same walk again, this time with every step noted.

Texts come from the network: each is clipped, and escaped to printable ASCII, so that a
terminal, a log or a page that escapes HTML shows what was sent and obeys none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from gatehound.clientip.grammar import BLANKS
from gatehound.clientip.modes import MODES, Rules, find
from gatehound.clientip.trust import cloudflare_set
from gatehound.clientip.walk import Found, Step

MAX_TEXT: Final = 64

_MEANING: Final[Mapping[str, str]] = {
    "client": "the address that the trusted proxies vouch for",
    "direct": "mode remote-addr takes the socket peer and reads no header",
    "peer-not-trusted": "the peer is not in trusted_proxies, so no header was looked up; "
    "if it is your proxy, add it",
    "all-trusted": "every hop is in trusted_proxies, so the client is one of them or hides "
    "behind one",
    "bypassed-cloudflare": "the request reached your proxy without passing Cloudflare; "
    "CF-Connecting-IP was not believed",
    "header-missing": "the trusted peer sent no such header; set it in the proxy",
    "malformed-hop": "a hop that a trusted proxy vouches for is not an address; what stands "
    "left of it cannot be believed",
    "malformed-peer": "the server reports a peer that is not an address; if it has the form "
    "address:port, set peer_port=True",
    "header-repeated": "a header with one value came more than once; make the proxy overwrite it",
    "headers-disagree": "X-Forwarded-For and Forwarded name different clients; remove the one "
    "that your proxy does not write, or choose its mode",
    "header-too-long": "the trusted end of the header is over 8192 characters",
    "too-few-hops": "the header has fewer entries than hops; lower hops, or find out who came "
    "past a proxy",
    "too-many-hops": "more than 32 trusted hops",
    "unix-peer": "the peer is a unix socket, which has no address; choose the mode of the "
    "header that your proxy sets",
    "unix-peer-not-trusted": "the peer is a unix socket; add 'unix' to trusted_proxies if only "
    "your proxy can open it",
}
"""Each reason in words, with what to do about it."""

_ADVICE: Final[Mapping[str, str]] = {
    "known-provider-range": "the address is an edge of Cloudflare's; add 'cloudflare' to "
    "trusted_proxies, or choose mode 'cloudflare'",
    "trusted-range": "the address is in trusted_proxies all the same",
    "worker": "a Cloudflare Worker asked; anyone can rent one",
    "pseudo-ipv4": "Cloudflare's Pseudo IPv4 stands for a v6 client here",
}


def explain(
    rules: Rules, given: str | None, peer: bytes | None, found: Found, flags: frozenset[str]
) -> tuple[str, ...]:
    """Return the lines of the trace: the peer, each hop, the answer, and what to do."""
    steps: list[Step] = []
    if peer is not None and peer in rules.peers and rules.mode != "remote-addr":
        find(rules, peer, found.read, steps)
    answer = "unresolved" if found.packed is None else str(ip_address(found.packed))
    return (
        f"mode {rules.mode}",
        f"peer {clip(given)}: {_peer_verdict(rules, peer)}",
        *(f"{s.where} {clip(s.text.strip(BLANKS))}: {_verdict(rules, s)}" for s in steps),
        f"answer {answer}: {found.reason}, from {found.source}: {_MEANING[found.reason]}",
        *(f"{flag}: {_ADVICE[flag]}" for flag in sorted(flags) if flag in _ADVICE),
    )


def clip(given: object) -> str:
    """Quote a text from the network for people: at most 64 characters of it, all ASCII."""
    if isinstance(given, str) and len(given) > MAX_TEXT:
        return f"{given[:MAX_TEXT]!a}..."
    return ascii(given)


def _peer_verdict(rules: Rules, peer: bytes | None) -> str:
    if peer is None:
        return "not an address"
    name = "unix socket" if not peer else "address"
    if rules.mode == "remote-addr":
        return name
    entry = rules.peers.entry_of(peer)
    return f"trusted by {entry}" if entry else f"{name}, not trusted"


def _verdict(rules: Rules, step: Step) -> str:
    if step.packed is None:
        return "not an address"
    if step.vouched:
        entry = rules.own.entry_of(step.packed)
        return f"trusted by {entry}" if entry and not rules.hops else "skipped, by count"
    if MODES[rules.mode].cloudflare and step.packed in cloudflare_set():
        return "Cloudflare's edge"
    single = step.where in MODES[rules.mode].names  # a chain's step carries an index
    return "an address" if single else "not trusted"
