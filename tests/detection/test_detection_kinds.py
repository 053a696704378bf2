"""What the kind of a network changes: network_change, geo_anomaly, and which networks are one.

Scores are compared with the default policy: record 1.0, flag 4.5, step-up 6.5.
"""

from __future__ import annotations

from typing import Any

import detection_kit as kit
import pytest
from detection_kit import (
    AMERICA,
    CELL,
    FRANCE,
    ISP,
    ISP_OTHER,
    NOW,
    Story,
    codes,
    detection,
    observe,
    session,
)
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.detection import GeoAnomaly, Known, NetworkChange
from gatehound.detection.detectors.geo_anomaly import GATEWAYS
from gatehound.detection.detectors.network_change import (
    HOSTING,
    MOBILE,
    PLACELESS,
    POINTS,
    RELAY,
    SAME_KIND,
    USER_KNOWS_COUNTRY,
)
from gatehound.detection.evidence import Evidence
from gatehound.detection.network import LIST_ORDER
from gatehound.detection.novelty import Level, level_of
from gatehound.model import Network, NetworkKind

FLAG = 4.5
SPAIN = Network("203.0.115.0/24", 64500, "Otro", "ES", "EU", "Madrid", 3117735, 7)
KINDS: tuple[NetworkKind, ...] = ("", *LIST_ORDER)
LEVELS: dict[Level, Network] = {
    "provider": CELL,
    "neighbour": FRANCE,
    "country": SPAIN,
    "continent": AMERICA,
}


def of(network: Network, kind: NetworkKind) -> Network:
    return replace(network, kind=kind)


def known(*networks: Network) -> Known:
    """What a session or user that was on these networks is known by."""
    evidence = Evidence()
    for network in networks:
        evidence.learn(network, None, b"", NOW)
    return evidence.known()


def weight(network: Network, before: Known, user: Known | None = None) -> float:
    seen = observe(network=network, known=before, user_known=user or Known())
    return round(sum(one.weight for one in NetworkChange().inspect(seen)), 2)


