"""The countries of the simulated world: real codes, borders, places and GeoNames ids.

A border is named by both countries that share it, and only where both are in this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Final


@dataclass(frozen=True, slots=True)
class City:
    """A city: its name, GeoNames id and where it is, in degrees."""

    name: str
    geoname_id: int
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Country:
    """A country: `share` is its part of the users, `zone` its hours ahead of UTC."""

    code: str
    name: str
    geoname_id: int
    continent: str
    cities: tuple[City, City]
    neighbours: tuple[str, ...]
    share: float
    zone: int
    language: str


CONTINENTS: Final = {
    "AF": (6255146, "Africa"),
    "AS": (6255147, "Asia"),
    "EU": (6255148, "Europe"),
    "NA": (6255149, "North America"),
    "OC": (6255151, "Oceania"),
    "SA": (6255150, "South America"),
}

_ROWS: Final = """
DE Germany 2921044 EU 16 1 de-DE FR,NL,PL,AT,CH Berlin:2950159:52.52:13.41 Munich:2867714:48.14:11.58
FR France 3017382 EU 8 1 fr-FR DE,CH,IT,ES Paris:2988507:48.85:2.35 Lyon:2996944:45.75:4.85
NL Netherlands 2750405 EU 5 1 nl-NL DE Amsterdam:2759794:52.37:4.89 Groningen:2755251:53.22:6.57
PL Poland 798544 EU 5 1 pl-PL DE Warsaw:756135:52.23:21.01 Krakow:3094802:50.06:19.94
AT Austria 2782113 EU 3 1 de-AT DE,CH,IT Vienna:2761369:48.21:16.37 Graz:2778067:47.07:15.45
CH Switzerland 2658434 EU 3 1 de-CH DE,FR,AT,IT Bern:2661552:46.95:7.45 Geneva:2660646:46.20:6.15
IT Italy 3175395 EU 5 1 it-IT FR,CH,AT Rome:3169070:41.89:12.48 Milan:3173435:45.46:9.19
ES Spain 2510769 EU 5 1 es-ES FR Madrid:3117735:40.42:-3.70 Barcelona:3128760:41.39:2.16
GB United_Kingdom 2635167 EU 8 0 en-GB IE London:2643743:51.51:-0.13 Manchester:2643123:53.48:-2.24
IE Ireland 2963597 EU 2 0 en-IE GB Dublin:2964574:53.33:-6.25 Cork:2965140:51.90:-8.47
SE Sweden 2661886 EU 3 1 sv-SE NO Stockholm:2673730:59.33:18.06 Gothenburg:2711537:57.71:11.97
NO Norway 3144096 EU 2 1 nb-NO SE Oslo:3143244:59.91:10.75 Bergen:3161732:60.39:5.32
US United_States 6252001 NA 14 -5 en-US CA,MX Washington:4140963:38.90:-77.04 San_Francisco:5391959:37.77:-122.42
CA Canada 6251999 NA 4 -5 en-CA US Ottawa:6094817:45.41:-75.70 Vancouver:6173331:49.25:-123.12
MX Mexico 3996063 NA 3 -6 es-MX US Mexico_City:3530597:19.43:-99.13 Guadalajara:4005539:20.67:-103.35
BR Brazil 3469034 SA 4 -3 pt-BR AR Brasilia:3469058:-15.78:-47.93 Sao_Paulo:3448439:-23.55:-46.64
AR Argentina 3865483 SA 2 -3 es-AR BR Buenos_Aires:3435910:-34.61:-58.38 Cordoba:3860259:-31.41:-64.18
JP Japan 1861060 AS 3 9 ja-JP - Tokyo:1850147:35.69:139.69 Osaka:1853909:34.69:135.50
IN India 1269750 AS 4 5 en-IN - New_Delhi:1261481:28.64:77.22 Mumbai:1275339:19.07:72.88
SG Singapore 1880251 AS 1 8 en-SG MY Singapore:1880252:1.29:103.85 Woodlands:1882316:1.44:103.79
MY Malaysia 1733045 AS 1 8 ms-MY SG Kuala_Lumpur:1735161:3.14:101.69 George_Town:1735106:5.41:100.34
TR Turkey 298795 AS 2 3 tr-TR - Ankara:323786:39.92:32.85 Istanbul:745044:41.01:28.95
AU Australia 2077456 OC 3 10 en-AU - Canberra:2172517:-35.28:149.13 Sydney:2147714:-33.87:151.21
ZA South_Africa 953987 AF 1 2 en-ZA - Pretoria:964137:-25.74:28.19 Cape_Town:3369157:-33.93:18.42
NG Nigeria 2328926 AF 1 1 en-NG - Abuja:2352778:9.06:7.49 Lagos:2332459:6.45:3.39
KE Kenya 192950 AF 1 3 en-KE - Nairobi:184745:-1.28:36.82 Mombasa:186301:-4.05:39.66
"""  # noqa: E501 - a table reads best with a line for each


def _city(text: str) -> City:
    name, number, latitude, longitude = text.split(":")
    return City(name.replace("_", " "), int(number), float(latitude), float(longitude))


def _country(row: str) -> Country:
    code, name, number, continent, share, zone, language, borders, first, second = row.split()
    return Country(
        code=code,
        name=name.replace("_", " "),
        geoname_id=int(number),
        continent=continent,
        cities=(_city(first), _city(second)),
        neighbours=() if borders == "-" else tuple(borders.split(",")),
        share=float(share),
        zone=int(zone),
        language=language,
    )


COUNTRIES: Final = {row[:2]: _country(row) for row in _ROWS.strip().splitlines()}
CODES: Final = tuple(COUNTRIES)


def is_far(one: str, other: str) -> bool:
    """True for two countries that are neither the same nor neighbours."""
    return one != other and other not in COUNTRIES[one].neighbours


def is_same_continent(one: str, other: str) -> bool:
    """True for two countries of one continent."""
    return COUNTRIES[one].continent == COUNTRIES[other].continent


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the great-circle distance in km of two places in degrees (haversine formula)."""
    north, east = radians(other[0] - one[0]), radians(other[1] - one[1])
    cosines = cos(radians(one[0])) * cos(radians(other[0]))
    half = sin(north / 2) ** 2 + cosines * sin(east / 2) ** 2
    return 2 * 6371.0 * asin(sqrt(min(1.0, half)))
