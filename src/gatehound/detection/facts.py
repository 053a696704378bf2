"""What one record of a MaxMind DB file says, whoever made the file.

MaxMind's, DB-IP's, IPinfo's and sapics's records are nested or flat, and self-made ones look like
anything: a field is read from the first place that has it. That MaxMind's read as geoip2's models
say is tested.

What belongs here: the names of keys, and how their values are read. To support another vendor, add
its keys to KEYS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from string import ascii_uppercase
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from gatehound.model import NetworkKind

Setting: TypeAlias = Literal["city", "asn", "anonymous", "connection"]
Place: TypeAlias = tuple[float, float]

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
MARKS: Final[tuple[NetworkKind, ...]] = ("tor", "relay", "vpn", "hosting", "proxy")
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

# Kilometres. Travel counts from 500 km on: two places that are each off by more than half of that
# say nothing. MaxMind gives 1000 where it knows the country alone.
_MAX_RADIUS: Final = 250
_MAX_TEXT: Final = 128
_MAX_NUMBER: Final = 0xFFFFFFFF
_CODES: Final = frozenset(one + two for one in ascii_uppercase for two in ascii_uppercase)

# A path for each place where a value may stand, and what reads one field of a record.
_Paths: TypeAlias = tuple[tuple[str, ...], ...]
_Read: TypeAlias = Callable[[Mapping[str, Any]], Any]


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What is known; empty text, 0 and None where the file does not say."""

    country: str = ""
    continent: str = ""
    city: str = ""
    place_id: int = 0
    location: Place | None = None
    asn: int = 0
    organisation: str = ""
    kind: NetworkKind = ""


NOTHING: Final = Facts()
_MISSING: Final = msgspec.structs.astuple(NOTHING)


def reader_of(setting: Setting, keys: Collection[str]) -> _Read:
    """Return what reads the records of a file that has these keys into Facts."""

    def paths(field: str) -> _Paths:
        return tuple(_split(one) for one in KEYS[field] if one in keys)

    def first(field: str, read: Callable[[object], Any], missing: Any) -> _Read | None:
        known = paths(field)
        return _field(known, read, missing) if known else None

    place = tuple(paths(field) for field in ("latitude", "longitude", "radius"))
    # A mark stands only in the records that have it, so the first ones do not tell of others.
    named = {key for mark in MARKS for key in KEYS[mark]}
    has_marks = setting == "anonymous" or "traits" in keys or not named.isdisjoint(keys)
    marks: tuple[tuple[NetworkKind, _Paths], ...] = tuple(
        (mark, tuple(map(_split, KEYS[mark]))) for mark in MARKS if has_marks
    )
    uses = paths("use")
    plan = (
        first("country", _code, ""),
        first("continent", _code, ""),
        first("city", _text, ""),
        first("place_id", _number, 0),
        _place_of(place),
        first("asn", _number, 0),
        first("organisation", _text, ""),
        partial(_kind, marks, uses) if marks or uses else None,
    )
    steps = tuple((position, read) for position, read in enumerate(plan) if read is not None)
    return partial(_facts, steps)


def _facts(steps: tuple[tuple[int, _Read], ...], found: Mapping[str, Any]) -> Facts:
    values = list(_MISSING)
    for position, read in steps:
        values[position] = read(found)
    return Facts(*values)


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


def _field(paths: _Paths, read: Callable[[object], Any], missing: Any) -> _Read:
    """`_first`, for one field: it is mostly in the first place, which is read without a loop."""
    path, rest = paths[0], paths[1:]

    name = path[0]

    def flat(found: Mapping[str, Any]) -> Any:
        value = read(found.get(name))
        return value or (_first(rest, read, missing, found) if rest else missing)

    def inner(found: Mapping[str, Any]) -> Any:
        group = found.get(name)
        value = read(group.get(path[1])) if isinstance(group, dict) else None
        return value or (_first(rest, read, missing, found) if rest else missing)

    def deep(found: Mapping[str, Any]) -> Any:
        return _first(paths, read, missing, found)

    return (flat, inner)[len(path) - 1] if len(path) < 3 else deep


def _place_of(place: tuple[_Paths, ...]) -> _Read | None:
    """Return what reads a location: mostly numbers side by side, which are looked for first."""
    if not (place[0] and place[1]):
        return None
    first = [paths[0] for paths in place if paths]
    if len({path[:-1] for path in first}) > 1 or len(first[0]) != 2:
        return partial(_location, place)
    group = first[0][0]
    latitude, longitude, *rest = [path[1] for path in first]
    radius, has_others = rest[0] if rest else "", len(place[2]) > 1

    def read(found: Mapping[str, Any]) -> Place | None:
        inner = found.get(group)
        if isinstance(inner, dict):
            north, east = inner.get(latitude), inner.get(longitude)
            wide = inner.get(radius, None if has_others else 0)
            if isinstance(north, float) and isinstance(east, float) and isinstance(wide, int):
                is_near = abs(north) <= 90 and abs(east) <= 180 and wide <= _MAX_RADIUS
                if is_near and (north or east):
                    return north, east
        return _location(place, found)

    return read


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
    if type(value) is str and value in _CODES:  # nearly all
        return value
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
    return value if isinstance(value, int) and 0 <= value <= _MAX_NUMBER else 0


def _mark(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1", "yes"))


def _use(value: object) -> str:
    return _USES.get(value.lower(), "") if isinstance(value, str) else ""
