"""Where header lines are found: one name, and one reader for each face of the resolver.

What belongs here: how an ASGI scope, a WSGI environ and a plain list hold the lines of a
header. What must not: what the lines mean (walk.py, modes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, final

Header = tuple[bytes, bytes] | tuple[str, str]


@final
class Name:
    """A header's name in each spelling that is looked up; made once, at construction.

    No NamedTuple, whose attributes take longer to read, and no dataclass, which takes 7 ms to
    import.
    """

    __slots__ = ("key", "raw", "text")

    def __init__(self, text: str, raw: bytes, key: str) -> None:
        self.text: Final = text
        self.raw: Final = raw
        self.key: Final = key

    def __repr__(self) -> str:
        return f"Name({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Name) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)


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
