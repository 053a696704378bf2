"""How three other libraries are asked the same question, and where their answer differs.

What belongs here: one `Pair` for each library and set of options, with a classifier for each
library. What must not: the classes themselves (peers_rows.py), the tests (test_clientip_peers.py).

A classifier names the class of disagreement of any request, from the elements that decided
and from the two answers; None is a disagreement that no row explains, and a failure.

python-ipware and ProxyFix select by count, so they are compared with `hops`; python-ipware
counts the proxies in the header, which are one fewer. Its defaults, which take the leftmost
public address of thirty headers, are not compared.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from python_ipware import IpWare
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from gatehound.clientip import ClientIP, ClientIPResolver

OWN: Final = ["10.0.0.0/8", "2001:db8:ff::/48"]
HEADER: Final = "x-forwarded-for"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Request(NamedTuple):
    """A socket peer, and the lines of X-Forwarded-For in order."""

    peer: str | None
    lines: tuple[str, ...]


class Case(NamedTuple):
    """A request with both answers.

    `elements` has the last one first; `reach` are those of them that decided our answer.
    """

    request: Request
    ours: ClientIP
    theirs: str | None
    reach: tuple[str, ...]
    elements: tuple[str, ...]

    @property
    def hop(self) -> str:
        """The element where our reading stopped; "" if none was read."""
        return self.reach[-1] if self.reach else ""

    @property
    def joined(self) -> str:
        """The lines, as a WSGI server hands them on."""
        return ",".join(self.request.lines)


class Pair(NamedTuple):
    """One library, and our resolver with the options that mean the same."""

    resolver: ClientIPResolver
    ask: Callable[[Request], str | None]
    classify: Callable[[Case], str | None]


def parse(text: str | None) -> Address | str | None:
    """Read an answer as an address, so that only its meaning is compared."""
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError:
        return text


def compare(pair: Pair, request: Request) -> Case:
    """Ask both."""
    raw = [(HEADER.encode(), line.encode("latin-1")) for line in request.lines]
    ours = pair.resolver.resolve(peer=request.peer, headers=raw)
    place = re.search(r"\[-(\d+)\]", ours.source)
    elements = tuple(text.strip(" \t") for text in reversed(",".join(request.lines).split(",")))
    reach = elements[: int(place[1])] if place else ()
    return Case(request, ours, pair.ask(request), reach, elements)


def agree(case: Case) -> bool:
    """Tell whether both mean the same address, or none."""
    return parse(case.theirs) == case.ours.address


# The classifiers. Each looks at the peer first, as the resolver does, then at the elements
# that decided. A class of which the libraries' answer is predictable checks that answer too.

PEER_REASONS: Final = {"peer-not-trusted", "unix-peer-not-trusted", "malformed-peer"}
PORT: Final = r"\s*[+-]?[0-9_]+\s*"  # what int() reads


def classify_uvicorn(case: Case) -> str | None:
    """Name the class of a disagreement with uvicorn; None is one that no row explains."""
    peer, reason, kept = case.request.peer, case.ours.reason, case.theirs == case.request.peer
    if reason in PEER_REASONS:
        return kept_peer(case) if kept else None
    if case.ours.peer == "unix" and kept:
        return "unix-peer"
    if is_mapped(peer) and kept:
        return "mapped-peer"
    if reason in {"header-missing", "too-many-hops"}:
        return reason if kept or reason == "too-many-hops" else None
    if "unix:" in case.reach and case.theirs == "unix:":
        return "unix-hop"
    if reason == "malformed-hop":
        sooner = spelling(case, case.reach[:-1])
        return sooner or stopped_at(case, kept=kept)
    return spelling(case, case.reach)


def stopped_at(case: Case, *, kept: bool) -> str | None:
    """Name what is wrong with the element where our reading stopped and uvicorn's did not."""
    hop = case.hop
    if kept and not host_of(hop.strip()):
        return "empty-hop"
    for name, applies in UVICORN_READS.items():
        if applies(hop):
            return name
    shown = case.theirs or ""
    return "no-address" if shown in hop and isinstance(parse(shown), str | None) else None


