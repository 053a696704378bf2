"""What databases of many makers say: places, owners and kinds."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from detection_kit import ASN_RECORDS, place, write_database
from geoip2.database import Reader
from mmdb_writer import MMDBWriter
from msgspec.structs import replace
from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types

from gatehound.detection import Networks
from gatehound.model import Network


def facts(path: str, setting: str = "city", address: str = "192.0.2.1") -> Network:
    networks = Networks(**{setting: path})  # type: ignore[arg-type] # a path for any of them
    found = networks.lookup(ip_address(address))
    assert networks.failures == 0
    return found


BERLIN = (52.52, 13.4)
# Records as the vendors document them, under the types that they give their files.
PLACES: list[tuple[str, dict[str, Any], Network]] = [
    (
        "ipinfo generic_country.mmdb",
        {"continent": "EU", "continent_name": "Europe", "country": "DE", "country_name": "Germany"},
        Network(country="DE", continent="EU"),
    ),
    (
        "ipinfo bundle_lite.mmdb",
        {
            "as_name": "Home ISP",
            "asn": "AS64496",
            "continent": "Europe",
            "continent_code": "EU",
            "country": "Germany",
            "country_code": "DE",
        },
        Network(asn=64496, organisation="Home ISP", country="DE", continent="EU"),
    ),
    (
        "ipinfo standard_location.mmdb",
        {"city": "Berlin", "country": "DE", "geoname_id": "2950159", "lat": "52.52", "lng": "13.4"},
        Network(country="DE", continent="EU", city="Berlin", place_id=2950159, location=BERLIN),
    ),
    (
        "dbip-city",  # the type in small letters, as sapics's: flat, and unknown to geoip2
        {"country_code": "DE", "city": "Berlin", "latitude": 52.52, "longitude": 13.4},
        Network(country="DE", continent="EU", city="Berlin", location=BERLIN),
    ),
    (
        "DBIP-City-Lite",
        {
            "city": {"names": {"en": "Berlin"}},
            "continent": {"code": "EU", "geoname_id": 6255148, "names": {"en": "Europe"}},
            "country": {"geoname_id": 2921044, "iso_code": "DE", "names": {"en": "Germany"}},
            "location": {"latitude": 52.52, "longitude": 13.4},
        },
        Network(country="DE", continent="EU", city="Berlin", place_id=2921044, location=BERLIN),
    ),
    (
        "Country by hand",  # flat, though the type says one that geoip2 has a model for
        {"country": "DE"},
        Network(country="DE", continent="EU"),
    ),
    (
        "Own",
        {"country": {"iso_code": "DE"}, "location": {"latitude": 52.52, "longitude": 13.4}},
        Network(country="DE", continent="EU", location=BERLIN),
    ),
    (
        "GeoIP2-Enterprise",
        {
            "country": {"iso_code": "DE"},
            "traits": {
                "autonomous_system_number": 64496,
                "autonomous_system_organization": "Home ISP",
                "connection_type": "Cable/DSL",
                "user_type": "cellular",
            },
        },
        Network(asn=64496, organisation="Home ISP", country="DE", continent="EU", kind="mobile"),
    ),
]


@pytest.mark.parametrize(("database_type", "record", "expected"), PLACES)
def test_places_of_other_vendors(
    tmp_path: Path, database_type: str, record: dict[str, Any], expected: Network
) -> None:
    path = write_database(tmp_path / "x.mmdb", database_type, {"192.0.2.0/24": record})
    found = facts(path)
    assert found == replace(expected, prefix="192.0.2.0/24", build=found.build)
    assert facts(path, address="198.51.100.1").country == ""


OWNERS: list[tuple[str, dict[str, Any], str]] = [
    ("ipinfo standard_asn.mmdb", {"asn": "AS64496", "name": "Home ISP", "type": "isp"}, "isp"),
    ("ipinfo standard_asn.mmdb", {"asn": "AS64496", "name": "Home ISP", "type": "inactive"}, ""),
    (
        "DBIP-ASN-Lite (compat=GeoLite2-ASN)",
        {"autonomous_system_number": 64496, "autonomous_system_organization": "Home ISP"},
        "",
    ),
    (
        "GeoIP2-ISP",
        {
            "autonomous_system_number": 64496,
            "autonomous_system_organization": "Home ISP",
            "isp": "Home",
            "organization": "Customer",
        },
        "",
    ),
    (
        "GeoIP2-Enterprise",
        {
            "traits": {
                "autonomous_system_number": 64496,
                "autonomous_system_organization": "Home ISP",
                "user_type": "business",
            }
        },
        "business",
    ),
]


@pytest.mark.parametrize(("database_type", "record", "kind"), OWNERS)
def test_owners_of_other_vendors(
    tmp_path: Path, database_type: str, record: dict[str, Any], kind: str
) -> None:
    path = write_database(tmp_path / "x.mmdb", database_type, {"192.0.2.0/24": record})
    found = facts(path, "asn")
    assert (found.asn, found.organisation, found.kind) == (64496, "Home ISP", kind)


def test_unreadable_values_are_unknown(tmp_path: Path) -> None:
    records = {
        "192.0.2.0/24": {"country": "-", "city": "-", "lat": "north", "lng": "400", "asn": "ASx"},
        "198.51.100.0/24": {"country": "DE", "lat": 0.0, "lng": 0.0},
        "203.0.113.0/24": {"country": "DE", "lat": 0.0, "lng": 7.5},
    }
    path = write_database(tmp_path / "odd.mmdb", "Own", records)
    assert facts(path) == Network(prefix="192.0.2.0/24", build=facts(path).build)
    assert facts(path, address="198.51.100.1").location is None
    assert facts(path, address="203.0.113.1").location == (0.0, 7.5)


@pytest.mark.parametrize(
    ("radius", "known"), [(None, True), (20, True), (250, True), (1000, False)]
)
def test_a_place_that_is_only_a_country_has_no_location(
    tmp_path: Path, radius: int | None, known: bool
) -> None:
    record = place("US", "NA")
    record["location"] = {"latitude": 37.75, "longitude": -97.8}
    if radius:
        record["location"]["accuracy_radius"] = radius
    path = write_database(tmp_path / "c.mmdb", "GeoLite2-City", {"192.0.2.0/24": record})
    assert facts(path).location == ((37.75, -97.8) if known else None)


def test_an_ipv4_database_knows_no_ipv6(tmp_path: Path) -> None:
    writer = MMDBWriter(ip_version=4, database_type="Own")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": "DE"})
    writer.to_db_file(str(tmp_path / "v4.mmdb"))
    assert facts(str(tmp_path / "v4.mmdb")).country == "DE"
    assert facts(str(tmp_path / "v4.mmdb"), address="2001:db8::1").country == ""


# --- the kind of a network ---

ANONYMOUS: list[tuple[dict[str, Any], str]] = [
    ({"is_anonymous": True, "is_tor_exit_node": True, "is_hosting_provider": True}, "tor"),
    ({"is_anonymous": True, "is_anonymous_vpn": True, "is_hosting_provider": True}, "vpn"),
    ({"is_anonymous": True, "is_hosting_provider": True, "is_public_proxy": True}, "hosting"),
    ({"is_anonymous": True, "is_public_proxy": True}, "proxy"),
    ({"is_anonymous": True, "is_residential_proxy": True}, ""),
    ({"is_anonymous": True}, ""),
    ({"is_anonymous_vpn": False}, ""),
]


@pytest.mark.parametrize(("record", "kind"), ANONYMOUS)
@pytest.mark.parametrize("database_type", ["GeoIP2-Anonymous-IP", "GeoIP-Anonymous-Plus", "Own"])
def test_kind_by_anonymous_database(
    tmp_path: Path, database_type: str, record: dict[str, Any], kind: str
) -> None:
    path = write_database(tmp_path / "a.mmdb", database_type, {"192.0.2.0/24": record})
    assert facts(path, "anonymous").kind == kind


def test_kind_by_ipinfo_privacy(tmp_path: Path) -> None:
    empty = {"hosting": "", "proxy": "", "relay": "", "service": "", "tor": "", "vpn": ""}
    for kind in ("hosting", "proxy", "relay", "tor", "vpn"):
        records = {"192.0.2.0/24": {**empty, "hosting": "true", kind: "true"}}
        path = write_database(tmp_path / kind, "ipinfo standard_privacy.mmdb", records)
        assert facts(path, "anonymous").kind == ("hosting" if kind == "proxy" else kind)


@pytest.mark.parametrize(
    ("connection", "kind"),
    [
        ("Cellular", "mobile"),
        ("Satellite", "mobile"),
        ("Corporate", "business"),
        ("Cable/DSL", "isp"),
        ("Dialup", "isp"),
        ("Carrier pigeon", ""),
    ],
)
def test_kind_by_connection_database(tmp_path: Path, connection: str, kind: str) -> None:
    records = {"192.0.2.0/24": {"connection_type": connection}}
    path = write_database(tmp_path / "c.mmdb", "GeoIP2-Connection-Type", records)
    assert facts(path, "connection").kind == kind


def by_model(reader: Reader, address: str) -> Network:
    """What geoip2's own model of a City file says, in our words."""
    model = reader.city(address)
    here = model.location
    north, east = here.latitude, here.longitude
    near = (here.accuracy_radius or 0) <= 250 and north is not None and east is not None
    return Network(
        country=model.country.iso_code or "",
        continent=model.continent.code or "",
        city=(model.city.name or "")[:128],
        place_id=model.city.geoname_id or model.country.geoname_id or 0,
        location=(north or 0.0, east or 0.0) if near else None,
    )


