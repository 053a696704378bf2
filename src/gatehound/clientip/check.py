"""Find what an operator should know: of the options alone, and of one real request.

What belongs here: what is allowed and yet doubtful. What is wrong is refused when the
resolver is built (options.py, entries.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final, Literal

from gatehound.clientip import cloudflare
from gatehound.clientip.answer import Address, ClientIP
from gatehound.clientip.entries import PRIVATE
from gatehound.clientip.flags import edges, is_rewritten, provider_of
from gatehound.clientip.grammar import parse_listed
from gatehound.clientip.lines import FORWARDED, X_FORWARDED_FOR, X_REAL_IP, in_environ, in_scope
from gatehound.clientip.modes import MODES, Rules, by_peer
from gatehound.clientip.presets import PRESETS
from gatehound.clientip.trace import MEANING
from gatehound.clientip.trust import EVERYONE, TrustSet, trust_of

WIDE: Final = {4: 16, 6: 32}
"""A public network of one operator's own proxies is seldom wider than this prefix length."""

SHARED: Final = ("100.64.0.0/10", "169.254.0.0/16", "fe80::/10")
"""RFC 6598: customers behind a carrier's NAT. RFC 3927 and 4291: whoever is on the link."""

FOLDING: Final = ("cheroot", "granian", "pyvoy", "uwsgi", "wsgiserver")
"""WSGI servers that put `X_Forwarded_For` into the place of the real header; see
docs/client-ip.md. `WSGIServer` is that of wsgiref."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an operator should know: how bad, what, and the fix."""

    level: Literal["note", "warning", "danger"]
    code: str
    text: str
    fix: str


_OWN_PEERS: Final = ("all-trusted", "headerless-peer")
"""Reasons of answers that are among the trusted by right."""


_TO_RESOLVE: Final = {
    "all-trusted": "list only proxies in trusted_proxies, or set on_all_trusted to farthest",
    "header-missing": "make the proxy send the header of the mode, or choose the mode of the "
    "header that it sends",
    "malformed-hop": "make each proxy write an address, or take the one that writes anything else "
    "out of trusted_proxies",
    "malformed-peer": "make the server report the peer's address alone, or set peer_port to true "
    "where it reports address:port",
    "header-repeated": "make the proxy overwrite the header instead of adding one",
    "headers-disagree": "remove at the proxy the header that it does not write, or choose the mode "
    "of the one that it does",
    "header-too-long": "make the first proxy that you trust overwrite the header",
    "edge-secret-wrong": "make the edge add the header of edge_secret with its value, and close "
    "every other way to the server",
    "too-few-hops": "lower hops, or close the way past a proxy",
    "too-many-hops": "make the first proxy that you trust overwrite the header",
    "unix-peer": "choose the mode of the header that your proxy sets, and add 'unix' to "
    "trusted_proxies",
    "unix-peer-not-trusted": "add 'unix' to trusted_proxies where only your proxy can open the "
    "socket",
}
"""What to do where there is no address, by reason."""


def findings_of(rules: Rules) -> Iterator[Finding]:
    """Look at the options."""
    yield from _trust_findings(rules)
    uses_edge = MODES[rules.mode].cloudflare or rules.edge.networks[0] in rules.peers.networks
    age = cloudflare.Ranges((), rules.edge_published).age()
    if uses_edge and age > cloudflare.MAX_AGE_DAYS:
        yield Finding(
            "warning",
            "list-stale",
            f"The list of Cloudflare's ranges is of {rules.edge_published}, {age} days old: an "
            "edge that is newer is not recognised.",
            cloudflare.RENEW,
        )
    yield from _edge_findings(rules)
    yield from _header_findings(rules)


def _trust_findings(rules: Rules) -> Iterator[Finding]:
    """Look at who is trusted: nobody, in vain, everybody, or some."""
    if MODES[rules.mode].find is by_peer:
        if rules.peers.listed:
            yield Finding(
                "warning",
                "trust-unused",
                "Mode 'remote-addr' reads no header, so trusted_proxies changes nothing.",
                "choose the mode of the header that your proxy writes, or leave it out",
            )
        return
    if not rules.peers.listed:
        yield Finding(
            "warning",
            "trust-missing",
            "Nobody is trusted, so no header is ever read.",
            "list the addresses that your proxies connect from in trusted_proxies",
        )
    if any(network in rules.peers.networks for network in EVERYONE):
        yield Finding(
            "danger",
            "trust-everyone",
            "Every client can choose the address that you see.",
            "list your proxies in trusted_proxies, and leave out trust_everyone",
        )
        return
    yield from _public_findings(rules)
    yield from _private_findings(rules)


