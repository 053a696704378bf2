"""A database update is never a move: what a session makes of files that were replaced."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from detection_kit import ASN_RECORDS, CITY_RECORDS, Story, codes, detection, place, write_database
from reload_kit import city, words

from gatehound.detection import Networks

HERE = ip_address("192.0.2.1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "city.mmdb"


def moved(records: Any, **changes: Any) -> Any:
    """Return records in which every country is another one."""
    return {network: {**record, **place(**changes)} for network, record in records.items()}


def story_over(networks: Networks, update: Callable[[], object], then: str) -> list[str]:
    """Use a session before and after an update; return what is found afterwards."""
    story = Story(detection(networks=networks))
    first = story.step(networks.lookup(ip_address("192.0.2.1")))
    assert codes(first) == []
    update()
    assert networks.refresh()
    return codes(story.step(networks.lookup(ip_address(then))))


def network_codes(found: list[str]) -> list[str]:
    return [
        code for code in found if code.startswith(("network", "country", "countries", "travel"))
    ]


@pytest.mark.parametrize(("country", "continent"), [("FR", "EU"), ("US", "NA")])
def test_the_country_of_a_known_prefix_changes(
    path: Path, asn_database: str, country: str, continent: str
) -> None:
    networks = Networks(city=city(path, CITY_RECORDS), asn=asn_database)
    other = moved(CITY_RECORDS, country=country, continent=continent)
    found = story_over(networks, lambda: city(path, other), "192.0.2.1")
    assert networks.lookup(HERE).country == country
    assert network_codes(found) == []


def test_the_country_of_a_known_asn_changes(path: Path, tmp_path: Path) -> None:
    """Another prefix of the same provider is the level below a country, whatever it is called."""
    asns = {"192.0.2.0/23": ASN_RECORDS["192.0.2.0/24"]}
    asn = write_database(tmp_path / "asn.mmdb", "GeoLite2-ASN", asns)
    records = {"192.0.2.0/23": place("DE", "EU", "Berlin", 2950159)}
    networks = Networks(city=city(path, records), asn=asn)
    story = Story(detection(networks=networks))
    story.step(networks.lookup(ip_address("192.0.2.1")))
    city(path, moved(records, country="US", continent="NA"))
    assert networks.refresh()
    found = networks.lookup(ip_address("192.0.3.1"))
    assert (found.asn, found.country) == (64496, "US")
    judged = story.step(found)
    assert all(signal.detail.get("level", "network") == "network" for signal in judged.fresh)
    assert all(signal.weight <= 0.6 for signal in judged.fresh)


def test_the_owner_of_a_known_prefix_changes(tmp_path: Path, city_database: str) -> None:
    path = tmp_path / "asn.mmdb"
    write_database(path, "GeoLite2-ASN", ASN_RECORDS)
    networks = Networks(city=city_database, asn=str(path))

    def update() -> None:
        new = path.with_suffix(".new")
        other = {"autonomous_system_number": 64511, "autonomous_system_organization": "Heir"}
        write_database(new, "GeoLite2-ASN", {"192.0.2.0/24": other})
        new.replace(path)

    assert network_codes(story_over(networks, update, "192.0.2.1")) == []
    assert networks.lookup(HERE).asn == 64511


@pytest.mark.parametrize("kind", ["vpn", "tor", "proxy", "hosting", "relay", "mobile"])
@pytest.mark.parametrize("direction", ["listed", "dropped"])
def test_the_kind_of_a_known_network_changes(
    tmp_path: Path, city_database: str, asn_database: str, kind: str, direction: str
) -> None:
    texts = ["# nobody\n", "192.0.2.0/24\n"]
    before, after = texts if direction == "listed" else reversed(texts)
    path = tmp_path / "list.txt"
    networks = Networks(city=city_database, asn=asn_database, lists={kind: [words(path, before)]})
    build = networks.build
    found = story_over(networks, lambda: words(path, after), "192.0.2.1")
    assert networks.lookup(HERE).kind == (kind if direction == "listed" else "")
    assert network_codes(found) == []
    assert networks.build == build
