"""What is known of an address: its prefix always, and ASN and place where a database is given.

The files are MaxMind DB files (GeoLite2 and whatever has their types), read with geoip2, which
is imported only where a path is set. Everything that can be wrong with a file is found when the
object is built; afterwards no address makes `lookup` raise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from gatehound.errors import SettingsError
from gatehound.model import Network

if TYPE_CHECKING:
    from geoip2.database import Reader

Address: TypeAlias = IPv4Address | IPv6Address

_CACHED_ADDRESSES: Final = 4096  # a lookup decodes a whole record of the database
# Records read when a file is opened. A file cut or damaged in its data fails within the first
# few; reading all of a City file would take minutes.
_PROBED_RECORDS: Final = 256
_MAX_TEXT: Final = 128
_KINDS: Final = {"city": ("City", "Country"), "asn": ("GeoLite2-ASN",)}


@lru_cache(maxsize=_CACHED_ADDRESSES)
def prefix_of(address: Address | None, v4_prefix: int = 24, v6_prefix: int = 64) -> str:
    """Return the network of the address as text, such as `192.0.2.0/24`; "" for None.

    An IPv4-mapped IPv6 address gives the IPv4 network, and a zone is left out.
    """
    if address is None:
        return ""
    address = unmapped(address)
    length = v4_prefix if address.version == 4 else v6_prefix
    # From the number: it carries no zone, which ip_network would refuse.
    plain = IPv4Address(int(address)) if address.version == 4 else IPv6Address(int(address))
    return str(ip_network((plain, length), strict=False))


def unmapped(address: Address) -> Address:
    """Fold `::ffff:192.0.2.1` to 192.0.2.1: it is the same client on another socket."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Networks:
    """Look up what is known of addresses.

    `city` is the path of a City or Country database, `asn` of an ASN database; "" is none.
    `v4_prefix` and `v6_prefix` are the lengths in bits at which two addresses count as one
    network. SettingsError names every file that cannot be used, what it is, and the fix.

    `lookup(address)` returns a Network and never raises. None gives an empty one. An address
    that is not in a database gives its prefix alone, and so does a lookup that fails, which is
    counted in `failures`. Callable from any thread.
    """

    lookup: Callable[[Address | None], Network]

    def __init__(
        self, *, city: str = "", asn: str = "", v4_prefix: int = 24, v6_prefix: int = 64
    ) -> None:
        problems: list[str] = []
        for name, value, bits in (("v4_prefix", v4_prefix, 32), ("v6_prefix", v6_prefix, 128)):
            if not 1 <= value <= bits:
                problems.append(
                    f"detection.{name}: {value!r} was given; it is 1 to {bits}, in bits"
                )
        self._city = _open("city", city, problems)
        self._asn = _open("asn", asn, problems)
        if problems:
            raise SettingsError(problems)
        self.v4_prefix = v4_prefix
        self.v6_prefix = v6_prefix
        self.has_city = self._city is not None
        self.has_asn = self._asn is not None
        # The sum differs when either file was replaced, and is the epoch where there is one.
        self.build = sum(
            reader.metadata().build_epoch for reader in (self._city, self._asn) if reader
        )
        self.failures = 0
        self._has_cities = self._city is not None and "City" in self._city.metadata().database_type
        self.lookup = lru_cache(maxsize=_CACHED_ADDRESSES)(self._look_up)

    def prefix(self, address: Address | None) -> str:
        """Return the prefix alone, without a look at the databases."""
        return prefix_of(address, self.v4_prefix, self.v6_prefix)

    def _look_up(self, address: Address | None) -> Network:
        if address is None:
            return Network()
        prefix = prefix_of(address, self.v4_prefix, self.v6_prefix)
        text = str(unmapped(address))
        country, continent, city, place_id = self._place(text)
        number, organisation = self._owner(text)
        return Network(
            prefix=prefix,
            asn=number,
            organisation=organisation,
            country=country,
            continent=continent,
            city=city,
            place_id=place_id,
            build=self.build,
        )

    def _place(self, text: str) -> tuple[str, str, str, int]:
        if self._city is None:
            return "", "", "", 0
        try:
            found = self._city.city(text) if self._has_cities else self._city.country(text)
            city = getattr(found, "city", None)
            return (
                _code(found.country.iso_code),
                _code(found.continent.code),
                _text(city.name) if city else "",
                _number((city.geoname_id if city else None) or found.country.geoname_id),
            )
        except Exception as error:  # a damaged file raises what it likes
            self._count(error)
            return "", "", "", 0

    def _owner(self, text: str) -> tuple[int, str]:
        if self._asn is None:
            return 0, ""
        try:
            found = self._asn.asn(text)
            return (
                _number(found.autonomous_system_number),
                _text(found.autonomous_system_organization),
            )
        except Exception as error:  # a damaged file raises what it likes
            self._count(error)
            return 0, ""

    def _count(self, error: Exception) -> None:
        from geoip2.errors import AddressNotFoundError

        if not isinstance(error, AddressNotFoundError):
            self.failures += 1


def _open(kind: str, path: str, problems: list[str]) -> Reader | None:
    """Open one file, or say in `problems` why not."""
    if not path:
        return None
    given = f"detection.{kind}_database: {path!r} was given;"
    try:
        from geoip2.database import Reader
    except ImportError:
        problems.append(
            f"{given} reading it needs the geoip2 package, which is not installed; "
            "run: pip install 'gatehound[geoip]'"
        )
        return None
    if not Path(path).is_file():
        problems.append(f"{given} there is no such file; correct the path, or leave it empty")
        return None
    reader: Reader | None = None
    try:
        reader = Reader(path)
        wrong = _unsuitable(kind, reader.metadata().database_type) or _damage(path)
    except Exception as error:  # no access, no MaxMind DB, a broken one
        wrong = (
            f"it cannot be opened as a MaxMind DB file ({type(error).__name__}); "
            "download it again, and let the process read it"
        )
    if wrong:
        problems.append(f"{given} {wrong}")
        return None
    return reader


def _unsuitable(kind: str, database_type: str) -> str:
    # geoip2 itself decides by this substring of the type.
    if any(word in database_type for word in _KINDS[kind]):
        return ""
    for other, words in _KINDS.items():
        if other != kind and any(word in database_type for word in words):
            return f"it is of type {database_type}; set it as detection.{other}_database"
    allowed = " or ".join(_KINDS[kind])
    return f"it is of type {database_type}; use a database of type {allowed}"


def _damage(path: str) -> str:
    """Read the first records: some broken files open well and fail on every look-up."""
    import maxminddb

    try:
        with maxminddb.open_database(path) as reader:
            for _ in islice(reader, _PROBED_RECORDS):
                pass
    except Exception as error:
        return f"its records cannot be read ({type(error).__name__}); download it again"
    return ""


def _code(value: object) -> str:
    """Two ASCII letters (ISO 3166-1, continent codes), because stores keep two bytes."""
    usable = isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha()
    return str(value).upper() if usable else ""


def _text(value: object) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _number(value: object) -> int:
    """A 32-bit number (RFC 6793 for ASNs; stores keep GeoNames ids so), 0 for all else."""
    return value if isinstance(value, int) and 0 <= value < 1 << 32 else 0