def _public_findings(rules: Rules) -> Iterator[Finding]:
    """Look for networks in which strangers can have an address."""
    known = [n for _, trust in edges() for n in trust.networks]
    left = rules.own.minus(rules.edge).minus(TrustSet([*known, *PRIVATE, *SHARED]))
    wide = [n for n in left.networks if ip_network(n).prefixlen < WIDE[ip_network(n).version]]
    if wide:
        yield Finding(
            "warning",
            "trust-wide",
            f"trusted_proxies covers the public {', '.join(wide[:3])}: every machine in there can "
            "choose the address that you see.",
            "list the addresses that your proxies connect from",
        )
    if rules.own.networks and _meets(rules.own, SHARED):
        yield Finding(
            "warning",
            "trust-shared",
            f"trusted_proxies covers addresses of {', '.join(SHARED)}, which strangers can have: "
            "a carrier's customers, or whoever is on the link.",
            "list the one address of your proxy in there",
        )


def _private_findings(rules: Rules) -> Iterator[Finding]:
    """Look for private networks that hold more than proxies."""
    inside = [n for n in rules.own.networks if trust_of(PRIVATE).covers(_first(n))]
    broad = [n for n in inside if ip_network(n).prefixlen < WIDE[4] and n != PRIVATE[3]]
    if broad:
        yield Finding(
            "note",
            "trust-private",
            f"trusted_proxies covers {', '.join(broad)}: every machine in there can choose the "
            "address that you see.",
            "list the addresses, or the subnet, that your proxies connect from",
        )


def _first(network: str) -> bytes:
    return ip_network(network).network_address.packed


def _meets(trust: TrustSet, networks: tuple[str, ...]) -> bool:
    """Tell whether the two have an address in common."""
    other = trust_of(networks)
    return other.minus(trust).networks != other.networks


def _edge_findings(rules: Rules) -> Iterator[Finding]:
    """Look for networks that the operator shares with other customers of a provider."""
    if rules.find is by_peer or rules.peers.networks[:1] == EVERYONE[:1]:
        return
    shared = [
        preset.title
        for name, preset in PRESETS.items()
        if preset.shared
        and (name == rules.preset or (preset.publishes and _meets(rules.own, preset.networks)))
    ]
    if shared and rules.secret is None:
        yield Finding(
            "warning",
            "edge-shared",
            f"Other customers of {', '.join(shared)} reach your server from the same networks, and "
            "can write the header that names the client.",
            "let your edge add a header with a secret, and name it in edge_secret",
        )
    if rules.mode in ("x-forwarded-for", "forwarded") and _meets(rules.own, rules.edge.networks):
        yield Finding(
            "warning",
            "edge-chain",
            "Cloudflare's networks are trusted in a chain, which a Worker can write, and anyone "
            "rents one.",
            "choose mode 'cloudflare', which reads CF-Connecting-IP",
        )


def _header_findings(rules: Rules) -> Iterator[Finding]:
    if rules.mode == "x-real-ip":
        yield Finding(
            "warning",
            "header-spoofable",
            "Many proxies pass on a client's own X-Real-IP: Caddy, HAProxy, Envoy and Apache do, "
            "and Traefik does behind a trusted peer.",
            "make your proxy overwrite it, or choose mode 'x-forwarded-for'",
        )
    if rules.hops:
        yield Finding(
            "note",
            "hops-counted",
            f"Entry {rules.hops} from the right is the client: who reaches your server past one "
            "of the proxies writes that entry.",
            "close every other way to the server, or list the proxies and leave out hops",
        )
    if rules.headerless is not None:
        yield Finding(
            "note",
            "headerless-allowed",
            "A client that gets its proxy to drop the header is taken for a peer in "
            "allow_headerless.",
            "list the health checkers alone, and trust no address of theirs for anything else",
        )
    if rules.mode == "auto":
        yield Finding(
            "note",
            "mode-auto",
            "Mode 'auto' believes whichever header is there.",
            "name the mode, or the preset of your proxy, once you know it",
        )


