"""Where header lines are found: one name, and one reader for each face of the resolver.

What belongs here: how an ASGI scope, a WSGI environ and a plain list hold the lines of a
header. What must not: what the lines mean (walk.py, modes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Header = tuple[bytes, bytes] | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Name:
    """A header's name in each spelling that is looked up; made once, at construction."""

    text: str
    raw: bytes
    key: str


def name_of(text: str) -> Name:
    """Make the three spellings of a header name."""
    low = text.lower()
    return Name(low, low.encode("ascii"), f"HTTP_{low.upper().replace('-', '_')}")


X_FORWARDED_FOR: Final = name_of("x-forwarded-for")
FORWARDED: Final = name_of("forwarded")
X_REAL_IP: Final = name_of("x-real-ip")
CF_CONNECTING_IP: Final = name_of("cf-connecting-ip")
CF_CONNECTING_IPV6: Final = name_of("cf-connecting-ipv6")

Read = Callable[[Any, Name], list[str]]
"""Return the lines of a header in the order in which they came; empty where it is missing."""


def in_scope(headers: Iterable[tuple[bytes, bytes]], name: Name) -> list[str]:
    """Read from the headers of an ASGI scope: names are bytes in lower case."""
    raw = name.raw
    return [str(value, "latin-1") for key, value in headers if key == raw]


def in_fields(fields: Mapping[bytes, bytes], name: Name) -> list[str]:
    """Read from headers by name, bytes in lower case, where none came twice."""
    value = fields.get(name.raw)
    return [] if value is None else [str(value, "latin-1")]


def in_environ(environ: Mapping[str, Any], name: Name) -> list[str]:
    """Read from a WSGI environ, where the server has joined repeated lines."""
    value = environ.get(name.key)
    return [] if value is None else [value]


def in_pairs(headers: Iterable[Header], name: Name) -> list[str]:
    """Read from (name, value) pairs, bytes or Latin-1 text, names in any case."""
    raw = name.raw
    return [
        value if isinstance(value, str) else str(value, "latin-1")
        for key, value in headers
        if len(key) == len(raw) and _bytes(key).lower() == raw
    ]


def _bytes(name: bytes | str) -> bytes:
    """Encode a name; what is not Latin-1 cannot be one of ours, and becomes `?`."""
    return name if isinstance(name, bytes) else name.encode("latin-1", "replace")
