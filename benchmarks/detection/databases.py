"""What the databases of this world say of it: mostly the truth, as real ones do.

Six files in the shapes that operators download: GeoLite2-City, GeoLite2-ASN, GeoIP2-Anonymous-IP
and GeoIP2-Connection-Type as MaxMind DB files, the relay's egress list, one CIDR a line, and a
list of the AS numbers of hosting providers. The second build differs: some ranges are now said to
be in another country, or in the other city.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from chance import chance
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # it ships no stubs
from places import CODES, CONTINENTS, COUNTRIES, is_same_continent
from world import V6_BITS, Block, World

EPOCHS: Final = (1_799_000_000, 1_800_300_000)  # of the two builds; written into the files
CITY, ASN, ANONYMOUS, CONNECTION = "city.mmdb", "asn.mmdb", "anonymous.mmdb", "connection.mmdb"
RELAY: Final = "relay.txt"
RACKS: Final = "hosting.txt"  # AS numbers of hosting providers, as such lists are published

# The shares are guesses at how good such files are. Vendors claim 99.8% for countries.
WRONG_COUNTRY: Final = 0.002  # of the ranges of consumers and phones, anew in each build
NEARBY: Final = 0.6  # of those are said to be in another country of the continent
OTHER_CITY: Final = 0.06
COVERED: Final = {
    "hosting": 0.95,
    "vpn": 0.85,
    "tor": 0.97,
    "rented": 0.25,
    "connection": 0.97,
    "rack": 0.9,
}
CONNECTIONS: Final = {
    "isp": "Cable/DSL",
    "mobile": "Cellular",
    "satellite": "Satellite",
    "business": "Corporate",
    "campus": "Corporate",
    "hosting": "Corporate",
    "vpn": "Corporate",
    "proxy": "Corporate",
}
_CHUNKS: Final = 4  # a block is described in so many ranges: /18 and /38


def city_record(country: str, city: int | None) -> dict[str, Any]:
    """Return a record in the shape of GeoLite2-City; `city` None knows the country alone."""
    place = COUNTRIES[country]
    continent_id, continent = CONTINENTS[place.continent]
    there = place.cities[city or 0]
    record: dict[str, Any] = {
        "continent": {
            "code": place.continent,
            "geoname_id": continent_id,
            "names": {"en": continent},
        },
        "country": {
            "geoname_id": place.geoname_id,
            "iso_code": country,
            "names": {"en": place.name},
        },
        "location": {
            "accuracy_radius": 20 if city is not None else 500,
            "latitude": there.latitude,
            "longitude": there.longitude,
        },
    }
    if city is not None:
        record["city"] = {"geoname_id": there.geoname_id, "names": {"en": there.name}}
    return record


def ranges(block: Block) -> Iterator[tuple[str, bool]]:
    """Return the CIDRs of a block, in quarters, and whether each is of IPv6."""
    for part in range(_CHUNKS):
        yield f"{ipaddress.IPv4Address(block.v4 + (part << 14))}/18", False
        low = block.v6 + (part << (126 - V6_BITS))
        yield f"{ipaddress.IPv6Address(low)}/{V6_BITS + 2}", True


def located(world: World, build: int) -> Iterator[tuple[str, str, int | None]]:
    """Say where a build has each range: its country, and its city or None."""
    rng = chance(f"places {world.seed} {build}")
    for operator in world.operators:
        for block in operator.blocks:
            for cidr, is_v6 in ranges(block):
                country, city = block.country, block.v6_city if is_v6 else block.city
                if block.kind in ("isp", "mobile") and rng.random() < WRONG_COUNTRY:
                    country = _mistaken(rng, country)
                if rng.random() < OTHER_CITY:
                    city = 1 - city
                is_vague = block.kind in ("mobile", "satellite", "relay")
                yield cidr, country, None if is_vague else city


def _mistaken(rng: random.Random, country: str) -> str:
    near = rng.random() < NEARBY
    others = [code for code in CODES if code != country]
    found = [code for code in others if is_same_continent(code, country)] if near else others
    return rng.choice(found or others)


def covered(world: World) -> Iterator[tuple[str, dict[str, bool]]]:
    """Say what the anonymous database has: most of what there is."""
    rng = chance(f"anonymous {world.seed}")
    for operator in world.operators:
        for block in operator.blocks:
            for cidr, _ in ranges(block):
                if block.kind not in ("hosting", "vpn", "proxy") or not _knows(rng, block.kind):
                    continue
                flags = {"is_anonymous": True, "is_hosting_provider": True}
                if block.kind == "vpn":
                    flags["is_anonymous_vpn"] = True
                if block.kind == "proxy":  # what a company sends its people through
                    flags = {"is_hosting_provider": True}
                yield cidr, flags
    # After the ranges: what is said of one address stands above them.
    for code in CODES:
        for _, number in world.rented[code]:
            if _knows(rng, "rented"):
                flags = {"is_anonymous": True, "is_residential_proxy": True}
                yield f"{ipaddress.IPv4Address(number)}/32", flags
    for _, number in world.tor_exits:
        if _knows(rng, "tor"):
            flags = {"is_anonymous": True, "is_hosting_provider": True, "is_tor_exit_node": True}
            yield f"{ipaddress.IPv4Address(number)}/32", flags


def _knows(rng: random.Random, what: str) -> bool:
    return rng.random() < COVERED.get(what, 0.9)


def _writer(database_type: str) -> MMDBWriter:
    return MMDBWriter(
        ip_version=6,
        ipv4_compatible=True,
        database_type=database_type,
        languages=["en"],
        description="A made-up internet, for benchmarks/detection",
    )


def _save(writer: MMDBWriter, file: Path, epoch: int) -> None:
    """Write under another name first: whoever has the file open keeps the old one."""
    fresh = file.with_suffix(".new")
    with patch("mmdb_writer.time.time", return_value=float(epoch)):
        writer.to_db_file(str(fresh))
    fresh.replace(file)


def write_places(world: World, folder: Path, build: int) -> None:
    """Write, or replace, the City and the ASN database."""
    cities, owners = _writer("GeoLite2-City"), _writer("GeoLite2-ASN")
    for cidr, country, city in located(world, build):
        cities.insert_network(IPSet([cidr]), city_record(country, city))
    for operator in world.operators:
        record = {
            "autonomous_system_number": operator.asn,
            "autonomous_system_organization": operator.name,
        }
        for block in operator.blocks:
            v4, v6 = ipaddress.IPv4Address(block.v4), ipaddress.IPv6Address(block.v6)
            owners.insert_network(IPSet([f"{v4}/16", f"{v6}/{V6_BITS}"]), record)
    _save(cities, folder / CITY, EPOCHS[build])
    _save(owners, folder / ASN, EPOCHS[build])


def write_reputation(world: World, folder: Path) -> None:
    """Write the anonymous and connection databases, and the list of the relay's egress."""
    anonymous, connection = _writer("GeoIP2-Anonymous-IP"), _writer("GeoIP2-Connection-Type")
    for cidr, flags in covered(world):
        anonymous.insert_network(IPSet([cidr]), flags)
    rng = chance(f"connection {world.seed}")
    relays = []
    for operator in world.operators:
        for block in operator.blocks:
            kind = CONNECTIONS.get(block.kind)
            for cidr, _ in ranges(block):
                if block.kind == "relay":
                    relays.append(cidr)
                elif kind and _knows(rng, "connection"):
                    connection.insert_network(IPSet([cidr]), {"connection_type": kind})
    _save(anonymous, folder / ANONYMOUS, EPOCHS[0])
    _save(connection, folder / CONNECTION, EPOCHS[0])
    (folder / RELAY).write_text("\n".join(relays) + "\n", encoding="ascii")
    racks = [
        f"AS{operator.blocks[0].asn}"
        for operator in world.operators
        if operator.blocks[0].kind == "hosting" and _knows(rng, "rack")
    ]
    (folder / RACKS).write_text("\n".join(racks) + "\n", encoding="ascii")
