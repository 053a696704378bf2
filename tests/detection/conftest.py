"""Databases for the tests of detection, written once a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from detection_kit import ASN_RECORDS, CITY_RECORDS, write_database

from gatehound.detection import Networks


@pytest.fixture(scope="session")
def city_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("mmdb") / "city.mmdb"
    return write_database(path, "GeoLite2-City", CITY_RECORDS)


@pytest.fixture(scope="session")
def asn_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("mmdb") / "asn.mmdb"
    return write_database(path, "GeoLite2-ASN", ASN_RECORDS)


@pytest.fixture(scope="session")
def country_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    records = {
        network: {"country": record["country"], "continent": record["continent"]}
        for network, record in CITY_RECORDS.items()
    }
    path: Path = tmp_path_factory.mktemp("mmdb") / "country.mmdb"
    return write_database(path, "GeoLite2-Country", records)


@pytest.fixture(scope="session")
def networks(city_database: str, asn_database: str) -> Networks:
    return Networks(city=city_database, asn=asn_database)