def findings_in(rules: Rules, answer: ClientIP, request: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at one request as the server handed it over, and at its answer."""
    told = _forwarding(request)
    peer = answer.peer
    rewritten = is_rewritten(request.get("client")) or "werkzeug.proxy_fix.orig" in request
    if rewritten or _is_told(answer, told):
        yield Finding(
            "danger",
            "peer-rewritten",
            f"The peer {peer} also stands in a header, or has no port: the server, or a "
            "middleware, has put it in place of the socket's, so nobody knows who connects.",
            "run uvicorn with --no-proxy-headers, and leave out ProxyFix and its kin",
        )
    elif told and answer.source == "peer" and answer.reason != "headerless-peer":
        yield Finding(
            "note",
            "header-ignored",
            f"The peer {peer or '(unknown)'} sent {', '.join(sorted(told))}, which was not read: "
            f"{answer.reason}.",
            "if it is a proxy of yours, choose the mode of the header that it writes, and add it "
            "to trusted_proxies",
        )
    yield from _underscore_findings(request)
    address = answer.address
    if address is None:
        yield Finding(
            "warning",
            "unresolved",
            f"The client of this request is unresolved: {answer.reason}, from {answer.source}: "
            f"{MEANING[answer.reason].partition(';')[0]}.",
            _TO_RESOLVE.get(answer.reason, "make the proxy write one address of the client"),
        )
        return
    yield from _client_findings(rules, answer, address)
    if rules.scheme and answer.scheme is None and answer.source not in ("peer", ""):
        yield Finding(
            "note",
            "scheme-unseen",
            f"{rules.scheme.text} says nothing of the client's hop ({answer.source}): it has one "
            "entry, of the proxy that connects to this server.",
            "make each proxy add its entry, or hand on what the first one wrote in Forwarded",
        )


def _is_told(answer: ClientIP, told: Mapping[str, str]) -> bool:
    """Tell whether a peer that nobody trusts stands in a header: who would write itself there?"""
    peer = answer.peer
    if answer.source != "peer" or not isinstance(peer, Address) or peer.is_loopback:
        return False
    entries = ",".join(told.values()).split(",")
    return peer.packed in map(parse_listed, entries)


def _forwarding(request: Mapping[str, Any]) -> dict[str, str]:
    """Return the forwarding headers of a scope or an environ, by name."""
    names = (X_FORWARDED_FOR, FORWARDED, X_REAL_IP)
    headers = request.get("headers")
    if headers is None:
        found = {name.text: in_environ(request, name) for name in names}
    else:
        found = {name.text: in_scope(headers, name) for name in names}
    return {name: ",".join(lines) for name, lines in found.items() if lines}


def _client_findings(rules: Rules, answer: ClientIP, address: Address) -> Iterator[Finding]:
    if "known-provider-range" in answer.flags:
        name = provider_of(rules, address.packed)
        yield Finding(
            "warning",
            "layer-undeclared",
            f"The client {address} is an edge of {name}: a layer is not declared.",
            f"choose mode {name!r}, or add {name!r} to trusted_proxies",
        )
    elif answer.reason not in _OWN_PEERS and trust_of(PRIVATE).covers(address.packed):
        yield Finding(
            "note",
            "client-private",
            f"The client {address} has a private address.",
            "if it is a proxy of yours, add it to trusted_proxies",
        )


def _underscore_findings(request: Mapping[str, Any]) -> Iterator[Finding]:
    """Look for names with underscores (ASGI), or for a server that folds them (WSGI)."""
    names = [name for name, _ in request.get("headers", ()) if b"_" in name]
    software = str(request.get("SERVER_SOFTWARE", "")).lower()
    folds = "uwsgi.version" in request or software.startswith(FOLDING)
    if names or folds:
        told = (
            f"It came with {names[0].decode('latin-1')!r}."
            if names
            else f"This server ({software}) does."
        )
        yield Finding(
            "warning",
            "underscores-folded",
            "WSGI servers can fold X_Forwarded_For, which a client may send, into the real "
            f"header. {told}",
            "make your proxy drop header names with underscores, as nginx does by default",
        )
