"""A small world of networks, and the files that know it: four databases and a list.

Addresses are those of benchmarks (RFC 2544) and of documentation (RFC 9637), AS numbers those of
documentation (RFC 5398), on real cities with their GeoNames ids. Only the content delivery network
is real: gatehound has its ranges built in.

A network has sixteen /24 and as many IPv6 /36, numbered alike; number n is in the n-th of its
places, and the rest in the last of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types

BUILT: Final = 1_790_000_000  # a fixed date: it is written into the files
BLOCKS: Final = 16

# city: (country, its GeoNames id, continent, GeoNames id, latitude, longitude)
PLACES: Final = {
    "Berlin": ("DE", 2921044, "EU", 2950159, 52.52, 13.41),
    "Hamburg": ("DE", 2921044, "EU", 2911298, 53.55, 9.99),
    "Munich": ("DE", 2921044, "EU", 2867714, 48.14, 11.58),
    "Frankfurt": ("DE", 2921044, "EU", 2925533, 50.11, 8.68),
    "Paris": ("FR", 3017382, "EU", 2988507, 48.85, 2.35),
    "Vienna": ("AT", 2782113, "EU", 2761369, 48.21, 16.37),
    "Amsterdam": ("NL", 2750405, "EU", 2759794, 52.37, 4.89),
    "London": ("GB", 2635167, "EU", 2643743, 51.51, -0.13),
    "Stockholm": ("SE", 2661886, "EU", 2673730, 59.33, 18.07),
    "Madrid": ("ES", 2510769, "EU", 3117735, 40.42, -3.70),
    "New York": ("US", 6252001, "NA", 5128581, 40.71, -74.01),
    "Ashburn": ("US", 6252001, "NA", 4744870, 39.04, -77.49),
    "Chicago": ("US", 6252001, "NA", 4887398, 41.85, -87.65),
    "São Paulo": ("BR", 3469034, "SA", 3448439, -23.55, -46.64),
}


@dataclass(frozen=True)
class Net:
    """One network: who owns it, how its users are connected, what it hides, and where it is.

    `hides` is a field of an Anonymous-IP record, or `relay` for a network that the list names.
    """

    asn: int
    organisation: str
    connection: str
    places: tuple[str, ...]
    hides: str = ""

    def place(self, block: int) -> str:
        return self.places[min(block, len(self.places) - 1)]


HOSTING, VPN, PROXY, TOR = (
    "is_hosting_provider",
    "is_anonymous_vpn",
    "is_public_proxy",
    "is_tor_exit_node",
)
# The position makes the addresses, so new ones go to the end.
NETS: Final[Mapping[str, Net]] = {
    "home": Net(64496, "Fibre", "Cable/DSL", ("Berlin",) * 4 + ("Hamburg",) * 4 + ("Munich",)),
    "cable": Net(64497, "Cable", "Cable/DSL", ("Berlin", "Berlin", "Munich")),
    "phone": Net(64498, "Mobile", "Cellular", ("Frankfurt",)),
    "france": Net(64499, "Fil", "Cable/DSL", ("Paris",)),
    "austria": Net(64500, "Mobil", "Cellular", ("Vienna",)),
    "america": Net(64501, "Broadband", "Cable/DSL", ("New York", "Chicago")),
    "brazil": Net(64502, "Banda", "Cable/DSL", ("São Paulo",)),
    "company": Net(64503, "Company", "Corporate", ("Frankfurt", "Frankfurt", "Munich")),
    "gateway": Net(
        64504, "Gateway", "Corporate", ("Frankfurt", "Amsterdam", "London", "New York"), PROXY
    ),
    "rack": Net(64505, "Racks", "Corporate", ("Frankfurt",), HOSTING),
    "cloud": Net(64506, "Cloud", "Corporate", ("Ashburn",), HOSTING),
    "tunnel": Net(
        64507, "Tunnel", "Corporate", ("Frankfurt", "Amsterdam", "Stockholm", "New York"), VPN
    ),
    "onion": Net(64508, "Exits", "Corporate", ("Amsterdam", "Paris"), TOR),
    "onion_far": Net(64509, "More Exits", "Corporate", ("Chicago",), TOR),
    "relay_a": Net(64510, "Relay A", "Corporate", ("Berlin",), "relay"),
    "relay_b": Net(64511, "Relay B", "Corporate", ("Berlin", "Frankfurt"), "relay"),
    "relay_c": Net(65536, "Relay C", "Corporate", ("Berlin",), "relay"),
    "dish": Net(65537, "Dish", "Satellite", ("Frankfurt", "London")),
    "aircraft": Net(65538, "Aircraft", "Satellite", ("Chicago",)),
    "spain": Net(65539, "Hilo", "Cable/DSL", ("Madrid",)),
    "warp": Net(65540, "Edge", "Corporate", ("Frankfurt",), VPN),
    "saver": Net(65541, "Saver", "Corporate", ("Amsterdam",), PROXY),
    "rack_far": Net(65542, "Far Racks", "Corporate", ("Stockholm", "Amsterdam"), HOSTING),
}
_CDN_NET: Final = Net(13335, "CDN", "Corporate", ("Paris", "Ashburn"), HOSTING)
_NUMBERS: Final = {name: number for number, name in enumerate(NETS)}


def v4(name: str, block: int = 0, host: int = 10) -> str:
    """An address in one of the sixteen /24 of a network."""
    number = _NUMBERS[name]
    return f"198.{18 + number // 16}.{number % 16 * BLOCKS + block}.{host}"


def v6(name: str, site: int = 1, *, block: int = 0, subnet: int = 0, host: int = 0x10) -> str:
    """An address of one customer (a /48) of a network."""
    return str(ip_address(f"3fff:{_NUMBERS[name]:x}:{block:x}{site:03x}:{subnet:x}::{host:x}"))


def cdn(block: int = 0, host: int = 10) -> str:
    """An address of the content delivery network, which databases place in block 0 or 1."""
    return f"104.16.{block}.{host}"


def write_world(folder: Path, *, later: bool = False) -> dict[str, Any]:
    """Write the files, and return the settings of detection that name them.

    `later` is another day: the first two /24 of the home network are in France by then, and its
    owner has bought the cable network.
    """
    folder.mkdir()
    files = {
        "city_database": ("GeoLite2-City", _places(later)),
        "asn_database": ("GeoLite2-ASN", _owners(later)),
        "anonymous_database": ("GeoIP2-Anonymous-IP", _hiding()),
        "connection_database": ("GeoIP2-Connection-Type", _connections()),
    }
    settings: dict[str, Any] = {}
    for name, (kind, records) in files.items():
        settings[name] = str(folder / f"{name}.mmdb")
        _write(settings[name], kind, records, BUILT + 86_400 * later)
    settings["network_lists"] = {"relay": [_write_list(folder / "relay.csv")]}
    return settings


def _blocks() -> list[tuple[str, Net, int, list[str]]]:
    """Each block of each network, with what stands for it in a file."""
    found = [
        (name, net, block, [v4(name, block, 0) + "/24", v6(name, 0, block=block, host=0) + "/36"])
        for name, net in NETS.items()
        for block in range(BLOCKS)
    ]
    return [*found, *(("cdn", _CDN_NET, block, [cdn(block, 0) + "/24"]) for block in (0, 1))]


def _places(later: bool) -> dict[str, Any]:
    records: dict[str, Any] = {}
    for name, net, block, networks in _blocks():
        moved = later and name == "home" and block < 2
        city = "Paris" if moved else net.place(block)
        country, country_id, continent, city_id, latitude, longitude = PLACES[city]
        record = {
            "city": {"geoname_id": city_id, "names": {"en": city}},
            "continent": {"code": continent, "names": {"en": continent}},
            "country": {"geoname_id": country_id, "iso_code": country, "names": {"en": country}},
            "location": {"latitude": latitude, "longitude": longitude, "accuracy_radius": 20},
        }
        records |= dict.fromkeys(networks, record)
    return records


def _owners(later: bool) -> dict[str, Any]:
    records: dict[str, Any] = {}
    for name, net, _, networks in _blocks():
        owner = NETS["home"] if later and name == "cable" else net
        record = {
            "autonomous_system_number": owner.asn,
            "autonomous_system_organization": owner.organisation,
        }
        records |= dict.fromkeys(networks, record)
    return records


def _hiding() -> dict[str, Any]:
    return {
        network: {"is_anonymous": True, net.hides: True}
        for _, net, _, networks in _blocks()
        if net.hides not in ("", "relay")
        for network in networks
    }


def _connections() -> dict[str, Any]:
    return {
        network: {"connection_type": net.connection}
        for _, net, _, networks in _blocks()
        for network in networks
    }


def _write(path: str, kind: str, records: Mapping[str, Any], built: int) -> None:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind, languages=["en"])
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    with patch("mmdb_writer.time.time", return_value=float(built)):
        writer.to_db_file(path)


def _write_list(path: Path) -> str:
    """A list in the shape of the one that Apple publishes of Private Relay."""
    lines = []
    for _, net, block, networks in _blocks():
        city = net.place(block)
        if net.hides == "relay":
            lines += [f"{network},{PLACES[city][0]},,{city}," for network in networks]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)
