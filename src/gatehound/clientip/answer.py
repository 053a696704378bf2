"""The answer: one client address, or the reason why there is none."""

from __future__ import annotations

import ipaddress
from typing import Literal, final

from gatehound.clientip.grammar import UNIX
from gatehound.clientip.modes import Rules, flags_of
from gatehound.clientip.walk import Found

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_put = object.__setattr__

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@final
class ClientIP:
    """Which address is the client. Frozen; equal where address, peer and grounds are equal.

    `reason`: with an address `client`, `direct` (mode remote-addr), `peer-not-trusted`,
    `all-trusted` or `bypassed-cloudflare`; without one `header-missing`, `malformed-hop`,
    `malformed-peer`, `header-repeated`, `headers-disagree`, `header-too-long`,
    `too-few-hops`, `too-many-hops`, `unix-peer`, `unix-peer-not-trusted` or `all-trusted`.

    Unresolved is not "the address changed": treat it as no evidence.
    """

    __slots__ = ("_asked", "_found")

    _found: Found
    _asked: tuple[Rules, str | None, bytes | None]

    def __init__(self, found: Found, asked: tuple[Rules, str | None, bytes | None]) -> None:
        """Made by ClientIPResolver; `asked` is the rules, the peer as given, and packed."""
        _put(self, "_found", found)
        _put(self, "_asked", asked)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ClientIP is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"ClientIP is frozen: {name} cannot be deleted")

    @property
    def address(self) -> Address | None:
        """The client's address; None where it is unresolved. Its text is `str(address)`."""
        return _unpack(self._found.packed)

    @property
    def peer(self) -> Address | Literal["unix"] | None:
        """The socket peer; `unix` for a unix socket, None where it is no address."""
        packed = self._asked[2]
        return "unix" if packed == UNIX else _unpack(packed)

    @property
    def reason(self) -> str:
        """Why this is the answer; one word of the list above."""
        return self._found.reason

    @property
    def source(self) -> str:
        """Where the answer was read, or where reading stopped: `x-forwarded-for[-2]`."""
        return self._found.source

    @property
    def flags(self) -> frozenset[str]:
        """What a reader should know of the address.

        `all-trusted` (every hop is a trusted proxy), `trusted-range` (the address is in the
        list of trusted proxies all the same), `pseudo-ipv4` (class E, or the v6 address behind
        one), `worker` (a Cloudflare Worker asks, for anyone who rents one) and
        `known-provider-range` (an edge of Cloudflare's, which is not declared).
        """
        return flags_of(self._asked[0], self._found)

    def network(self, v4: int = 24, v6: int = 64) -> Network | None:
        """Return the network of `v4` or `v6` prefix bits around the address, None without one.

        It is the key for rate limits and for session evidence: one household has one v6 /64.
        ValueError for a length outside 0-32 or 0-128.
        """
        packed = self._found.packed
        if packed is None:
            return None
        if len(packed) == 4:
            return ipaddress.IPv4Network((packed, v4), strict=False)
        return ipaddress.IPv6Network((packed, v6), strict=False)

    def explain(self) -> tuple[str, ...]:
        """Tell hop by hop how the answer came about, in lines of printable ASCII.

        The walk runs again for this, from the text that decided; requests pay nothing.
        """
        from gatehound.clientip.trace import explain

        rules, given, peer = self._asked
        return explain(rules, given, peer, self._found, self.flags)

    def __repr__(self) -> str:
        flags = f" flags={','.join(sorted(self.flags))}" if self.flags else ""
        return f"<ClientIP {self.address} reason={self.reason} source={self.source}{flags}>"

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ClientIP) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (*self._found[:3], self._asked[2], self.flags)


def _unpack(packed: bytes | None) -> Address | None:
    return ipaddress.ip_address(packed) if packed else None
