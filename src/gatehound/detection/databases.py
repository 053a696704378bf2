"""The MaxMind DB files: which do for a setting, and what they say of an address.

Records are read with maxminddb: geoip2's models are built on it, and making one takes several times
as long as the look-up. MaxMind's and DB-IP's types are known by a part of their names. Everything
else has to have one of the keys of gatehound.detection.facts.KEYS.

maxminddb is imported only when a file is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gatehound.detection.facts import KEYS, MARKS, NOTHING, Facts, Setting, reader_of
from gatehound.detection.reload import Unusable

if TYPE_CHECKING:
    from maxminddb.reader import Reader

# (setting, part of the type's name)
TYPES: Final[tuple[tuple[Setting, str], ...]] = (
    ("city", "City"),
    ("city", "Country"),
    ("city", "Enterprise"),
    ("asn", "GeoLite2-ASN"),
    ("asn", "GeoIP2-ISP"),
    ("asn", "Enterprise"),
    ("anonymous", "GeoIP2-Anonymous-IP"),
    ("anonymous", "GeoIP-Anonymous-Plus"),
    ("connection", "GeoIP2-Connection-Type"),
)

# What a file has to say to be of use, and how a message calls it.
_NEEDED: Final[Mapping[Setting, tuple[str, tuple[str, ...]]]] = {
    "city": ("a country", KEYS["country"]),
    "asn": ("an AS number", KEYS["asn"]),
    "anonymous": (
        "a mark of a proxy, VPN or Tor",
        ("is_anonymous", *(key for mark in MARKS for key in KEYS[mark])),
    ),
    "connection": ("a type of connection", KEYS["use"]),
}
# Records read when a file is opened. A file cut or damaged in its data fails within the first
# few; reading all of a City file would take minutes.
_PROBED_RECORDS: Final = 256
_MAX_KEYS: Final = 8  # named of a file that does not fit
# A record stands for a network, and an address of one that was asked about needs no look-up: a
# /16 is one in most files of AS numbers. Networks between these lengths are kept by the next
# longer one; what is smaller than all of them is a few addresses, and not worth the room.
_V4_BYTES: Final = (1, 2, 3)
_V6_BYTES: Final = (4, 6, 8)  # a provider, a site, a line of one
_CACHED_NETWORKS: Final = 4096
OCTETS: Final = tuple(map(str, range(256)))  # half the time of writing four numbers


class Database:
    """An open file. Callable from any thread; never closed, but freed with its last user.

    `get` returns the record of an address, and the length in bits of the network that it stands
    for. `build` differs between two files whose records differ, and is the same on every host.
    `keys` are those that its first records have: a field that none of them has is not looked for.
    """

    __slots__ = ("_cached", "_get", "_is_v4_only", "_read", "build")

    def __init__(
        self,
        setting: Setting,
        get: Callable[[str], tuple[Any, int]],
        build: int,
        keys: Collection[str],
        *,
        is_v4_only: bool,
    ) -> None:
        self._get = get
        self.build = build
        self._is_v4_only = is_v4_only
        self._read = reader_of(setting, keys)
        self._cached: dict[bytes, Facts] = {}

    def facts(self, packed: bytes) -> Facts:
        """Return what the file says of an address of 4 or 16 bytes; a damaged file may raise."""
        cached = self._cached
        if len(packed) == 4:
            found = cached.get(packed[:2]) or cached.get(packed[:3]) or cached.get(packed[:1])
        else:
            found = cached.get(packed[:6]) or cached.get(packed[:4]) or cached.get(packed[:8])
        return found or self._look_up(packed)

    def _look_up(self, packed: bytes) -> Facts:
        is_v6 = len(packed) == 16
        if is_v6 and self._is_v4_only:
            return NOTHING
        if is_v6:
            text = packed.hex(":", 2)
        else:
            one, two, three, four = packed
            text = f"{OCTETS[one]}.{OCTETS[two]}.{OCTETS[three]}.{OCTETS[four]}"
        found, length = self._get(text)
        facts = self._read(found) if isinstance(found, dict) else NOTHING
        for end in _V6_BYTES if is_v6 else _V4_BYTES:
            if length <= 8 * end:
                if len(self._cached) >= _CACHED_NETWORKS:
                    self._cached.clear()  # seldom: dropping one by one would need a lock
                self._cached[packed[:end]] = facts
                break
        return facts


def open_database(setting: Setting, path: str) -> Database:
    """Open a file for one setting; Unusable says why it does not do, and what would."""
    reader = open_reader(path)
    metadata = reader.metadata()
    records = _probed(reader)
    kind = metadata.database_type
    if wrong := _unsuitable(setting, kind, records):
        raise Unusable(wrong)
    return Database(
        setting,
        reader.get_with_prefix_len,
        # An own build of the same second still has another size.
        metadata.build_epoch + Path(path).stat().st_size,
        {key for record in records for key in record_keys(record)},
        is_v4_only=metadata.ip_version == 4,
    )


def open_reader(path: str) -> Reader:
    """Open any MaxMind DB file; Unusable says why it cannot be."""
    try:
        import maxminddb
    except ImportError:
        raise Unusable(
            "reading it needs the maxminddb package, which is not installed; "
            "run: pip install 'gatehound[geoip]'"
        ) from None
    if not Path(path).is_file():
        raise Unusable("there is no such file; correct the path, or leave it empty")
    try:
        reader = maxminddb.open_database(path)
        reader.metadata()
    except Exception as error:  # no access, no MaxMind DB, a broken one
        raise Unusable(
            f"it cannot be opened as a MaxMind DB file ({type(error).__name__}); "
            "download it again, and let the process read it"
        ) from None
    return reader


def _probed(reader: Reader) -> list[Any]:
    """Read the first records: some broken files open well and fail on every look-up."""
    try:
        return [record for _, record in islice(reader, _PROBED_RECORDS)]
    except Exception as error:
        raise Unusable(
            f"its records cannot be read ({type(error).__name__}); download it again"
        ) from None


def _unsuitable(setting: Setting, kind: str, records: Iterable[Any]) -> str:
    """Say what is wrong with a sound file for this setting, "" for nothing."""
    meant = {row[0] for row in TYPES if row[1] in kind}
    about = f"it is of type {kind!r}"
    if not meant:
        keys = {key for record in records for key in record_keys(record)}
        meant = {name for name, (_, known) in _NEEDED.items() if not keys.isdisjoint(known)}
        about += f" with the keys {', '.join(sorted(keys)[:_MAX_KEYS]) or 'of no record'}"
    if setting in meant:
        return ""
    if meant:
        return f"{about}; set it as detection.{min(meant)}_database"
    what, known = _NEEDED[setting]
    return (
        f"{about}: {what} is not among them; "
        f"use a database of type {_types(setting)}, or with a key {' or '.join(known)}"
    )


def _types(setting: Setting) -> str:
    return " or ".join(row[1] for row in TYPES if row[0] == setting)


def record_keys(record: Any) -> Iterator[str]:
    """Yield the keys of a record, those inside others with a dot for each level."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield key
            yield from (f"{key}.{inner}" for inner in record_keys(value))
