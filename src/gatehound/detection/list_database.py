"""A MaxMind DB file as a list: what has a record in it, or a record of which a field says so.

    bots.mmdb                           every address that has a record
    anonymous.mmdb#is_public_proxy      whose field is true; a dot for each level: traits.is_tor
    scores.mmdb#risk>=80                whose field is a number, and so much at least

A field that no record has would list nobody, and nobody would know: such a file is refused. So is
one that knows every address, without a field that says which are meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from gatehound.detection.databases import TYPES, open_reader, record_keys
from gatehound.detection.facts import follow
from gatehound.detection.reload import Source, Unusable

if TYPE_CHECKING:
    from maxminddb.reader import Reader

_Test: TypeAlias = Callable[[Any], bool | None]

_GIVEN: Final = re.compile(r"(?P<file>.*\.mmdb)(?:#(?P<field>.*))?", re.DOTALL | re.IGNORECASE)
_FIELD: Final = re.compile(
    r"(?P<path>[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)(?:>=(?P<least>[0-9]+(?:\.[0-9]+)?))?"
)
# Looked through for a field: a mark may stand in a few records alone. About 0.3 s where it is not
# there at all, and no more than a few records where it is.
_PROBED: Final = 50_000
_SHOWN: Final = 8  # keys of a file, in a message
_WORDS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291 2.5.5.2
# More than any list means: IPv4 as a whole, and the public half of IPv6 (2000::/3).
_WIDEST: Final = {4: 0, 6: 3}


class ListDatabase:
    """What a file lists. Callable from any thread; a damaged file may raise.

    `name` is what people call it, and `asns` is empty: it lists addresses alone.
    """

    __slots__ = ("_get", "_is_v4_only", "_test", "asns", "name")

    def __init__(
        self, get: Callable[[str], Any], name: str, test: _Test, *, is_v4_only: bool
    ) -> None:
        self._get = get
        self._is_v4_only = is_v4_only
        self._test = test
        self.asns: frozenset[int] = frozenset()
        self.name = name

    def covers(self, packed: bytes) -> bool:
        """True where the file lists this address of 4 or 16 bytes."""
        packed = packed[12:] if packed.startswith(_MAPPED) and len(packed) == 16 else packed
        if self._is_v4_only and len(packed) == 16:
            return False
        record = self._get(str(ip_address(packed)))
        return record is not None and self._test(record) is True


def list_database(setting: str, given: str) -> Source[ListDatabase] | None:
    """Return the source that a text names; None where it names no MaxMind DB file."""
    match = _GIVEN.fullmatch(given)
    if match is None:
        return None
    read = partial(read_database, field=match["field"])
    return Source(setting, match["file"], read, is_mapped=True)


def read_database(path: str, *, field: str | None = None) -> ListDatabase:
    """Open a file as a list; Unusable says why it does not do, and what would."""
    test = _has_record if field is None else _test_of(field)
    reader = open_reader(path)
    try:
        problem = _problem(reader, field, test)
    except Exception as error:  # a damaged file raises what it likes
        raise Unusable(
            f"its records cannot be read ({type(error).__name__}); download it again"
        ) from None
    if problem:
        raise Unusable(problem)
    name = Path(path).name if field is None else f"{Path(path).name}#{field}"
    return ListDatabase(reader.get, name, test, is_v4_only=reader.metadata().ip_version == 4)


def _problem(reader: Reader, field: str | None, test: _Test) -> str:
    """Say why a sound file is no list, "" for nothing."""
    if field is None:
        kind = reader.metadata().database_type
        knows_all = any(part in kind for setting, part in TYPES if setting != "anonymous")
        if knows_all or any(_is_everyone(network) for network in _networks(reader)):
            return (
                f"it is of type {kind!r}, and lists every address; write '#' and the field behind "
                "it that says which are meant, such as file.mmdb#is_public_proxy"
            )
        return ""
    if any(test(record) is not None for _, record in islice(reader, _PROBED)):
        return ""
    keys = {key for _, record in islice(reader, 256) for key in record_keys(record)}
    what = "number" if ">=" in field else "true or false"
    return (
        f"its records have no field {field!r} with a {what}; they have "
        f"{', '.join(sorted(keys)[:_SHOWN]) or 'none'}"
    )


def _networks(reader: Reader) -> Iterator[IPv4Network | IPv6Network]:
    return (network for network, _ in islice(reader, 256))


def _is_everyone(network: IPv4Network | IPv6Network) -> bool:
    return network.prefixlen <= _WIDEST[network.version]


def _has_record(_: Any) -> bool:
    return True


def _test_of(field: str) -> _Test:
    """Read what stands behind the '#'; Unusable says how it is written."""
    match = _FIELD.fullmatch(field)
    if match is None:
        raise Unusable(
            f"and {field!r} behind its '#'; write the name of a field that is true, such as "
            "is_public_proxy or traits.is_anonymous, or of a number and its least, such as risk>=80"
        )
    path = tuple(match["path"].split("."))
    if match["least"] is None:
        return lambda record: _mark(follow(record, path))
    return partial(_reaches, path, float(match["least"]))


def _mark(value: Any) -> bool | None:
    """Read true or false, also where it is written as text or number; None for all else."""
    if isinstance(value, bool):
        return value
    return _WORDS.get(str(value).lower()) if isinstance(value, (str, int)) else None


def _reaches(path: tuple[str, ...], least: float, record: Any) -> bool | None:
    value = follow(record, path)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value) >= least
    except ValueError:
        return None
