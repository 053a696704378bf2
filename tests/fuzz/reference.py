"""A second resolver for mode x-forwarded-for: slow, short, and written from the rules alone.

It shares no code with the package. Addresses are read by regular expressions and by
ipaddress; the whole header is split at once and walked from the right.

Modelled: the peer and its spellings of a unix socket, the grammar of one element, trust, the
count, 64 characters an element and 32 trusted hops. Passed over, with None for the answer: a
header of over 8192 characters, of which the package reads the right end only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

MAX_READ: Final = 8192
MAX_ELEMENT: Final = 64
MAX_TRUSTED_HOPS: Final = 32
WORKER: Final = "2a06:98c0:3600::103"
UNIX: Final = "unix"
UNIX_PEERS: Final = (None, "", "localhost", "<local>", "0.0.0.0", "unix:")  # noqa: S104 - a text that uwsgi reports, no bind

OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
V4: Final = rf"(?P<v4>{OCTET}(?:\.{OCTET}){{3}})"
V6: Final = r"(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)(?:%[0-9A-Za-z._~-]{1,32})?"
PORT: Final = r"(?P<port>[0-9]{1,5})"
PLAIN: Final = (re.compile(V4), re.compile(V6))
HOP: Final = (
    *PLAIN,
    re.compile(f"{V4}:{PORT}"),
    re.compile(rf"\[{V6}\]"),
    re.compile(rf"\[{V6}\]:{PORT}"),
)

Expected = tuple[str | None, str]
"""The address as text, or None, and the reason."""


class Reference:
    """The reference for one set of options, named as those of the package."""

    def __init__(
        self,
        *,
        mode: str,
        trusted_proxies: Iterable[str],
        hops: int = 0,
        peer_port: bool = False,
        on_all_trusted: str = "farthest",
    ) -> None:
        entries = set(trusted_proxies)
        assert mode == "x-forwarded-for"
        self.unix = UNIX in entries
        self.networks = [ipaddress.ip_network(entry) for entry in entries - {UNIX}]
        self.hops = hops
        self.peer_port = peer_port
        self.farthest = on_all_trusted == "farthest"

    def answer(self, peer: str | None, values: Sequence[str]) -> Expected | None:
        """Answer for a peer and the values of the header, in order; None: passed over."""
        if sum(map(len, values)) + len(values) > MAX_READ:
            return None
        hop = self.read_peer(peer)
        if hop is None:
            return None, "malformed-peer"
        if not self.trusts(hop):
            if hop == UNIX:
                return None, "unix-peer-not-trusted"
            return hop, "peer-not-trusted"
        joined = ",".join(values)
        if not joined.strip(" \t,"):
            return None, "header-missing"
        elements = [read_hop(element) for element in reversed(joined.split(","))]
        return self.count(elements) if self.hops else self.walk(elements)

    def walk(self, elements: list[str | None]) -> Expected:
        """Take the first element that is not trusted; one that is no address ends it all."""
        for at, hop in enumerate(elements):
            if hop is None or (hop == UNIX and not self.unix):
                return None, "malformed-hop"
            if not self.trusts(hop):
                return hop, "client"
            if at == MAX_TRUSTED_HOPS:
                return None, "too-many-hops"
        farthest = elements[-1] if self.farthest else None
        return None if farthest == UNIX else farthest, "all-trusted"

    def count(self, elements: list[str | None]) -> Expected:
        """Take the element at the count; those to its right must be addresses."""
        for hop in elements[: self.hops - 1]:
            if hop is None or (hop == UNIX and not self.unix):
                return None, "malformed-hop"
        if len(elements) < self.hops:
            return None, "too-few-hops"
        chosen = elements[self.hops - 1]
        if chosen is None or chosen == UNIX:
            return None, "malformed-hop"
        return chosen, "client"

    def read_peer(self, peer: str | None) -> str | None:
        """Read what the server reports, as an address, `UNIX` or None."""
        if peer in UNIX_PEERS:
            return UNIX
        assert peer is not None
        if len(peer) > MAX_ELEMENT:
            return None
        return read_address(peer, HOP if self.peer_port else PLAIN)

    @lru_cache(4096)  # noqa: B019 - a few resolvers live as long as the process
    def trusts(self, hop: str) -> bool:
        """Tell whether an address, or `UNIX`, is in the list; a Worker's never is."""
        if hop == UNIX:
            return self.unix
        address = ipaddress.ip_address(hop)
        return hop != WORKER and any(address in network for network in self.networks)


@lru_cache(4096)
def read_hop(element: str) -> str | None:
    """Read one element as an address, `UNIX` or None."""
    element = element.strip(" \t")
    if len(element) > MAX_ELEMENT:
        return None
    return UNIX if element == "unix:" else read_address(element, HOP)


def read_address(text: str, forms: Sequence[re.Pattern[str]]) -> str | None:
    """Read a text in one of `forms` as the address of one host, mapped v4 as v4."""
    for form in forms:
        match = form.fullmatch(text)
        if match is not None and int(match.groupdict().get("port") or 0) <= 65535:
            return usable(match.groupdict().get("v4") or match["v6"])
    return None


def usable(text: str) -> str | None:
    """Return the address as ipaddress writes it, or None where it can be no client's."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255":
        return None
    return str(address)
