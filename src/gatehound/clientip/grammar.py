"""Turn the text of one hop into packed bytes, or refuse it.

What belongs here: the grammar of one element. What must not: which hop is trusted, and
which header is read (walk.py, modes.py).

An address is 4 or 16 bytes, so that trust.py can compare it without building objects.
`UNIX` is the empty bytes: a hop over a unix socket. None is everything else. A refused
hop is never skipped by the caller, so refusing is the safe side: octal, hex, integer and
short forms mean different addresses to different parsers, and an attacker picks the reading.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

UNIX: Final = b""
"""A hop over a unix socket: it has no address, and no address has its length."""

MAX_ELEMENT: Final = 64
"""Characters in one hop: the longest legal v6 text is 45, a zone and a port take the rest."""

BLANKS: Final = " \t"
"""OWS of RFC 9110 5.6.3. Not `str.strip()`, which also takes NBSP and 0x1c-0x1f."""

CUT: Final = "\uffff"
"""Begins a piece of which only the end was read. Header text is Latin-1 and cannot hold it."""

_MAPPED: Final = bytes(10) + b"\xff\xff"
_UNSPECIFIED: Final = (bytes(4), bytes(16))
_BROADCAST: Final = b"\xff\xff\xff\xff"
_ZONE: Final = re.compile(r"[0-9A-Za-z._~-]{1,32}")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_OBFUSCATED_PORT: Final = re.compile(r"_[0-9A-Za-z._-]{1,32}")  # RFC 7239 section 6

# What each server reports where the peer is a unix socket; none of these is an address that
# a TCP peer can have. waitress, werkzeug, uwsgi, and nginx's $remote_addr in this order.
_UNIX_PEERS: Final = frozenset({"", "localhost", "<local>", "0.0.0.0", "unix:"})  # noqa: S104 - a text that uwsgi reports, no bind


def pack(text: str) -> bytes | None:
    """Pack a plain v4 or v6 text, exactly as written; None if it is neither."""
    # ValueError: NUL, or a lone surrogate that does not encode.
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return None


def fold(packed: bytes) -> bytes:
    """Turn an IPv4-mapped v6 address into its v4 one; NAT64, 6to4 and Teredo stay v6."""
    return packed[12:] if packed.startswith(_MAPPED) and len(packed) == 16 else packed


def parse_address(text: str) -> bytes | None:
    """Parse v4, or v6 with an optional zone, which is dropped; no port, no brackets."""
    if ":" in text:
        return _parse_v6(text)
    return _parse_v4(text)


def parse_hop(text: str) -> bytes | None:
    """Parse one X-Forwarded-For element: v4, v4:port, v6, [v6], [v6]:port or `unix:`."""
    if ":" not in text:
        return _parse_v4(text)
    if text[0] == "[":
        return _parse_bracketed(text)
    # A bare v6 address is never split at its last colon: 2001:db8::7:4711 is one address.
    host, _, port = text.partition(":")
    if ":" in port:
        return _parse_v6(text)
    if not port and host == "unix":
        return UNIX
    return _parse_v4(host) if _is_port(port) else None


def parse_listed(text: str) -> bytes | None:
    """Parse one piece of X-Forwarded-For, with the blanks around it."""
    text = text.strip(BLANKS)
    if ":" not in text:  # the common case, written out: a call less on every hop
        try:
            packed = inet_pton(AF_INET, text)
        except (OSError, ValueError):
            return None
        return packed if 0 < packed[0] < 224 else _usable(packed)
    return parse_hop(text) if len(text) <= MAX_ELEMENT else None


def parse_node(text: str) -> bytes | None:
    """Parse an RFC 7239 section 6 node; `unknown` and `_obfuscated` are not addresses."""
    if text.startswith("["):
        return _parse_bracketed(text, obfuscated=True)
    host, colon, port = text.partition(":")
    if colon and not _is_port(port, obfuscated=True):
        return None
    return _parse_v4(host)


def parse_peer(peer: object, with_port: bool = False) -> bytes | None:
    """Parse what a server reports as the socket peer; `UNIX` for each spelling of that."""
    if not isinstance(peer, str):
        return UNIX if peer is None else None
    try:  # the common case first: it is on every request's way
        packed = inet_pton(AF_INET6 if ":" in peer else AF_INET, peer)
    except (OSError, ValueError):
        packed = b"\0"
    if 0 < packed[0] < 224:
        return packed
    if peer in _UNIX_PEERS:
        return UNIX
    if len(peer) > MAX_ELEMENT:
        return None
    return parse_hop(peer) if with_port else parse_address(peer)


def _parse_v4(text: str) -> bytes | None:
    try:
        packed = inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return None
    return packed if 0 < packed[0] < 224 else _usable(packed)


def _parse_v6(text: str) -> bytes | None:
    address, percent, zone = text.partition("%")
    if percent and not _ZONE.fullmatch(zone):
        return None
    try:
        packed = inet_pton(AF_INET6, address)
    except (OSError, ValueError):
        return None
    return packed if 0 < packed[0] < 255 else _usable(fold(packed))


def _parse_bracketed(text: str, *, obfuscated: bool = False) -> bytes | None:
    address, bracket, rest = text[1:].partition("]")
    if not bracket or ":" not in address:
        return None
    if rest and not (rest[0] == ":" and _is_port(rest[1:], obfuscated=obfuscated)):
        return None
    return _parse_v6(address)


def _is_port(text: str, *, obfuscated: bool = False) -> bool:
    if _PORT.fullmatch(text):
        return int(text) <= 65535
    return obfuscated and _OBFUSCATED_PORT.fullmatch(text) is not None


def _usable(packed: bytes) -> bytes | None:
    """Refuse what no single client can have; class E stays (Cloudflare's Pseudo IPv4)."""
    if packed in _UNSPECIFIED or packed == _BROADCAST:
        return None
    multicast = 224 <= packed[0] < 240 if len(packed) == 4 else packed[0] == 255
    return None if multicast else packed
