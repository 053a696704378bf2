"""Impossible travel: places and times, and the networks whose place is not their user's."""

from __future__ import annotations

from math import pi
from typing import Any

import detection_kit as kit
import pytest
from detection_kit import (
    AMERICA,
    DAY,
    FRANCE,
    ISP,
    ISP_OTHER,
    NOW,
    Story,
    codes,
    detection,
    observe,
)
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gatehound.detection import ImpossibleTravel, Known, Networks
from gatehound.detection.detectors.impossible_travel import DOUBTFUL, EARTH_KM, POINTS, distance
from gatehound.detection.evidence import Evidence
from gatehound.model import Action, Network, NetworkKind, Signal

BERLIN, HAMBURG, PARIS = (52.52, 13.405), (53.551, 9.993), (48.857, 2.352)
LONDON, NEW_YORK, SYDNEY = (51.507, -0.128), (40.713, -74.006), (-33.868, 151.209)
AUCKLAND, HONOLULU = (-36.848, 174.763), (21.307, -157.858)

HOME = replace(ISP, location=BERLIN)
FAR = replace(AMERICA, location=NEW_YORK)


def known(*networks: Network) -> Known:
    evidence = Evidence()
    for network in networks:
        evidence.learn(network, None, b"", NOW)
    return evidence.known()


def travelled(
    here: Network = FAR, there: Network = HOME, *, seconds: float = 600.0, **changes: Any
) -> list[Signal]:
    fields = {"network": here, "previous": there, "last_used": NOW - seconds, **changes}
    return ImpossibleTravel().inspect(observe(**{"known": known(there), **fields}))


# --- places ---


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        # Published great-circle distances between the cities, to the nearest few km.
        (BERLIN, HAMBURG, 255),
        (BERLIN, PARIS, 878),
        (LONDON, NEW_YORK, 5570),
        (LONDON, SYDNEY, 16990),
        (AUCKLAND, HONOLULU, 7080),  # across the date line
        ((0, 0), (0, 180), pi * EARTH_KM),
        ((90, 0), (-90, 77), pi * EARTH_KM),
        ((0, 179.5), (0, -179.5), 111),
        (BERLIN, BERLIN, 0),
    ],
)
def test_distances(one: tuple[float, float], other: tuple[float, float], km: float) -> None:
    assert distance(one, other) == pytest.approx(km, rel=0.005, abs=0.5)


places = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@kit.FIXED
@given(places, places)
def test_distance_is_one(one: tuple[float, float], other: tuple[float, float]) -> None:
    assert 0 <= distance(one, other) <= pi * EARTH_KM + 1e-6
    assert distance(one, other) == pytest.approx(distance(other, one), abs=1e-6)


# --- how far, how fast ---


def test_what_is_told() -> None:
    (doubtful,) = travelled(seconds=3 * 3600)
    assert (doubtful.code, doubtful.weight) == ("travelled_too_fast", DOUBTFUL)
    (signal,) = travelled(seconds=600)
    assert (signal.code, signal.weight) == ("travelled_too_fast", POINTS)
    assert signal.reason == "6385 km from where it was used 10 minutes before"
    assert signal.detail == {"km": 6385, "minutes": 10}


@pytest.mark.parametrize(
    ("case", "location", "seconds", "is_found"),
    [
        ("far, at once", NEW_YORK, 60, True),
        ("far, an hour later", NEW_YORK, 3600, True),
        ("as fast as airliners: 6385 km in 6.5 hours", NEW_YORK, 6.5 * 3600, False),
        ("just over 1000 km an hour", NEW_YORK, 6.3 * 3600, True),
        ("N19 a traveller who flew overnight", NEW_YORK, 10 * 3600, False),
        ("N42 a laptop that slept on the way", SYDNEY, 2 * DAY, False),
        ("cities that databases mix up", HAMBURG, 1, False),
        ("878 km in 10 minutes", PARIS, 600, True),
        ("878 km by train", PARIS, 8 * 3600, False),
        ("N43 a clock behind ours: at least a minute", PARIS, -3600, True),
        ("N43 a clock behind ours, and near", HAMBURG, -3600, False),
        ("at the same moment", HAMBURG, 0, False),
    ],
)
def test_how_far_and_how_fast(
    case: str, location: tuple[float, float], seconds: float, is_found: bool
) -> None:
    found = travelled(replace(FAR, location=location), seconds=seconds)
    assert bool(found) is is_found, case