def classify_werkzeug(case: Case) -> str | None:
    """Name the class of a disagreement with ProxyFix; None is one that no row explains."""
    reason, kept, hop = case.ours.reason, case.theirs == case.request.peer, case.hop
    if reason in PEER_REASONS:
        return kept_peer(case) if kept else "peer-not-checked"
    if '"' in case.joined:
        return "quotes"
    if reason in {"header-missing", "too-few-hops"}:
        return "too-short" if kept else None
    if "" in case.reach:
        return "empty-hop"
    if reason == "malformed-hop":
        if kept:
            return "too-short"
        if case.theirs != hop:
            left = case.elements[len(case.reach) :]
            return "skipped-unchecked" if case.theirs in left else None
        return "unusable" if is_unusable(hop) else "no-address"
    if case.theirs != hop:
        return None
    return spelling(case, case.reach) or ("port-kept" if is_with_port(hop) else None)


def classify_ipware(case: Case) -> str | None:
    """Name the class of a disagreement with python-ipware; None is one that no row explains."""
    reason = case.ours.reason
    if reason in PEER_REASONS:
        return "peer-not-checked" if case.theirs else "peer-unread"
    if '"' in case.joined:
        return "quotes"
    for name, applies in IPWARE_READS.items():
        if any(map(applies, case.reach)):
            return name
    if reason == "malformed-hop":
        return "no-address" if is_unread(case.hop) else None
    return spelling(case, case.reach)


def kept_peer(case: Case) -> str | None:
    """Name the class of a peer that the library leaves as the server wrote it."""
    if is_mapped(case.request.peer):
        return "mapped-peer"
    return "peer-kept" if case.ours.address is None else None


def spelling(case: Case, reach: tuple[str, ...]) -> str | None:
    """Name the class of an address that the library leaves in another spelling."""
    shown = case.theirs or ""
    if not any(shown and shown in element for element in reach):
        return None
    if is_mapped(host_of(shown)):
        return "mapped-hop"
    return "zone" if "%" in shown else None


def host_of(text: str) -> str:
    """Drop a port and brackets."""
    bracketed = re.fullmatch(r"\[([^]]*)\](:.*)?", text, re.DOTALL)
    if bracketed:
        return bracketed[1]
    return text.partition(":")[0] if text.count(":") == 1 else text


def is_mapped(text: str | None) -> bool:
    """Tell a v4 address in its mapped v6 form."""
    address = parse(text)
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def parse_only(text: str) -> Address | None:
    """Read an address with or without port and brackets, mapped v4 as v4; None for the rest."""
    address = parse(host_of(text))
    if isinstance(address, str | None):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def is_wide(text: str) -> bool:
    """Tell an address with blanks around it that Python strips and HTTP does not know."""
    return text != text.strip() and parse_only(text.strip()) is not None


def is_zoned(text: str) -> bool:
    """Tell a v6 address with a zone."""
    return "%" in text and parse_only(text) is not None


def is_with_port(text: str) -> bool:
    """Tell an address with a port, with brackets, or with both."""
    return host_of(text) != text and parse_only(text) is not None


def port_of(text: str) -> str:
    """Return what follows the address and its brackets."""
    return text.partition("]")[2] if text.startswith("[") else text.partition(":")[2]


def is_loose(text: str) -> bool:
    """Tell an address with a port or brackets that is outside our grammar."""
    if not is_with_port(text):
        return False
    bracketed, v6 = text.startswith("["), ":" in host_of(text)
    port = port_of(text).removeprefix(":")
    good = re.fullmatch("[0-9]{1,5}", port) is not None and int(port) <= 65535
    return bracketed != v6 or not (good or (bracketed and not port_of(text)))


def is_loose_for_uvicorn(text: str) -> bool:
    """Tell a loose form that uvicorn reads: any port in brackets, else what int() reads."""
    return is_loose(text) and (
        text.startswith("[") or re.fullmatch(PORT, port_of(text)) is not None
    )


def is_loose_for_ipware(text: str) -> bool:
    """Tell a loose form that python-ipware reads: v4 in brackets, a port with many zeros."""
    port = re.fullmatch("(?::0*([0-9]{1,5}))?", f":{port_of(text).removeprefix(':')}")
    return is_loose(text) and (not port_of(text) or (port is not None and int(port[1]) <= 65535))


def is_unusable(text: str) -> bool:
    """Tell an address that no single client has."""
    address = parse_only(text)
    if address is None:
        return False
    return address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255"


