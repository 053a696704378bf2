"""A set of trusted proxies, compiled once and asked on every request.

What belongs here: the compiled set. What must not: the forms in which operators write
networks (entries.py). At construction netaddr merges; at request time only `covers` is asked,
a bisect over merged ranges of packed bytes: its cost does not grow with the list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, final

from gatehound.clientip import cloudflare

if TYPE_CHECKING:
    from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types

EVERYONE: Final = ("0.0.0.0/0", "::/0")

Table = tuple[tuple[bytes, ...], tuple[bytes, ...]]


@final
class TrustSet:
    """A frozen set of packed addresses and, where it is listed, the unix socket.

    `octets` tells by the first octet of a v4 address whether all of that /8 is in the set
    (True), none (False), or which spans to search (`starts4` and `ends4`: None).

    `networks` are the merged entries as text, v4 first. The Worker address of cloudflare.py
    is never in the set, whatever was listed.
    """

    __slots__ = ("_ends6", "_starts6", "ends4", "networks", "octets", "starts4", "unix")

    networks: tuple[str, ...]
    unix: bool
    octets: tuple[bool | None, ...]

    def __init__(self, entries: Iterable[Any] = (), *, unix: bool = False) -> None:
        """Compile network texts and netaddr objects; they must have been checked before."""
        merged = _ipset(entries)
        self.unix = unix
        self.networks = tuple(str(network) for network in merged.iter_cidrs())
        self.starts4, self.ends4 = _table(merged, version=4)
        self.octets = tuple(_octet(self.starts4, self.ends4, n) for n in range(256))
        self._starts6, self._ends6 = _table(merged - _ipset([_worker()]), version=6)

    def covers(self, packed: bytes) -> bool:
        """Tell whether the set holds these 4 or 16 bytes, or b"" for a unix socket.

        A method, not `in`: Python calls it without a detour, which a chain pays for each hop.
        """
        size = len(packed)
        if size == 4:
            whole = self.octets[packed[0]]
            if whole is None:
                return packed <= self.ends4[bisect_right(self.starts4, packed)]
            return whole
        if size == 16:
            return packed <= self._ends6[bisect_right(self._starts6, packed)]
        return self.unix

    def __repr__(self) -> str:
        return f"TrustSet({list(self.listed)!r})"

    @property
    def listed(self) -> tuple[str, ...]:
        """The merged networks, and `unix` last where it is trusted."""
        return (*self.networks, "unix") if self.unix else self.networks

    def entry_of(self, packed: bytes) -> str:
        """Name the merged entry that `packed` is in, "" if there is none. For people: slow."""
        if not self.covers(packed):
            return ""
        if not packed:
            return "unix"
        from ipaddress import ip_address, ip_network

        address = ip_address(packed)
        return next(text for text in self.networks if address in ip_network(text))

    def minus(self, other: TrustSet) -> TrustSet:
        """Return this set without the addresses of `other`."""
        left = _ipset(self.networks) - _ipset(other.networks)
        return TrustSet(left.iter_cidrs(), unix=self.unix)

    def plus(self, other: TrustSet) -> TrustSet:
        """Return the addresses of both sets."""
        return TrustSet((*self.networks, *other.networks), unix=self.unix or other.unix)


@cache
def trust_of(networks: tuple[str, ...]) -> TrustSet:
    """Compile a provider's list, once in a process."""
    return TrustSet(networks)


def _ipset(entries: Iterable[Any]) -> IPSet:
    from netaddr import IPSet  # 40 ms to import: at construction, not with the package

    return IPSet(list(entries))


def _worker() -> str:
    from ipaddress import ip_address

    return str(ip_address(cloudflare.WORKER))


def _octet(starts: tuple[bytes, ...], ends: tuple[bytes, ...], first: int) -> bool | None:
    """Tell what is in the set of the /8 that begins with `first`."""
    low, high = bytes([first, 0, 0, 0]), bytes([first, 255, 255, 255])
    at = bisect_right(starts, low)
    if high <= ends[at]:
        return True
    return None if low <= ends[at] or bisect_right(starts, high) > at else False


def _table(merged: IPSet, *, version: int) -> Table:
    """Compile merged spans; the ends begin with one that covers nothing, for all left of them."""
    size = 4 if version == 4 else 16
    spans = [span for span in merged.iter_ipranges() if span.version == version]
    starts = tuple(int(span.first).to_bytes(size, "big") for span in spans)
    return starts, (b"", *(int(span.last).to_bytes(size, "big") for span in spans))