@pytest.mark.parametrize(
    ("kind", "places_now", "places_before"),
    [
        ("", True, True),
        ("isp", True, True),
        ("business", False, True),  # whoever switches its tunnel on seems to be at its seat
        ("relay", False, True),  # of the region that its user is in, and anybody may choose one
        ("mobile", False, False),
        ("hosting", False, False),
        ("proxy", False, False),
        ("vpn", False, False),
        ("tor", False, False),
    ],
)
def test_gateways_have_no_place(kind: NetworkKind, places_now: bool, places_before: bool) -> None:
    assert bool(travelled(replace(FAR, kind=kind))) is places_now
    assert bool(travelled(there=replace(HOME, kind=kind))) is places_before


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        ("no place here, and no country", {"here": replace(AMERICA, country="")}),
        ("no place there, and no country", {"there": replace(ISP, country="")}),
        ("no place, in the same country", {"here": replace(ISP_OTHER, asn=64777)}),
        ("no place, in a neighbouring country", {"here": FRANCE}),
        ("no place, in another country, after over an hour", {"here": AMERICA, "seconds": 3601}),
        ("the same provider", {"here": replace(FAR, asn=HOME.asn)}),
        ("the user's other sessions know it", {"user_known": known(FAR)}),
        ("unresolved", {"here": Network()}),
        ("addresses are not kept, or a login", {"there": Network()}),
        ("N20 a known provider", {"known": known(HOME, FAR)}),
        ("a context that the session used last", {"is_new_context": False}),
    ],
)
def test_where_nothing_can_be_said(case: str, changes: dict[str, Any]) -> None:
    assert travelled(**changes) == [], case


@pytest.mark.parametrize(("here", "there"), [(AMERICA, HOME), (FAR, ISP), (AMERICA, ISP)])
def test_where_there_is_no_place_a_border_is_all_that_is_left(
    here: Network, there: Network
) -> None:
    (signal,) = travelled(here, there)
    assert (signal.code, signal.weight) == ("travelled_too_fast", POINTS)
    assert signal.reason == "In US, and 10 minutes before in DE"
    assert signal.detail == {"minutes": 10}


def test_a_place_on_the_equator_and_meridian_is_a_place() -> None:
    assert travelled(replace(FAR, location=(0.0, 0.0)))


# --- what it is worth ---


def stories() -> Story:
    networks = Networks()
    networks.has_city = True  # what asks for the detector; networks come from the test
    story = Story(detection(networks=networks))
    story.step(HOME)
    return story


def test_it_supports_other_evidence_and_flags_nothing_alone() -> None:
    assert POINTS < 4.5
    alone = stories().step(
        replace(ISP_OTHER, asn=64777, location=PARIS), previous=HOME, last_used=kit.NOW
    )
    assert codes(alone) == ["network_changed", "travelled_too_fast"]
    assert alone.verdict.action is Action.RECORD
    a2 = stories().step(FAR, previous=HOME, last_used=kit.NOW)
    assert codes(a2) == ["network_changed", "travelled_too_fast"]
    assert (a2.verdict.action, a2.flag) == (Action.FLAG, True)  # 4.0 and 1.2: A2, while in use
    rested = stories().step(FAR, previous=HOME, last_used=kit.NOW - DAY)
    assert (codes(rested), rested.flag) == (["network_changed"], None)


def test_a_traveller_who_is_known_there_is_left_alone() -> None:
    story = stories()
    story.step(FAR, previous=HOME, last_used=kit.NOW - DAY)
    back = story.step(HOME, previous=FAR, last_used=story.now)
    assert codes(back) == []


def test_it_is_asked_only_where_there_are_places() -> None:
    assert "impossible_travel" not in [one.name for one in detection().detectors]
    assert "impossible_travel" in [one.name for one in stories().detection.detectors]


@kit.FIXED
@given(places, places, st.floats(-DAY, 10 * DAY), st.booleans())
def test_it_never_raises_and_says_at_most_one_thing(
    here: tuple[float, float], there: tuple[float, float], seconds: float, is_new: bool
) -> None:
    found = travelled(
        replace(FAR, location=here),
        replace(HOME, location=there),
        seconds=seconds,
        is_new_context=is_new,
    )
    km, hours = distance(here, there), max(seconds, 60) / 3600
    assert bool(found) is (is_new and km >= 500 and km / hours >= 1000)
    assert len(found) <= 1
