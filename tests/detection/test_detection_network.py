"""What is known of an address, and what is wrong with a database."""

from __future__ import annotations

import math
import os
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from detection_kit import FIXED, place, write_database
from hypothesis import given
from hypothesis import strategies as st

from gatehound.detection import DetectionSettings, Networks, prefix_of
from gatehound.detection.network import LIST_ORDER
from gatehound.detection.settings import NetworkListSettings
from gatehound.errors import SettingsError
from gatehound.model import Network
from gatehound.settings import Settings

ADDRESSES = st.ip_addresses()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/64"),
        ("64:ff9b::c000:201", "64:ff9b::/64"),
        ("255.255.255.255", "255.255.255.0/24"),
    ],
)
def test_prefix(address: str, expected: str) -> None:
    assert prefix_of(ip_address(address)) == expected


def test_prefix_of_nothing_and_of_other_lengths() -> None:
    assert prefix_of(None) == ""
    assert prefix_of(ip_address("192.0.2.77"), 32, 128) == "192.0.2.77/32"
    assert Networks(v4_prefix=16).prefix(ip_address("192.0.2.77")) == "192.0.0.0/16"


LOOKUPS = [
    ("192.0.2.1", 64496, "DE", "EU", "Berlin", 2950159),
    ("192.0.2.200", 64496, "DE", "EU", "Munich", 2867714),
    ("198.51.100.7", 64497, "FR", "EU", "Paris", 2988507),
    ("203.0.113.1", 0, "US", "NA", "New York", 5128581),
    ("203.0.113.200", 0, "", "", "", 0),
    ("2001:db8:1:7::1", 64496, "DE", "EU", "Berlin", 2950159),
    ("::ffff:192.0.2.1", 64496, "DE", "EU", "Berlin", 2950159),
    ("fe80::1%eth0", 0, "", "", "", 0),
    ("2001:db8:1:7::1%no-such-interface", 64496, "DE", "EU", "Berlin", 2950159),
]


@pytest.mark.parametrize(("address", "asn", "country", "continent", "city", "place_id"), LOOKUPS)
def test_lookup(
    networks: Networks,
    address: str,
    asn: int,
    country: str,
    continent: str,
    city: str,
    place_id: int,
) -> None:
    found = networks.lookup(ip_address(address))
    assert (found.asn, found.country, found.continent) == (asn, country, continent)
    assert (found.city, found.place_id) == (city, place_id)
    assert found.build == networks.build > 1_700_000_000
    assert networks.failures == 0


def test_place_is_told_to_people(networks: Networks) -> None:
    assert networks.lookup(ip_address("192.0.2.1")).place == "Berlin, DE"
    assert networks.lookup(ip_address("192.0.2.1")).organisation == "Home ISP"


def test_country_database_serves_as_city(country_database: str) -> None:
    networks = Networks(city=country_database)
    found = networks.lookup(ip_address("192.0.2.1"))
    assert (found.country, found.city, found.place_id) == ("DE", "", 2921044)
    assert (networks.has_city, networks.has_asn) == (True, False)


def test_no_database_gives_the_prefix_alone() -> None:
    networks = Networks()
    assert networks.lookup(ip_address("192.0.2.1")) == Network(prefix="192.0.2.0/24")
    assert networks.lookup(None) == Network()
    assert (networks.has_city, networks.has_asn, networks.build) == (False, False, 0)


@pytest.mark.slow
@FIXED
@given(address=ADDRESSES)
def test_no_address_makes_it_raise(networks: Networks, address: IPv4Address | IPv6Address) -> None:
    """Oracle: the prefix contains the address. Not checked: what the databases say."""
    found = networks.lookup(address)
    assert found.prefix == prefix_of(address)
    assert networks.failures == 0


