"""Make the two databases of `gatehound demo`; run it again and the bytes are the same.

    python tests/make_demo_databases.py [FOLDER]

The assignments are made up: addresses from the ranges for documentation (RFC 5737, RFC 3849),
AS numbers from theirs (RFC 5398), on real cities with their GeoNames ids. FOLDER is the demo's
own by default.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # it ships no stubs

FOLDER: Final = Path(__file__).parents[1] / "src" / "gatehound" / "cli" / "demo"
BUILT: Final = 1_750_000_000  # a fixed date: it is written into the file
CITY_FILE: Final = "demo-city.mmdb"
ASN_FILE: Final = "demo-asn.mmdb"

# country: (GeoNames id, name, continent, its GeoNames id, its name)
COUNTRIES: Final = {
    "DE": (2921044, "Germany", "EU", 6255148, "Europe"),
    "GB": (2635167, "United Kingdom", "EU", 6255148, "Europe"),
    "CA": (6251999, "Canada", "NA", 6255149, "North America"),
    "SG": (1880251, "Singapore", "AS", 6255147, "Asia"),
}
# network: (country, city, its GeoNames id, ASN, organisation)
NETWORKS: Final = {
    "203.0.113.0/24": ("DE", "Berlin", 2950159, 64496, "Example Fibre"),
    "2001:db8:49::/48": ("DE", "Berlin", 2950159, 64497, "Example Mobile"),
    "2001:db8:40::/48": ("DE", "Hamburg", 2911298, 64498, "Example Cable"),
    "198.51.100.0/24": ("GB", "London", 2643743, 64499, "Example Offices"),
    "2001:db8:44::/48": ("GB", "Leeds", 2644688, 64500, "Example Broadband"),
    "2001:db8:1::/48": ("CA", "Toronto", 6167865, 64501, "Example Libraries"),
    "2001:db8:10::/48": ("CA", "Montréal", 6077243, 64502, "Example Télécom"),
    "192.0.2.0/24": ("SG", "Singapore", 1880252, 64511, "Example Hosting"),
}


def city_record(country: str, city: str, geoname_id: int) -> dict[str, Any]:
    """Return a record in the shape of a GeoLite2 City database."""
    country_id, country_name, continent, continent_id, continent_name = COUNTRIES[country]
    return {
        "city": {"geoname_id": geoname_id, "names": {"en": city}},
        "continent": {
            "code": continent,
            "geoname_id": continent_id,
            "names": {"en": continent_name},
        },
        "country": {
            "geoname_id": country_id,
            "iso_code": country,
            "names": {"en": country_name},
        },
    }


def writer(database_type: str) -> MMDBWriter:
    """Begin a database of IPv6 and IPv4 networks."""
    return MMDBWriter(
        ip_version=6,
        ipv4_compatible=True,
        database_type=database_type,
        languages=["en"],
        description="Made-up places and networks in documentation ranges, for gatehound demo",
    )


def make(folder: Path) -> None:
    """Write both files."""
    # gatehound and geoip2 tell what is in a file by words of its type.
    cities, numbers = writer("gatehound-demo-City"), writer("gatehound-demo-GeoLite2-ASN")
    for network, (country, city, geoname_id, asn, organisation) in NETWORKS.items():
        cities.insert_network(IPSet([network]), city_record(country, city, geoname_id))
        numbers.insert_network(
            IPSet([network]),
            {
                "autonomous_system_number": asn,
                "autonomous_system_organization": organisation,
            },
        )
    with patch("mmdb_writer.time.time", return_value=float(BUILT)):
        cities.to_db_file(str(folder / CITY_FILE))
        numbers.to_db_file(str(folder / ASN_FILE))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
