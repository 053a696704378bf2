"""What is known of an address: its prefix always, and owner, place and kind where files tell.

The files are MaxMind DB files (databases.py) and lists of networks (lists.py). Everything that can
be wrong with a file is found when the object is built; afterwards no address makes `lookup` raise,
and a file that has changed is read again (reload.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from msgspec.structs import asdict

from gatehound.detection.databases import OCTETS, Database, open_database
from gatehound.detection.facts import NOTHING, Facts, Setting
from gatehound.detection.lists import Listed, sources
from gatehound.detection.neighbours import continent
from gatehound.detection.reload import MONOTONIC, Clock, Contents, Files, Source
from gatehound.detection.settings import NetworkListSettings
from gatehound.errors import SettingsError
from gatehound.model import Network, NetworkKind

Address: TypeAlias = IPv4Address | IPv6Address
Lookup: TypeAlias = Callable[[bytes | None], Network]

# Where lists of several kinds have an address: what hides a user most is told first.
LIST_ORDER: Final[tuple[NetworkKind, ...]] = (
    "tor",
    "relay",
    "vpn",
    "proxy",
    "hosting",
    "mobile",
    "business",
    "isp",
)
_CACHED_ADDRESSES: Final = 4096  # a lookup decodes whole records of the databases
_NO_LISTS: Final = NetworkListSettings()
_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291 2.5.5.2


def prefix_of(address: Address | None, v4_prefix: int = 24, v6_prefix: int = 64) -> str:
    """Return the network of the address as text, such as `192.0.2.0/24`; "" for None.

    An IPv4-mapped IPv6 address gives the IPv4 network, and a zone is left out.
    """
    return "" if address is None else _prefix(_folded(address.packed), v4_prefix, v6_prefix)


# By its bytes, here and below: the standard library's addresses are hashed and compared in Python,
# and its networks take ten times as long to make. Bytes carry no zone either.
@lru_cache(maxsize=_CACHED_ADDRESSES)
def _prefix(packed: bytes, v4_prefix: int, v6_prefix: int) -> str:
    size = len(packed)
    if size == 4 and v4_prefix == 24:  # nearly all
        return f"{OCTETS[packed[0]]}.{OCTETS[packed[1]]}.{OCTETS[packed[2]]}.0/24"
    length = v4_prefix if size == 4 else v6_prefix
    rest = size * 8 - length
    if length < 0 or rest < 0:
        raise ValueError(f"a prefix of {length} bits was given; an address has {size * 8}")
    return f"{_text((int.from_bytes(packed) >> rest << rest).to_bytes(size))}/{length}"


def _text(packed: bytes) -> str:
    return ".".join(map(str, packed)) if len(packed) == 4 else str(IPv6Address(packed))


def _folded(packed: bytes) -> bytes:
    """Fold `::ffff:192.0.2.1` to 192.0.2.1: it is the same client on another socket."""
    return packed[12:] if len(packed) == 16 and packed.startswith(_MAPPED) else packed


class Networks:
    """Look up what is known of addresses.

    `city`, `asn`, `anonymous` and `connection` are paths of databases, "" for none: City or
    Country, ASN or ISP, Anonymous-IP, and Connection-Type, or what says the same (databases.py).
    `lists` maps kinds of network to paths of lists. `v4_prefix` and `v6_prefix` are the lengths in
    bits at which two addresses count as one network. SettingsError names every file that cannot be
    used, what it is, and the fix.

    Files are looked at every `reload_every` seconds, 0 for never, and by `refresh`; see reload.py.
    Replace a database by renaming a whole one over it, as geoipupdate does: it is mapped into
    memory, and a process that reads a mapped file which was cut short is killed (SIGBUS).

    The kind of a network is that of the first source that has one: the addresses of the lists in
    LIST_ORDER, the database `anonymous`, the AS numbers of the lists, then the databases
    `connection`, `city` and `asn`.

    `lookup(address)` returns a Network and never raises. None gives an empty one. An address
    that is not in a database gives its prefix alone, and so does a lookup that fails, which is
    counted in `failures`. Callable from any thread.

    `has_city`, `has_asn`, `has_kinds`, `has_lines` say what the settings ask for: places, owners,
    kinds, and which of these are home lines.
    """

    def __init__(
        self,
        *,
        city: str = "",
        asn: str = "",
        anonymous: str = "",
        connection: str = "",
        lists: NetworkListSettings | Mapping[str, Iterable[str]] = _NO_LISTS,
        v4_prefix: int = 24,
        v6_prefix: int = 64,
        reload_every: float = 60.0,
        monotonic: Clock = MONOTONIC,
    ) -> None:
        problems = _length_problems(v4_prefix, v6_prefix)
        self.v4_prefix = v4_prefix
        self.v6_prefix = v6_prefix
        self._databases: dict[Setting, Source[Database]] = {
            setting: _database(setting, path)
            for setting, path in _given(city, asn, anonymous, connection)
        }
        self._lists = _list_sources(lists, problems)
        self._monotonic = monotonic
        self._files = Files(
            (*self._databases.values(), *(source for _, source in self._lists)),
            self._view,
            every=reload_every,
            monotonic=monotonic,
            problems=problems,
        )
        if problems:
            raise SettingsError(problems)
        self.has_city = "city" in self._databases
        self.has_asn = "asn" in self._databases
        self.has_kinds = bool(self._lists or self._databases.keys() & {"anonymous", "connection"})
        # Whether a home line can be told from the rest: what knows Tor alone does not.
        self.has_lines = "connection" in self._databases or any(
            kind == "isp" for kind, _ in self._lists
        )
        self.failures = 0

    def lookup(self, address: Address | None) -> Network:
        """Return what is known of an address now; None gives an empty Network."""
        return self.lookup_packed(None if address is None else address.packed)

    def lookup_packed(self, packed: bytes | None) -> Network:
        """`lookup`, for the 4 or 16 bytes of an address."""
        if self._monotonic() >= self._files.due:
            self._files.look()
        return self._files.state.view(packed)

    def prefix(self, address: Address | None) -> str:
        """Return the prefix alone, without a look at the files."""
        return prefix_of(address, self.v4_prefix, self.v6_prefix)

    def refresh(self) -> bool:
        """Look at all files now, due or not; True where something else is in use afterwards."""
        return self._files.refresh()

    def findings(self) -> list[str]:
        """Say which files changed into something that cannot be used, a line each."""
        return self._files.findings()

    @property
    def build(self) -> int:
        """Stands for the databases that ASN and country come from; 0 for none.

        Another number after either was replaced, and the same in all processes and on all hosts
        that have the same files. Lists and the databases of kinds have no part in it: a list of
        Tor exits changes every hour, and each time the country of a known provider would not be
        compared (Known.has_network).
        """
        return self._build(self._files.state.contents)

    def _build(self, contents: Contents) -> int:
        used = (contents.of(self._databases.get(setting)) for setting in ("city", "asn"))
        return sum(database.build for database in used if database)

    def _view(self, contents: Contents) -> Lookup:
        """Return the lookup, with a cache of its own, of what the files hold at one moment."""
        databases: dict[Setting, Database | None] = {
            setting: contents.of(source) for setting, source in self._databases.items()
        }
        lists: list[tuple[NetworkKind, Listed | None]] = [
            (kind, contents.of(source)) for kind, source in self._lists
        ]
        view = _View(self, databases, lists, self._build(contents))
        # The cache is not kept in the view: a ring of references would keep old files mapped.
        return lru_cache(maxsize=_CACHED_ADDRESSES)(view.look_up)


class _View:
    """What the files held at one moment."""

    __slots__ = (
        "_anonymous",
        "_asn",
        "_build",
        "_city",
        "_connection",
        "_has_kinds",
        "_lists",
        "_networks",
    )

    def __init__(
        self,
        networks: Networks,
        databases: Mapping[Setting, Database | None],
        lists: Iterable[tuple[NetworkKind, Listed | None]],
        build: int,
    ) -> None:
        self._networks = networks
        self._city, self._asn = databases.get("city"), databases.get("asn")
        self._anonymous, self._connection = databases.get("anonymous"), databases.get("connection")
        self._lists: list[tuple[NetworkKind, Listed]] = [
            (kind, one) for kind, one in lists if one is not None
        ]
        self._has_kinds = bool(self._lists or self._anonymous or self._connection)
        self._build = build

    def look_up(self, packed: bytes | None) -> Network:
        if packed is None:
            return Network()
        if len(packed) == 16:
            packed = _folded(packed)
        try:
            place = self._city.facts(packed) if self._city else NOTHING
            owner = self._asn.facts(packed) if self._asn else NOTHING
        except Exception:  # one of them is damaged
            place, owner = self._facts(self._city, packed), self._facts(self._asn, packed)
        named = owner if owner.asn else place  # Enterprise and IPinfo's lite file have both
        kind = self._kind(packed, named.asn) if self._has_kinds else ""
        country = place.country
        return Network(  # by position: keywords of so many fields take as long as a look-up
            _prefix(packed, self._networks.v4_prefix, self._networks.v6_prefix),
            named.asn,
            named.organisation,
            country,
            place.continent or continent(country),
            place.city,
            place.place_id,
            self._build,
            kind or place.kind or owner.kind,
            place.location,
        )

    def _kind(self, packed: bytes, asn: int) -> NetworkKind:
        """What knows the address goes before what knows its provider."""
        for kind, one in self._lists:
            if one.covers(packed):
                return kind
        if self._anonymous and (kind := self._facts(self._anonymous, packed).kind):
            return kind
        for kind, one in self._lists:
            if asn in one.asns:
                return kind
        return self._facts(self._connection, packed).kind

    def _facts(self, database: Database | None, packed: bytes) -> Facts:
        if database is None:
            return NOTHING
        try:
            return database.facts(packed)
        except Exception:  # a damaged file raises what it likes
            self._networks.failures += 1
            return NOTHING


def _length_problems(v4_prefix: int, v6_prefix: int) -> list[str]:
    return [
        f"detection.{name}: {value!r} was given; it is 1 to {bits}, in bits"
        for name, value, bits in (("v4_prefix", v4_prefix, 32), ("v6_prefix", v6_prefix, 128))
        if not 1 <= value <= bits
    ]


def _given(city: str, asn: str, anonymous: str, connection: str) -> list[tuple[Setting, str]]:
    settings: tuple[tuple[Setting, str], ...] = (
        ("city", city),
        ("asn", asn),
        ("anonymous", anonymous),
        ("connection", connection),
    )
    return [(setting, path) for setting, path in settings if path]


def _database(setting: Setting, path: str) -> Source[Database]:
    def read(path: str) -> Database:
        return open_database(setting, path)

    return Source(f"detection.{setting}_database", path, read, is_mapped=True)


def _list_sources(
    lists: NetworkListSettings | Mapping[str, Iterable[str]], problems: list[str]
) -> list[tuple[NetworkKind, Source[Listed]]]:
    """Return the sources of all lists, in the order in which they are asked."""
    given: Mapping[str, Iterable[str]]
    given = asdict(lists) if isinstance(lists, NetworkListSettings) else lists
    problems += [
        f"detection.network_lists.{kind}: there is no such kind; allowed are "
        f"{', '.join(LIST_ORDER)}"
        for kind in given
        if kind not in LIST_ORDER
    ]
    return [
        (kind, source)
        for kind in LIST_ORDER
        for source in sources(f"detection.network_lists.{kind}", given.get(kind, ()))
    ]