def problem(**paths: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        Networks(**paths)
    return str(caught.value)


def test_wrong_paths_and_lengths_are_named_all_at_once(tmp_path: Path) -> None:
    text = problem(city=str(tmp_path / "no.mmdb"), asn=str(tmp_path), v4_prefix=33, v6_prefix=0)
    assert text.startswith("4 problems")
    assert "detection.v4_prefix: 33" in text
    assert "no such file" in text


def test_types_are_checked(tmp_path: Path, city_database: str, asn_database: str) -> None:
    assert "set it as detection.asn_database" in problem(city=asn_database)
    assert "set it as detection.city_database" in problem(asn=city_database)
    other = write_database(tmp_path / "o.mmdb", "GeoIP2-Domain", {"192.0.2.0/24": {"domain": "x"}})
    text = problem(city=other)
    assert "it is of type 'GeoIP2-Domain' with the keys domain: a country is not" in text
    assert "use a database of type City or Country or Enterprise, or with a key country" in text
    assert "with the keys of no record" in problem(asn=write_database(tmp_path / "e", "Own", {}))


def test_files_that_are_no_database(tmp_path: Path, city_database: str) -> None:
    text = tmp_path / "text.mmdb"
    text.write_text("GeoLite2")
    assert "cannot be opened as a MaxMind DB file" in problem(city=str(text))
    cut = tmp_path / "cut.mmdb"
    cut.write_bytes(Path(city_database).read_bytes()[:200])
    assert str(cut) in problem(city=str(cut))


def break_record(path: str, name: bytes, to: Path) -> str:
    """Overwrite the control byte of a text with the size of another: decoding it fails."""
    data = bytearray(Path(path).read_bytes())
    at = data.index(name)
    data[at - 1] = 0xFF  # MaxMind DB 2.0: a map whose size is in the next three bytes
    to.write_bytes(data)
    return str(to)


def test_a_file_whose_lookups_fail_is_found_when_it_is_opened(
    tmp_path: Path, city_database: str
) -> None:
    broken = break_record(city_database, b"Berlin", tmp_path / "broken.mmdb")
    assert "its records cannot be read (InvalidDatabaseError)" in problem(city=broken)


@pytest.mark.slow
def test_a_later_failure_gives_the_prefix_and_is_counted(tmp_path: Path) -> None:
    records = {f"192.0.{n}.0/24": place("DE", "EU", f"City{n}") for n in range(256)}
    records |= {f"198.51.{n}.0/24": place("FR", "EU", f"Ville{n}") for n in range(99, 101)}
    path = write_database(tmp_path / "many.mmdb", "GeoLite2-City", records)
    networks = Networks(city=break_record(path, b"Ville100", tmp_path / "broken.mmdb"))
    assert networks.lookup(ip_address("192.0.7.1")).city == "City7"
    bad = networks.lookup(ip_address("198.51.100.7"))
    assert bad == Network(prefix="198.51.100.0/24", build=networks.build)
    assert networks.failures == 1
    numbers = {f"192.0.{n}.0/24": {"autonomous_system_organization": f"N{n}"} for n in range(256)}
    numbers |= {f"198.51.{n}.0/24": {"autonomous_system_organization": f"Z{n}"} for n in (99, 100)}
    path = write_database(tmp_path / "asn.mmdb", "GeoLite2-ASN", numbers)
    networks = Networks(asn=break_record(path, b"Z100", tmp_path / "asn-broken.mmdb"))
    assert networks.lookup(ip_address("198.51.100.7")).prefix == "198.51.100.0/24"
    assert networks.failures == 1


def test_odd_values_become_unknown(tmp_path: Path) -> None:
    odd: dict[str, Any] = {
        "city": {"geoname_id": 1 << 40, "names": {"en": "x" * 500}},
        "country": {"iso_code": "DEU"},
        "continent": {"code": "é1"},
    }
    networks = Networks(city=write_database(tmp_path / "odd.mmdb", "X-City", {"192.0.2.0/24": odd}))
    found = networks.lookup(ip_address("192.0.2.1"))
    assert (found.country, found.continent, found.place_id) == ("", "", 0)
    assert len(found.city) == 128


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, city_database: str) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    assert "pip install 'gatehound[geoip]'" in problem(city=city_database)
    assert Networks().lookup(ip_address("192.0.2.1")).prefix


def test_the_cache_is_bounded(networks: Networks) -> None:
    assert networks.lookup(ip_address("192.0.2.1")) is networks.lookup(ip_address("192.0.2.1"))
    assert networks._files.state.view.cache_info().maxsize == 4096  # type: ignore[attr-defined] # lru_cache's