def test_the_numbers() -> None:
    assert {level: points for level, (points, _) in POINTS.items()} == {
        "same_country": 0.6,
        "provider": 1.6,
        "neighbour": 2.6,
        "country": 3.2,
        "continent": 4.0,
    }
    assert (HOSTING, MOBILE, RELAY, SAME_KIND, USER_KNOWS_COUNTRY) == (1.4, -0.6, 0.2, 0.3, -0.9)
    assert {kind: points for kind, (points, _) in PLACELESS.items()} == {
        "tor": 6.6,
        "vpn": 2.5,
        "proxy": 2.5,
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
def test_alone_only_tor_and_servers_in_another_country_reach_the_flag(
    level: Level, kind: NetworkKind
) -> None:
    network = of(LEVELS[level], kind)
    assert level_of(network, known(ISP)) == level
    far = level in ("country", "continent")
    assert (weight(network, known(ISP)) >= FLAG) is (kind == "tor" or (kind == "hosting" and far))


# --- servers and Tor: lists are never complete ---


@pytest.mark.parametrize("level", LEVELS)
def test_tor_where_the_session_knows_servers_is_a_vpn(level: Level) -> None:
    """It may have begun at an exit that no list had."""
    tor = of(LEVELS[level], "tor")
    assert weight(tor, known(ISP)) == 6.6
    assert weight(tor, known(of(ISP, "hosting"))) == 2.5
    assert weight(tor, known(of(ISP, "tor"), of(ISP_OTHER, "hosting"))) == 0.3
    for other in ("isp", "business", "mobile", "relay", "vpn", "proxy"):
        assert weight(tor, known(of(ISP, other))) == 6.6


def test_that_the_user_knows_servers_elsewhere_makes_tor_no_better() -> None:
    tor, servers = of(AMERICA, "tor"), of(replace(CELL, asn=64555), "hosting")
    assert weight(tor, known(ISP), user=known(servers)) == 6.6
    assert weight(tor, known(ISP), user=known(of(FRANCE, "tor"))) == 0.3


@pytest.mark.parametrize("level", LEVELS)
def test_servers_where_the_session_knows_tor_are_an_exit(level: Level) -> None:
    servers = of(LEVELS[level], "hosting")
    assert weight(servers, known(ISP)) == round(POINTS[level][0] + 1.4, 2)
    assert weight(servers, known(ISP, of(replace(ISP_OTHER, asn=64555), "tor"))) == 2.5


def test_a_session_that_was_born_on_an_unlisted_exit_is_recorded_on_a_listed_one() -> None:
    story = Story(detection())
    story.step(of(FRANCE, "hosting"))
    judged = story.step(of(AMERICA, "tor"))
    assert (codes(judged), judged.flag) == (["network_changed"], None)
    story = Story(detection())
    story.step(ISP)
    assert story.step(of(AMERICA, "tor")).flag is True


# --- which networks are one ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("country", ["AT", "ES"])
def test_n22_carriers_and_exits_are_the_same_in_another_country(
    kind: NetworkKind, country: str
) -> None:
    there = of(replace(ISP_OTHER, country=country), kind)
    is_same = kind in ("mobile", "vpn", "proxy", "tor")  # of exits no country is learned
    assert level_of(there, known(of(ISP, kind))) == ("network" if is_same else "neighbour")


@pytest.mark.parametrize("kind", KINDS)
def test_another_carrier_is_another_one(kind: NetworkKind) -> None:
    assert level_of(of(SPAIN, kind), known(of(ISP, kind))) in ("provider", "country")


def test_another_build_of_the_databases_does_not_compare_the_country() -> None:
    assert level_of(replace(ISP_OTHER, country="ES"), known(ISP)) == "neighbour"
    assert level_of(replace(ISP_OTHER, country="ES", build=8), known(ISP)) == "network"


@pytest.mark.parametrize(
    ("case", "previous", "level"),
    [
        ("the owner of where it was", replace(ISP, asn=64555), "network"),
        ("in another country of his", replace(ISP, asn=64555, country="FR"), "provider"),
        ("another owner", replace(ISP, asn=64556), "provider"),
        ("nothing was kept of where it was", Network(), "provider"),
    ],
)
def test_n52_a_provider_is_bought(case: str, previous: Network, level: str) -> None:
    """The session knows the old AS number; `previous` is the same address as of today."""
    now = replace(ISP_OTHER, asn=64555, build=8)
    assert level_of(now, known(ISP), None, previous) == level, case
    seen = observe(network=now, known=known(ISP), previous=previous)
    assert seen.novelty == level
    judged = _judged(now, previous)
    assert [one.detail["level"] for one in judged] == [level]


def _judged(network: Network, previous: Network) -> Any:
    story = Story(detection())
    story.step(ISP)
    return story.step(network, previous=previous).fresh


def test_networks_without_a_provider_are_not_one() -> None:
    nobody = replace(AMERICA, asn=0)
    assert level_of(nobody, known(ISP), None, replace(nobody, prefix="10.0.0.0/24")) == "continent"


# --- countries at the same time ---


@pytest.mark.parametrize("kind", KINDS)
def test_n47_a_gateway_has_no_country_here_and_there(kind: NetworkKind) -> None:
    away = session("b" * 16, country="FR", last_seen=NOW - 60)
    has_country = kind in ("", "isp", "business")
    assert (kind not in GATEWAYS) is has_country
    pairs = ((of(ISP, kind), of(FRANCE, "isp")), (of(ISP, "isp"), of(FRANCE, kind)))
    for here, there in pairs:
        seen = observe(network=here, siblings=(away,), sibling_networks=(there,))
        assert bool(GeoAnomaly().inspect(seen)) is has_country
        assert GeoAnomaly(strict=True).inspect(seen), "strict knows no exceptions"


# --- whatever comes together ---

networks = st.builds(
    replace,
    st.sampled_from([ISP, ISP_OTHER, CELL, FRANCE, SPAIN, AMERICA, kit.V6, Network()]),
    kind=st.sampled_from(KINDS),
    asn=st.sampled_from([0, 64496, 64497, 64555]),
    build=st.sampled_from([7, 8]),
)


@kit.FIXED
@given(networks, st.lists(networks, max_size=4), st.lists(networks, max_size=3), networks)
def test_what_the_user_knows_never_weighs_more(
    here: Network, own: list[Network], user: list[Network], previous: Network
) -> None:
    """Oracle: the same session of a user without a history. A session with a place of its own."""
    before = known(ISP, *own)
    seen = observe(network=here, known=before, previous=previous)
    with_user = replace(seen, user_known=known(*user))
    alone, less = (
        sum(one.weight for one in NetworkChange().inspect(one)) for one in (seen, with_user)
    )
    assert 0 <= less <= alone <= 6.6


def test_a_server_that_no_database_has_a_place_for_is_still_a_server() -> None:
    """The anonymous database knows the address, and City and ASN do not."""
    bare = Network(prefix="203.0.113.0/24", kind="hosting")
    story = Story(detection())
    story.step(ISP)
    judged = story.step(bare)
    assert [(one.code, one.weight) for one in judged.fresh] == [("network_changed", 1.4)]
    assert judged.fresh[0].reason.startswith("Used from a server")