def is_reserved(text: str) -> bool:
    """Tell an address that IANA has reserved, or that is of "this network" (0.0.0.0/8)."""
    address = parse_only(text)
    if address is None:
        return False
    return address.is_reserved or (address.version == 4 and address.packed[0] == 0)


def is_nat64(text: str) -> bool:
    """Tell an address in the well-known prefix of RFC 6052."""
    address = parse_only(text)
    return address is not None and address in ipaddress.ip_network("64:ff9b::/96")


def is_unread(text: str) -> bool:
    """Tell a text that is no address, or one with a port that is none."""
    return parse_only(text) is None or is_loose(text)


UVICORN_READS: Final[Mapping[str, Callable[[str], bool]]] = {
    "zone": is_zoned,
    "wide-blank": is_wide,
    "loose-form": is_loose_for_uvicorn,
    "unusable": is_unusable,
}

IPWARE_READS: Final[Mapping[str, Callable[[str], bool]]] = {
    "empty-hop": lambda text: not text.strip(),
    "unix-hop": lambda text: text == "unix:",
    "pairs": lambda text: re.search(r"(^|;)\s*for\s*=", text, re.IGNORECASE) is not None,
    "quotes": lambda text: text.strip().strip("'") != text.strip(),
    "zone": is_zoned,
    "wide-blank": is_wide,
    "loose-form": is_loose_for_ipware,
    "unusable": is_unusable,
    "nat64": is_nat64,
    "reserved": is_reserved,
}
"""Each class that one element explains, for either library; the first that applies."""


def uvicorn_pair() -> Pair:
    """uvicorn's middleware, which rewrites `scope["client"]`."""

    async def app(*_: object) -> None:
        return None

    middleware = ProxyHeadersMiddleware(app, trusted_hosts=OWN)

    def ask(request: Request) -> str | None:
        headers = [(HEADER.encode(), line.encode("latin-1")) for line in request.lines]
        client = None if request.peer is None else (request.peer, 1)
        scope: Any = {"type": "http", "client": client, "headers": headers}
        unused: Any = None
        drive(middleware(scope, unused, unused))
        return scope["client"][0] if scope["client"] else None

    return Pair(resolver_of(0), ask, classify_uvicorn)


def drive(coroutine: Any) -> None:
    """Run a coroutine that waits for nothing; a loop would cost more than the question."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the middleware waited for something")


def werkzeug_pair(hops: int) -> Pair:
    """ProxyFix, which rewrites `REMOTE_ADDR`."""
    middleware = ProxyFix(lambda _environ, _start: [], x_for=hops, x_proto=0)

    def ask(request: Request) -> str | None:
        environ = environ_of(request)
        unused: Any = None
        middleware(environ, unused)
        return environ.get("REMOTE_ADDR")

    return Pair(resolver_of(hops), ask, classify_werkzeug)


def ipware_pair(hops: int) -> Pair:
    """IpWare over the one header."""
    ipware = IpWare(precedence=("HTTP_X_FORWARDED_FOR",), proxy_count=hops - 1)

    def ask(request: Request) -> str | None:
        address, _trusted = ipware.get_client_ip(environ_of(request))
        return None if address is None else str(address)

    return Pair(resolver_of(hops), ask, classify_ipware)


def environ_of(request: Request) -> dict[str, Any]:
    """Join the lines as WSGI servers do."""
    environ: dict[str, Any] = {} if request.peer is None else {"REMOTE_ADDR": request.peer}
    if request.lines:
        environ["HTTP_X_FORWARDED_FOR"] = ",".join(request.lines)
    return environ


def resolver_of(hops: int) -> ClientIPResolver:
    """Build ours; `unix` is trusted, which the others cannot be told."""
    trust = [*OWN, "unix"]
    return ClientIPResolver(mode=HEADER, trusted_proxies=trust, hops=hops or None)


PAIRS: Final[Mapping[tuple[str, int], Pair]] = {
    ("uvicorn", 0): uvicorn_pair(),
    **{("werkzeug", hops): werkzeug_pair(hops) for hops in (1, 2, 3)},
    **{("python-ipware", hops): ipware_pair(hops) for hops in (1, 2, 3)},
}
