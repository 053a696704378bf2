"""What one MaxMind DB file says of an address, whoever made it.

Records are read with maxminddb: geoip2's models are built on it, and making one takes several times
as long as the look-up. MaxMind's and DB-IP's types are known by a part of their names. Everything
else has to have one of the keys of KEYS: IPinfo's and sapics's records are flat, and self-made ones
look like anything. That both read the same is tested against geoip2's models.

What belongs here: the names of types and keys, and how their values are read. To support another
vendor, add its keys to KEYS. maxminddb is imported only when a file is opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, cast

from gatehound.detection.reload import Unusable
from gatehound.model import NetworkKind

if TYPE_CHECKING:
    from maxminddb.reader import Reader

Setting: TypeAlias = Literal["city", "asn", "anonymous", "connection"]
Place: TypeAlias = tuple[float, float]

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

# field -> where its value may stand, a dot for each level; the first that can be read counts.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "country": ("country.iso_code", "country_code", "country"),
    "continent": ("continent.code", "continent_code", "continent"),
    "city": ("city.names.en", "city"),
    "place_id": ("city.geoname_id", "geoname_id", "country.geoname_id"),
    "latitude": ("location.latitude", "latitude", "lat"),
    "longitude": ("location.longitude", "longitude", "lng", "lon"),
    "radius": ("location.accuracy_radius", "accuracy_radius", "radius"),
    "asn": ("autonomous_system_number", "traits.autonomous_system_number", "asn"),
    "organisation": (
        "autonomous_system_organization",
        "traits.autonomous_system_organization",
        "as_name",
        "as_organization",
        "organization",
        "name",
    ),
    "tor": ("is_tor_exit_node", "traits.is_tor_exit_node", "tor"),
    "relay": ("relay",),
    "vpn": ("is_anonymous_vpn", "traits.is_anonymous_vpn", "vpn"),
    "hosting": ("is_hosting_provider", "traits.is_hosting_provider", "hosting"),
    "proxy": ("is_public_proxy", "traits.is_public_proxy", "proxy"),
    "use": ("traits.user_type", "user_type", "traits.connection_type", "connection_type", "type"),
}
# A mark, and the kind that it makes; the first that is set counts. Hosting is before the public
# proxy, which may be one among servers: a server is the surer fact. `is_residential_proxy` is
# left out: that is a home line of which strangers rent a share, mostly without the knowledge of
# those who live there, and they are the ones who sign in. The line keeps its place and its kind.
_MARKS: Final[tuple[NetworkKind, ...]] = ("tor", "relay", "vpn", "hosting", "proxy")
# What a file has to say to be of use, and how a message calls it.
_NEEDED: Final[Mapping[Setting, tuple[str, tuple[str, ...]]]] = {
    "city": ("a country", KEYS["country"]),
    "asn": ("an AS number", KEYS["asn"]),
    "anonymous": (
        "a mark of a proxy, VPN or Tor",
        ("is_anonymous", *(key for mark in _MARKS for key in KEYS[mark])),
    ),
    "connection": ("a type of connection", KEYS["use"]),
}
# Values in lower case: of MaxMind's connection_type and user_type, and of IPinfo's ASN type.
# A satellite is a mobile gateway: where it comes down says little of where its user is.
_USES: Final[Mapping[str, NetworkKind]] = {
    "cellular": "mobile",
    "satellite": "mobile",
    "corporate": "business",
    "cable/dsl": "isp",
    "dialup": "isp",
    "residential": "isp",
    "isp": "isp",
    "business": "business",
    "college": "business",
    "education": "business",
    "government": "business",
    "library": "business",
    "military": "business",
    "school": "business",
    "content_delivery_network": "hosting",
    "hosting": "hosting",
    "consumer_privacy_network": "relay",
}

# Records read when a file is opened. A file cut or damaged in its data fails within the first
# few; reading all of a City file would take minutes.
_PROBED_RECORDS: Final = 256
_MAX_TEXT: Final = 128
_MAX_KEYS: Final = 8  # named of a file that does not fit
# Kilometres. Travel counts from 500 km on: two places that are each off by more than half of that
# say nothing. MaxMind gives 1000 where it knows the country alone.
_MAX_RADIUS: Final = 250


# A path for each place where a value may stand, and what reads one field of a record.
_Paths: TypeAlias = tuple[tuple[str, ...], ...]
_Read: TypeAlias = Callable[[Mapping[str, Any]], Any]


class Facts(NamedTuple):
    """What is known; empty text, 0 and None where the file does not say."""

    country: str = ""
    continent: str = ""
    city: str = ""
    place_id: int = 0
    location: Place | None = None
    asn: int = 0
    organisation: str = ""
    kind: NetworkKind = ""


class Database:
    """An open file. Callable from any thread; never closed, but freed with its last user.

    `build` differs between two files whose records differ, and is the same on every host. `keys`
    are those that its first records have: a field that none of them has is not looked for.
    """

    __slots__ = ("_get", "_is_v4_only", "_plan", "build")

    def __init__(
        self,
        setting: Setting,
        get: Callable[[str], Any],
        build: int,
        keys: Collection[str],
        *,
        is_v4_only: bool,
    ) -> None:
        self._get = get
        self.build = build
        self._is_v4_only = is_v4_only
        self._plan = _plan_of(setting, keys)

    def facts(self, address: str) -> Facts:
        """Return what the file says of an address without a zone; a damaged file may raise."""
        if self._is_v4_only and ":" in address:
            return _NOTHING
        found = self._get(address)
        if not isinstance(found, dict):
            return _NOTHING
        facts = list(_NOTHING)
        for position, read in self._plan:
            facts[position] = read(found)
        return Facts._make(facts)


_NOTHING: Final = Facts()


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
        reader.get,
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


def _plan_of(setting: Setting, keys: Collection[str]) -> tuple[tuple[int, _Read], ...]:
    """Return what reads each field of Facts that the file may have, by their positions."""

    def paths(field: str) -> _Paths:
        return tuple(_split(one) for one in KEYS[field] if one in keys)

    def first(field: str, read: Callable[[object], Any], missing: Any) -> _Read | None:
        known = paths(field)
        if known and len(known[0]) == 2:
            return _inner(known, read, missing)
        return partial(_first, known, read, missing) if known else None

    place = tuple(paths(field) for field in ("latitude", "longitude", "radius"))
    # A mark stands only in the records that have it, so the first ones do not tell of others.
    named = {key for mark in _MARKS for key in KEYS[mark]}
    has_marks = setting == "anonymous" or "traits" in keys or not named.isdisjoint(keys)
    marks: tuple[tuple[NetworkKind, _Paths], ...] = tuple(
        (mark, tuple(map(_split, KEYS[mark]))) for mark in _MARKS if has_marks
    )
    uses = paths("use")
    plan = (
        first("country", _code, ""),
        first("continent", _code, ""),
        first("city", _text, ""),
        first("place_id", _number, 0),
        partial(_location, place) if place[0] and place[1] else None,
        first("asn", _number, 0),
        first("organisation", _text, ""),
        partial(_kind, marks, uses) if marks or uses else None,
    )
    return tuple((position, read) for position, read in enumerate(plan) if read is not None)


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def follow(found: Any, path: tuple[str, ...]) -> Any:
    """Follow a path through maps."""
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _first(
    paths: _Paths, read: Callable[[object], Any], missing: Any, found: Mapping[str, Any]
) -> Any:
    for path in paths:
        if value := read(follow(found, path)):
            return value
    return missing


def _inner(paths: _Paths, read: Callable[[object], Any], missing: Any) -> _Read:
    """`_first`, where the first path has two names: it is mostly that, and takes half the time."""
    (outer, name), *others = paths
    rest = tuple(others)

    def inner(found: Mapping[str, Any]) -> Any:
        group = found.get(outer)
        value = read(group.get(name)) if isinstance(group, dict) else None
        return value or (_first(rest, read, missing, found) if rest else missing)

    return inner


def _kind(
    marks: tuple[tuple[NetworkKind, _Paths], ...], uses: _Paths, found: Mapping[str, Any]
) -> NetworkKind:
    for kind, paths in marks:
        if _first(paths, _mark, False, found):
            return kind
    return cast("NetworkKind", _first(uses, _use, "", found))


def _location(place: tuple[_Paths, ...], found: Mapping[str, Any]) -> Place | None:
    latitude, longitude = _degrees(found, place[0], 90), _degrees(found, place[1], 180)
    if latitude is None or longitude is None:
        return None
    if (_degrees(found, place[2], math.inf) or 0) > _MAX_RADIUS:
        return None
    # Some write 0, 0 for "not known": a point in the Gulf of Guinea.
    return (latitude, longitude) if latitude or longitude else None


def _degrees(found: Mapping[str, Any], paths: _Paths, most: float) -> float | None:
    """Read a number up to `most` on both sides, also where it is written as text."""
    for path in paths:
        value = follow(found, path)
        try:
            number = float(value) if isinstance(value, (int, float, str)) else math.nan
        except ValueError:
            continue
        if abs(number) <= most:  # false for NaN
            return number
    return None


def _code(value: object) -> str:
    """Two ASCII letters (ISO 3166-1, continent codes), because stores keep two bytes."""
    usable = isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha()
    return str(value).upper() if usable else ""


def _text(value: object) -> str:
    """A text of bounded length; "-" is how some write an empty one."""
    return value[:_MAX_TEXT] if isinstance(value, str) and value != "-" else ""


def _number(value: object) -> int:
    """A 32-bit number (RFC 6793 for ASNs; stores keep GeoNames ids so), 0 for all else."""
    if isinstance(value, str):  # "AS64496", "2950159"
        digits = value.upper().removeprefix("AS")
        value = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 11 else 0
    return value if isinstance(value, int) and 0 <= value < 1 << 32 else 0


def _mark(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1", "yes"))


def _use(value: object) -> str:
    return _USES.get(value.lower(), "") if isinstance(value, str) else ""