def test_kind_by_precedence(tmp_path: Path) -> None:
    """Each source in turn is taken away, and the next one speaks."""
    net = "192.0.2.0/24"
    paths = {
        "anonymous": write_database(
            tmp_path / "a", "GeoIP2-Anonymous-IP", {net: {"is_anonymous_vpn": True}}
        ),
        "connection": write_database(
            tmp_path / "c", "GeoIP2-Connection-Type", {net: {"connection_type": "Cellular"}}
        ),
        "city": write_database(
            tmp_path / "e",
            "GeoIP2-Enterprise",
            {net: {"country": {"iso_code": "DE"}, "traits": {"user_type": "business"}}},
        ),
        "asn": write_database(tmp_path / "n", "Own", {net: {"asn": "AS64496", "type": "isp"}}),
    }
    lists = {}
    for kind in LIST_ORDER:
        file = tmp_path / f"{kind}.txt"
        file.write_text("192.0.2.1\n")
        lists[kind] = [str(file)]
    told = []
    address = ip_address("192.0.2.1")
    for kind in LIST_ORDER:
        told.append(Networks(**paths, lists=lists).lookup(address).kind)  # type: ignore[arg-type] # paths
        del lists[kind]
    for name in ("anonymous", "connection", "city", "asn"):
        told.append(Networks(**paths).lookup(address).kind)  # type: ignore[arg-type] # paths
        del paths[name]
    assert told == [*LIST_ORDER, "vpn", "mobile", "business", "isp"]


def test_as_numbers_go_before_what_knows_no_address_and_after_what_does(tmp_path: Path) -> None:
    """Each source in turn is taken away, and the next one speaks."""
    net, provider = "192.0.2.0/24", {"asn": "AS64496", "type": "isp"}
    asn = write_database(tmp_path / "n", "Own", {"192.0.2.0/23": provider, "10.0.0.0/8": {}})
    paths = {
        "anonymous": write_database(
            tmp_path / "a", "GeoIP2-Anonymous-IP", {net: {"is_public_proxy": True}}
        ),
        "connection": write_database(
            tmp_path / "c", "GeoIP2-Connection-Type", {net: {"connection_type": "Cellular"}}
        ),
    }
    lists = {}
    for kind, text in {"tor": "AS64496", "business": "192.0.2.1", "isp": "AS64496"}.items():
        lists[kind] = [str(file := tmp_path / f"{kind}.txt")]
        file.write_text(f"{text}\n")

    def kind_of(address: str) -> str:
        return Networks(asn=asn, lists=lists, **paths).lookup(ip_address(address)).kind  # type: ignore[arg-type] # paths

    # Though Tor goes before business in LIST_ORDER: the one line is of the address.
    assert kind_of("192.0.2.1") == "business"
    assert kind_of("192.0.2.2") == "proxy"
    assert kind_of("192.0.3.1") == "tor"
    assert kind_of("10.0.0.1") == ""
    del paths["anonymous"]
    assert kind_of("192.0.2.2") == "tor"
    del lists["tor"]
    assert kind_of("192.0.2.2") == "isp"
    del lists["isp"]
    assert kind_of("192.0.2.2") == "mobile"
    del paths["connection"]
    assert kind_of("192.0.2.2") == "isp"  # the ASN database says so itself


def test_as_numbers_say_nothing_where_no_database_has_owners(
    tmp_path: Path, city_database: str, asn_database: str
) -> None:
    file = tmp_path / "tor.txt"
    file.write_text("AS64496\n192.0.2.9\n")
    lists = {"tor": [str(file)]}
    for networks in (Networks(lists=lists), Networks(city=city_database, lists=lists)):
        assert networks.lookup(ip_address("192.0.2.1")).kind == ""
        assert networks.lookup(ip_address("192.0.2.9")).kind == "tor"
    networks = Networks(city=city_database, asn=asn_database, lists=lists)
    assert networks.lookup(ip_address("192.0.2.1")).kind == "tor"
    assert networks.lookup(ip_address("203.0.113.1")).kind == "", "of no provider"


def test_the_number_of_an_enterprise_database_counts_too(tmp_path: Path) -> None:
    record = {"country": {"iso_code": "DE"}, "traits": {"autonomous_system_number": 64496}}
    city = write_database(tmp_path / "e", "GeoIP2-Enterprise", {"192.0.2.0/24": record})
    file = tmp_path / "vpn.txt"
    file.write_text("AS64496\n")
    networks = Networks(city=city, lists={"vpn": [str(file)]})
    assert networks.lookup(ip_address("192.0.2.1")).kind == "vpn"


