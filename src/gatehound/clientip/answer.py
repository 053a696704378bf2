"""The answer: one client address, or the reason why there is none."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from socket import AF_INET6, inet_ntoa, inet_ntop
from typing import Any, Final, Literal, final

from gatehound.clientip.grammar import BLANKS, UNIX
from gatehound.clientip.modes import Rules
from gatehound.clientip.said import Said, said_within
from gatehound.clientip.walk import Found

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Text is that of ipaddress (RFC 5952). inet_ntop takes a tenth of the time, and differs: all
# write the v4 part of ::a.b.c.d, and musl shortens a single zero group, which this one has.
_NO_PREFIX: Final = bytes(10)
_ALIKE: Final = (
    inet_ntop(AF_INET6, bytes.fromhex("20010db8000000010001000100010001")) == "2001:db8:0:1:1:1:1:1"
)


@final
class ClientIP:
    """Which address is the client. Frozen; equal where address, peer and grounds are equal.

    `reason`: with an address `client`, `direct` (mode remote-addr), `peer-not-trusted`,
    `all-trusted`, `headerless-peer` or `bypassed-cloudflare`; without one `header-missing`,
    `malformed-hop`, `malformed-peer`, `header-repeated`, `headers-disagree`,
    `edge-secret-wrong`, `header-too-long`, `too-few-hops`, `too-many-hops`, `unix-peer`,
    `unix-peer-not-trusted` or `all-trusted`.

    Unresolved is not "the address changed": treat it as no evidence.
    """

    __slots__ = ("_found", "_given", "_peer", "_rules", "_said")

    _said: Said
    """Set only where a header declares scheme or host."""

    def __init__(self, found: Found, rules: Rules, given: Any, peer: bytes | None) -> None:
        """Made by ClientIPResolver; `given` is the peer as reported, `peer` what it packs to."""
        self._found = found
        self._rules = rules
        self._given = given
        self._peer = peer

    @property
    def address(self) -> Address | None:
        """The client's address; None where it is unresolved."""
        return _unpack(self._found.packed)

    @property
    def packed(self) -> bytes | None:
        """The address as 4 or 16 bytes in network order; None where it is unresolved."""
        return self._found.packed

    @property
    def text(self) -> str:
        """The address as text, as `str(address)` writes it; "" where it is unresolved."""
        found = self._found
        packed = found.packed
        if found.text or packed is None:
            return found.text
        if len(packed) == 4:
            return inet_ntoa(packed)
        if _ALIKE and not packed.startswith(_NO_PREFIX):
            return inet_ntop(AF_INET6, packed)
        return str(ipaddress.IPv6Address(packed))

    @property
    def peer(self) -> Address | Literal["unix"] | None:
        """The socket peer; `unix` for a unix socket, None where it is no address."""
        packed = self._peer
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
    def scheme(self) -> str | None:
        """`http` or `https`, as the client's own hop reported it; None where nothing did.

        In mode `forwarded` from the element that names the client, elsewhere only from the
        header that `scheme_header` or the preset declares.
        """
        return self._hop_said()[0]

    @property
    def host(self) -> str | None:
        """The host that the client asked for, with its port where one was sent; as `scheme`."""
        return self._hop_said()[1]

    @property
    def read(self) -> Sequence[tuple[str, str]]:
        """The header text that decided, as (name in lower case, text); empty: none did.

        It is cut off left of the client, so it holds only what trusted proxies wrote; without
        an address it is empty.
        """
        if self._found.packed is None:
            return ()
        return tuple(
            (name, ", ".join([text.strip(BLANKS) for text in texts]))
            for name, texts in self._found.seen
        )

    @property
    def flags(self) -> frozenset[str]:
        """What a reader should know of the address.

        `all-trusted` (every hop is a trusted proxy), `trusted-range` (the address is in the
        list of trusted proxies all the same), `pseudo-ipv4` (class E, or the v6 address behind
        one), `worker` (a Cloudflare Worker asks, for anyone who rents one),
        `peer-rewritten` (the server has put another address in place of the socket's) and
        `known-provider-range` (the edge of a provider, which is not declared).
        """
        from gatehound.clientip.flags import flags_of

        return flags_of(self._rules, self._found, self._given)

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

        The lines are made for this call, from the text that decided; requests pay nothing.
        """
        from gatehound.clientip.trace import explain

        return explain(self, self._rules, self._given, self._peer, self._found)

    def __repr__(self) -> str:
        flags = f" flags={','.join(sorted(self.flags))}" if self.flags else ""
        return f"<ClientIP {self.address} reason={self.reason} source={self.source}{flags}>"

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ClientIP) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (*self._found[:3], self._peer, self.flags)

    def _hop_said(self) -> Said:
        return self._said if self._rules.declares else said_within(self._found)


@lru_cache(4096)  # it is asked for several times a request
def _unpack(packed: bytes | None) -> Address | None:
    if not packed:
        return None
    return ipaddress.IPv4Address(packed) if len(packed) == 4 else ipaddress.IPv6Address(packed)
