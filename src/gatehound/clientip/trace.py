"""Explain an answer to a person, step by step, from the text that decided.

Texts come from the network: each is clipped, and escaped to printable ASCII, so that a
terminal, a log or a page that escapes HTML shows what was sent and obeys none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from gatehound.clientip.flags import provider_of
from gatehound.clientip.grammar import BLANKS, parse_hop
from gatehound.clientip.modes import MODES, Rules, by_peer
from gatehound.clientip.walk import CHAINS, Found

if TYPE_CHECKING:
    from gatehound.clientip.answer import ClientIP

MAX_TEXT: Final = 64

MEANING: Final[Mapping[str, str]] = {
    "client": "the address that the trusted proxies vouch for",
    "direct": "mode remote-addr takes the socket peer and reads no header",
    "peer-not-trusted": "the peer is not in trusted_proxies, so no header was looked up; "
    "if it is your proxy, add it",
    "all-trusted": "every hop is in trusted_proxies, so the client is one of them or hides "
    "behind one",
    "bypassed-cloudflare": "the request reached your proxy without passing Cloudflare; "
    "CF-Connecting-IP was not believed",
    "header-missing": "the trusted peer sent no such header, or an empty one; set it in the proxy",
    "malformed-hop": "a hop that a trusted proxy vouches for is not an address; what stands "
    "left of it cannot be believed",
    "malformed-peer": "the server reports a peer that is not an address; if it has the form "
    "address:port, set peer_port=True",
    "header-repeated": "the header came more than once, or with several values, so nobody knows "
    "which is the proxy's; make the proxy overwrite it",
    "headers-disagree": "X-Forwarded-For and Forwarded name different clients; remove the one "
    "that your proxy does not write, or choose its mode",
    "header-too-long": "the trusted end of the header is over 8192 characters",
    "headerless-peer": "the peer sent no such header, and allow_headerless lists it",
    "edge-secret-wrong": "the header of edge_secret does not hold its value, so another "
    "customer of the edge may have sent this; check what your edge adds",
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
    "all-trusted": "if people come from these addresses, list only those of the proxies",
    "peer-rewritten": "the server has put another address in place of the socket's; switch that "
    "off (uvicorn: --no-proxy-headers), so that one place decides",
    "trusted-range": "the address is in trusted_proxies all the same",
    "worker": "a Cloudflare Worker asked; anyone can rent one",
    "pseudo-ipv4": "Cloudflare's Pseudo IPv4 stands for a v6 client here",
}


def explain(
    answer: ClientIP, rules: Rules, given: Any, peer: bytes | None, found: Found
) -> tuple[str, ...]:
    """Return the lines of the trace: the peer, each hop, the answer, and what to do."""
    text = "unresolved" if found.packed is None else str(ip_address(found.packed))
    said = [f"{name} {clip(value)}: said of the same hop" for name, value in _said(answer)]
    return (
        f"mode {rules.preset} ({rules.mode})" if rules.preset else f"mode {rules.mode}",
        f"peer {clip(_peer_text(given))}: {_peer_verdict(rules, peer)}",
        *_steps(rules, found),
        f"answer {text}: {found.reason}, from {found.source}: {_meaning(rules, found)}",
        *said,
        *(f"{flag}: {_advice(flag, rules, found)}" for flag in sorted(answer.flags)),
    )


def _meaning(rules: Rules, found: Found) -> str:
    if rules.hops and found.reason == "client":
        return (
            f"entry {rules.hops} from the right, by count; that the entries behind it are proxies "
            "was not checked"
        )
    return MEANING[found.reason]


def _said(answer: ClientIP) -> Iterator[tuple[str, str]]:
    if answer.scheme is not None:
        yield "scheme", answer.scheme
    if answer.host is not None:
        yield "host", answer.host


def _advice(flag: str, rules: Rules, found: Found) -> str:
    if flag == "known-provider-range" and found.packed:
        name = provider_of(rules, found.packed)
        return (
            f"the address is an edge of {name}, a layer that is not declared; add {name!r} to "
            f"trusted_proxies, or choose mode {name!r}"
        )
    return _ADVICE[flag]


def _steps(rules: Rules, found: Found) -> Iterator[str]:
    """Tell of each element that was read, from the right; the last of a header decided."""
    if found.reason == "edge-secret-wrong":
        lines = {0: "not sent", 1: "does not hold the value"}.get(found.at, "sent more than once")
        yield f"{found.source}: {lines}"
    for name, texts in found.seen:
        chain = CHAINS.get(name)
        for at, text in enumerate(reversed(texts), 1):
            shown = clip(text.strip(BLANKS))
            if chain is None:
                packed = parse_hop(text)
                yield f"{name} {shown}: {'an address' if packed else 'not an address'}"
            else:
                last = at == len(texts) and found.reason != "too-few-hops"
                verdict = _verdict(rules, chain.parse(text), last=last)
                if last and found.reason == "header-too-long":
                    verdict = "longer than can be read"
                yield f"{chain.sources[at]} {shown}: {verdict}"


def clip(given: object) -> str:
    """Quote a text from the network for people: at most 64 characters of it, all ASCII."""
    if isinstance(given, str) and len(given) > MAX_TEXT:
        return f"{given[:MAX_TEXT]!a}..."
    return ascii(given)


def _peer_text(given: Any) -> Any:
    return given[0] if isinstance(given, tuple | list) and given else given


def _peer_verdict(rules: Rules, peer: bytes | None) -> str:
    if peer is None:
        return "not an address"
    name = "unix socket" if not peer else "address"
    if rules.find is by_peer:
        return name
    entry = rules.peers.entry_of(peer)
    return f"trusted by {entry}" if entry else f"{name}, not trusted"


def _verdict(rules: Rules, packed: bytes | None, *, last: bool) -> str:
    if packed is None:
        return "not an address"
    if rules.hops:
        return "taken, by count" if last else "skipped, by count"
    entry = rules.own.entry_of(packed) if packed != b"" or rules.own.unix else ""
    if entry:
        return f"trusted by {entry}"
    if MODES[rules.mode].cloudflare and rules.edge.covers(packed):
        return "Cloudflare's edge"
    return "not trusted"