def test_lists_alone_tell_kinds_and_no_build(tmp_path: Path) -> None:
    file = tmp_path / "relay.csv"
    file.write_text("2001:db8::/32,DE,DE-BE,Berlin,\n")
    networks = Networks(lists=NetworkListSettings(relay=(str(file),)))
    assert networks.lookup(ip_address("2001:db8::1")).kind == "relay"
    assert networks.lookup(ip_address("192.0.2.1")).kind == ""
    assert (networks.has_kinds, networks.has_city, networks.build) == (True, False, 0)
    assert not Networks().has_kinds


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    bad = tmp_path / "vpn.txt"
    bad.write_text("192.0.2.0/24\nnonsense\n")
    text = problem(
        city=str(tmp_path / "no.mmdb"),
        lists={"vpn": [str(bad)], "tor": str(tmp_path / "tor.txt"), "spies": []},
        reload_every=-1,
    )
    assert text.startswith("5 problems")
    for part in (
        f"detection.network_lists.vpn: {str(bad)!r} was given; line 2: 'nonsense' is no network;",
        "detection.network_lists.tor: ",
        "detection.network_lists.spies: there is no such kind; allowed are tor, relay, vpn",
        "detection.reload_every: -1 was given; it is 0 for never, or seconds",
    ):
        assert part in text


def test_settings_open_all_of_them(tmp_path: Path, city_database: str, asn_database: str) -> None:
    net = "192.0.2.0/24"
    file = tmp_path / "hosting.txt"
    file.write_text("192.0.2.1\n")
    settings = Settings(
        detection=DetectionSettings(
            city_database=city_database,
            asn_database=asn_database,
            anonymous_database=write_database(
                tmp_path / "a", "GeoIP2-Anonymous-IP", {net: {"is_public_proxy": True}}
            ),
            connection_database=write_database(
                tmp_path / "c", "GeoIP2-Connection-Type", {net: {"connection_type": "Dialup"}}
            ),
            network_lists=NetworkListSettings(hosting=(str(file),)),
            reload_every=0,
        )
    )
    networks = settings.networks()
    found = networks.lookup(ip_address("192.0.2.1"))
    assert (found.country, found.asn, found.kind) == ("DE", 64496, "hosting")
    assert networks.lookup(ip_address("192.0.2.2")).kind == "proxy"
    assert (networks.has_city, networks.has_asn, networks.has_kinds) == (True, True, True)
    assert networks._files.due == math.inf


# --- MaxMind's own test files, where they are at hand ---

MMDB = Path(os.environ.get("TESTS_MMDB", ""))
with_maxmind_files = pytest.mark.skipif(
    "TESTS_MMDB" not in os.environ,
    reason="TESTS_MMDB is not set; it names a folder with the test databases of MaxMind-DB",
)


@with_maxmind_files
def test_maxmind_city_and_asn() -> None:
    networks = Networks(
        city=str(MMDB / "GeoIP2-City-Test.mmdb"), asn=str(MMDB / "GeoLite2-ASN-Test.mmdb")
    )
    london = networks.lookup(ip_address("81.2.69.160"))
    assert (london.place, london.continent, london.place_id) == ("London, GB", "EU", 2643743)
    telstra = networks.lookup(ip_address("1.128.0.0"))
    assert (telstra.asn, telstra.organisation) == (1221, "Telstra Pty Ltd")
    assert networks.failures == 0


@with_maxmind_files
def test_maxmind_country() -> None:
    networks = Networks(city=str(MMDB / "GeoIP2-Country-Test.mmdb"))
    assert networks.lookup(ip_address("2001:218::1")).country == "JP"


@with_maxmind_files
@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("city", "GeoIP2-City-Test-Broken-Double-Format.mmdb", "its records cannot be read"),
        ("city", "GeoIP2-City-Test-Invalid-Node-Count.mmdb", "cannot be opened"),
        ("city", "MaxMind-DB-test-broken-pointers-24.mmdb", "its records cannot be read"),
        ("city", "GeoIP2-Anonymous-IP-Test.mmdb", "set it as detection.anonymous_database"),
        ("city", "GeoIP2-Connection-Type-Test.mmdb", "set it as detection.connection_database"),
        ("city", "GeoLite2-ASN-Test.mmdb", "set it as detection.asn_database"),
        ("asn", "GeoIP2-Country-Test.mmdb", "set it as detection.city_database"),
    ],
)
def test_maxmind_files_that_do_not_fit(kind: str, name: str, expected: str) -> None:
    assert expected in problem(**{kind: str(MMDB / name)})