def test_what_is_read_is_what_the_models_of_geoip2_say(city_database: str, tmp_path: Path) -> None:
    """An oracle of MaxMind's own; the records are those of the tests' City and ASN databases."""
    with Reader(city_database) as reader:
        for address in ("192.0.2.1", "192.0.2.200", "198.51.100.7", "203.0.113.9", "2001:db8:1::1"):
            found = facts(city_database, address=address)
            assert replace(found, prefix="", build=0) == by_model(reader, address)
    asn = write_database(tmp_path / "asn.mmdb", "GeoLite2-ASN", ASN_RECORDS)
    with Reader(asn) as reader:
        model = reader.asn("192.0.2.1")
        found = facts(asn, "asn")
        assert found.asn == model.autonomous_system_number
        assert found.organisation == model.autonomous_system_organization


# --- MaxMind's own test files, where they are at hand ---

MMDB = Path(os.environ.get("TESTS_MMDB", ""))
with_maxmind_files = pytest.mark.skipif(
    "TESTS_MMDB" not in os.environ,
    reason="TESTS_MMDB is not set; it names a folder with the test databases of MaxMind-DB",
)


@with_maxmind_files
@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("81.2.69.11", "tor"),
        ("1.2.0.1", "vpn"),
        ("71.160.223.5", "hosting"),
        ("186.30.236.1", "proxy"),
        ("207.192.168.1", ""),
    ],
)
def test_maxmind_anonymous(address: str, kind: str) -> None:
    assert facts(str(MMDB / "GeoIP2-Anonymous-IP-Test.mmdb"), "anonymous", address).kind == kind


@with_maxmind_files
@pytest.mark.parametrize(
    ("address", "kind"),
    [("1.0.1.1", "mobile"), ("1.0.0.1", "isp"), ("201.243.200.1", "business")],
)
def test_maxmind_connection(address: str, kind: str) -> None:
    assert facts(str(MMDB / "GeoIP2-Connection-Type-Test.mmdb"), "connection", address).kind == kind


@with_maxmind_files
def test_maxmind_location() -> None:
    london = facts(str(MMDB / "GeoIP2-City-Test.mmdb"), address="81.2.69.160")
    assert london.location == (51.5142, -0.0931)


@with_maxmind_files
def test_maxmind_places_are_those_of_geoip2s_models() -> None:
    path = str(MMDB / "GeoIP2-City-Test.mmdb")
    networks, compared = Networks(city=path), 0
    with maxminddb.open_database(path) as records, Reader(path) as reader:
        for network, _ in records:
            found = networks.lookup(network.network_address)
            expected = by_model(reader, str(network.network_address))
            if expected.country and expected.continent:  # else ours fills in the continent
                assert (
                    replace(found, prefix="", build=0, kind="", asn=0, organisation="") == expected
                )
                compared += 1
    assert compared > 100
