"""Files of networks: a CIDR, a range, an address or an AS number a line, IPv4 and IPv6.

    192.0.2.0/24            # a comment; blank lines are skipped
    192.0.2.1-192.0.2.9
    2001:db8::/32,US,US-CA  of a CSV the first column counts (RFC 8805, Apple's relay list)
    AS64496                 all networks of a provider, where an ASN database says whose they are

A MaxMind DB file (.mmdb) is a list too: see list_database.py.

Lines are merged, and looked up by bisection, so a look-up costs the same for ten lines and for
250,000. IPv4 lies in the same table as ::ffff:0:0/96, where IPv6 has it too (RFC 4291 2.5.5.2).

Such a list (260,000 lines, 11 MB) takes 1.1 s to read, and 8 MB. With netaddr's objects it was
4.9 s (IPNetwork 1.3, IPSet 1.4, its ranges 1.7), so only its parsers of addresses are used here.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from gatehound.detection.reload import Source, Unusable

if TYPE_CHECKING:
    from gatehound.detection.list_database import ListDatabase

Listed: TypeAlias = "AddressList | ListDatabase"
Address: TypeAlias = IPv4Address | IPv6Address
# The first and the last address of a line, both in it, as numbers of 128 bits.
Span: TypeAlias = tuple[int, int]

MAPPED: Final = 0xFFFF << 32
_LOW: Final = (1 << 64) - 1
# Whoever lists these means nobody in particular: everybody would be a Tor exit.
_EVERYONE: Final = (
    ("every IPv4 address", MAPPED, MAPPED | 0xFFFFFFFF),
    ("every public IPv6 address", 0x2 << 124, (0x4 << 124) - 1),  # 2000::/3 (RFC 4291 2.4)
)
_SHOWN: Final = 40  # characters of a line, in a message
_MOST_LINES: Final = 5  # told of one file: another kind of file is wrong in every line
_EXPECTED: Final = (
    "write a CIDR, a range, an address or an AS number a line, such as 192.0.2.0/24, "
    "192.0.2.1-192.0.2.9, 2001:db8::1 or AS64496, and '#' before a comment"
)


class AddressList:
    """The networks of one file, merged. Immutable; callable from any thread."""

    __slots__ = ("_first_high", "_first_low", "_last_high", "_last_low", "_lowest", "asns", "name")

    def __init__(self, spans: Iterable[Span], name: str = "", asns: Iterable[int] = ()) -> None:
        """Take spans in any order, overlapping or not; `name` is what people call the file."""
        self.name = name
        self.asns = frozenset(asns)
        merged = list(_merged(spans))
        # Halves in arrays: 32 bytes a span, where two Python integers take over 100, and after a
        # fork the children share them, because reading them counts no references.
        self._first_high = array("Q", (first >> 64 for first, _ in merged))
        self._first_low = array("Q", (first & _LOW for first, _ in merged))
        self._last_high = array("Q", (last >> 64 for _, last in merged))
        self._last_low = array("Q", (last & _LOW for _, last in merged))
        self._lowest = bisect_right(self._first_high, 0)  # spans, in which all of IPv4 is

    def covers(self, packed: bytes) -> bool:
        """True where the file lists this address of 4 or 16 bytes."""
        if len(packed) == 4:
            low = int.from_bytes(packed) | MAPPED
            at = bisect_right(self._first_low, low, 0, self._lowest) - 1
            return at >= 0 and (low <= self._last_low[at] or self._last_high[at] > 0)
        number = int.from_bytes(packed)
        high, low = number >> 64, number & _LOW
        after = bisect_right(self._first_high, high)
        if after and self._first_high[after - 1] == high:
            same = bisect_left(self._first_high, high, 0, after)
            after = bisect_right(self._first_low, low, same, after)
        at = after - 1  # the last span that begins at or before the address
        return at >= 0 and (high, low) <= (self._last_high[at], self._last_low[at])

    def __len__(self) -> int:
        """Return the number of spans after merging; 0 for a file of comments alone."""
        return len(self._first_high)


def sources(setting: str, paths: Iterable[str]) -> tuple[Source[Listed], ...]:
    """Return a source for each file that the setting names; a bare text is one path."""
    paths = (paths,) if isinstance(paths, str) else paths
    return tuple(_source(setting, path) for path in paths)


def _source(setting: str, path: str) -> Source[Listed]:
    found: Source[Any] | None = None
    if ".mmdb" in path.lower():  # loaded for who has one
        from gatehound.detection.list_database import list_database

        found = list_database(setting, path)
    return found or Source(setting, path, read_list)


def read_list(path: str) -> AddressList:
    """Read a file; Unusable says of up to five lines what is wrong with them."""
    try:
        with Path(path).open(encoding="utf-8-sig") as lines:
            spans, asns = _read_lines(lines)
    except FileNotFoundError:
        raise Unusable("there is no such file; correct the path, or leave it out") from None
    except UnicodeDecodeError:
        raise Unusable(f"it is no text in UTF-8; {_EXPECTED}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"it cannot be read: {why}; let the process read it") from None
    return AddressList(spans, Path(path).name, asns)


def _read_lines(lines: Iterable[str]) -> tuple[list[Span], list[int]]:
    read = _Reader().read
    spans: list[Span] = []
    asns: list[int] = []
    wrong: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        entry, _, columns = line.partition("#")[0].partition(",")
        if entry := entry.strip():
            try:
                if entry[:2].upper() == "AS":
                    asns.append(_as_number(entry[2:]))
                else:
                    spans.append(read(entry, columns))
            except ValueError as error:
                shown = entry if len(entry) <= _SHOWN else entry[:_SHOWN] + "..."
                wrong.append(f"line {number}: {shown!r} {error}")
    if wrong:
        more = len(wrong) - _MOST_LINES
        raise Unusable(*wrong[:_MOST_LINES], *[f"{more} more lines are wrong"] * (more > 0))
    if not number:
        # A download that failed leaves this, and a list of nobody is rarely meant.
        raise Unusable(
            "it is empty; fetch the list again, or write a comment into it if nobody is meant"
        )
    return spans, asns


def _as_number(text: str) -> int:
    """Read the number of an autonomous system (RFC 5396: asplain)."""
    usable = text.isdecimal() and text.isascii() and len(text) <= 10
    if not usable or not 0 < int(text) < 1 << 32:
        raise ValueError("is no AS number; write AS and a number from 1 to 4294967295, as AS64496")
    return int(text)


class _Reader:
    """What reads one line. Made only for who has lists: netaddr takes 40 ms to import."""

    __slots__ = ("_refused", "_v4", "_v6")

    def __init__(self) -> None:
        from netaddr.core import AddrFormatError  # type: ignore[import-untyped]  # ships no types
        from netaddr.strategy import ipv4, ipv6  # type: ignore[import-untyped]  # ships no types

        self._v4: Callable[[str], int] = ipv4.str_to_int
        self._v6: Callable[[str], int] = ipv6.str_to_int
        self._refused: tuple[type[Exception], ...] = (AddrFormatError, ValueError)

    def read(self, entry: str, columns: str) -> Span:
        """Return the span of an entry; ValueError goes on where the entry itself ends.

        `columns` is what follows the first comma, "" for none.
        """
        if "-" in entry:
            first, last = self._range(*entry.split("-", 1))
        elif "/" in entry:
            first, last = self._network(*entry.split("/", 1))
        else:
            first = last = self._number(entry)
            if _is_address(columns.partition(",")[0].strip()):
                raise ValueError("is followed by another address; write 'first-last' for a range")
        for whom, low, high in _EVERYONE:
            if first <= low and last >= high:
                raise ValueError(f"covers {whom}; list the networks that are meant")
        return first, last

    def _number(self, text: str) -> int:
        try:
            return self._v6(text) if ":" in text else self._v4(text) | MAPPED
        except self._refused:
            raise ValueError(f"is no network; {_EXPECTED}") from None

    def _range(self, first: str, last: str) -> Span:
        span = self._number(first.strip()), self._number(last.strip())
        if (":" in first) is not (":" in last) or span[0] > span[1]:
            raise ValueError("is no range; write two addresses of one IP version, the lower first")
        return span

    def _network(self, address: str, length: str) -> Span:
        bits = 128 if ":" in address else 32
        # isdecimal alone takes the digits of every script.
        if not (length.isdecimal() and length.isascii() and int(length) <= bits):
            raise ValueError(f"has no prefix length; write a number from 0 to {bits} after '/'")
        first = self._number(address)
        hosts = (1 << bits - int(length)) - 1
        if first & hosts:  # a line that was cut off at its end mostly shows here
            raise ValueError(
                f"has bits set after its prefix; write '{_text(first & ~hosts, bits)}/{length}' "
                f"for the network, or '{address}' for the one address"
            )
        return first, first | hosts


def _is_address(text: str) -> bool:
    try:
        return bool(text) and bool(ip_address(text))
    except ValueError:
        return False


def _text(number: int, bits: int) -> str:
    return str(IPv6Address(number) if bits == 128 else IPv4Address(number & 0xFFFFFFFF))


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans in order, none of which touches the next."""
    start = end = -2
    for first, last in sorted(spans):
        if first <= end + 1:
            end = max(end, last)
            continue
        if end >= 0:
            yield start, end
        start, end = first, last
    if end >= 0:
        yield start, end
