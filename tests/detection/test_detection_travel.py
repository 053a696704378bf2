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

from gatehound.detection import ImpossibleTravel, Known, Networks, describe
from gatehound.detection.detectors.impossible_travel import (
    ABROAD_WITHIN,
    DOUBTFUL,
    EARTH_KM,
    MAX_KM_PER_HOUR,
    POINTS,
    SURE_KM_PER_HOUR,
    distance,
)
from gatehound.detection.evidence import Evidence
from gatehound.model import Action, Network, NetworkKind, Signal

BERLIN, HAMBURG, PARIS = (52.52, 13.405), (53.551, 9.993), (48.857, 2.352)
LONDON, NEW_YORK, SYDNEY = (51.507, -0.128), (40.713, -74.006), (-33.868, 151.209)
AUCKLAND, HONOLULU = (-36.848, 174.763), (21.307, -157.858)

HOME = replace(ISP, location=BERLIN)
FAR = replace(AMERICA, kind="isp", location=NEW_YORK)
FAR_AWAY = replace(FAR, location=None)  # the country is all that is known


def known(*networks: Network) -> Known:
    evidence = Evidence()
    for network in networks:
        evidence.learn(network, None, b"", NOW)
    return evidence.known()


def travelled(
    here: Network = FAR,
    there: Network = HOME,
    *,
    seconds: float = 600.0,
    has_lines: bool = True,
    **changes: Any,
) -> list[Signal]:
    fields = {"network": here, "previous": there, "last_used": NOW - seconds, **changes}
    detector = ImpossibleTravel(has_lines=has_lines)
    return detector.inspect(observe(**{"known": known(there), **fields}))


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


def test_the_numbers() -> None:
    assert (POINTS, DOUBTFUL) == (1.5, 0.4)
    assert (MAX_KM_PER_HOUR, SURE_KM_PER_HOUR, ABROAD_WITHIN) == (1000.0, 3000.0, 1800.0)


def test_what_is_told() -> None:
    (doubtful,) = travelled(seconds=3 * 3600)
    assert (doubtful.code, doubtful.weight) == ("travelled_too_fast", DOUBTFUL)
    (signal,) = travelled(seconds=600)
    assert (signal.code, signal.weight) == ("travelled_too_fast", POINTS)
    assert signal.reason == "6385 km from where it was used 10 minutes before"
    assert signal.detail == {"km": 6385, "minutes": 10}


@pytest.mark.parametrize(
    ("case", "location", "seconds", "points"),
    [
        ("far, at once", NEW_YORK, 60, POINTS),
        ("far, an hour later", NEW_YORK, 3600, POINTS),
        ("just over 3000 km an hour", NEW_YORK, 2.12 * 3600, POINTS),
        ("just under 3000 km an hour", NEW_YORK, 2.14 * 3600, DOUBTFUL),
        ("just over 1000 km an hour", NEW_YORK, 6.3 * 3600, DOUBTFUL),
        ("as fast as airliners: 6385 km in 6.5 hours", NEW_YORK, 6.5 * 3600, 0),
        ("N19 a traveller who flew overnight", NEW_YORK, 10 * 3600, 0),
        ("N42 a laptop that slept on the way", SYDNEY, 2 * DAY, 0),
        ("cities that databases mix up", HAMBURG, 1, 0),
        ("878 km in 10 minutes", PARIS, 600, POINTS),
        ("878 km by train", PARIS, 8 * 3600, 0),
        ("N43 a clock behind ours: at least a minute", PARIS, -3600, POINTS),
        ("N43 a clock behind ours, and near", HAMBURG, -3600, 0),
        ("at the same moment", HAMBURG, 0, 0),
    ],
)
def test_how_far_and_how_fast(
    case: str, location: tuple[float, float], seconds: float, points: float
) -> None:
    found = travelled(replace(FAR, location=location), seconds=seconds)
    assert [one.weight for one in found] == ([points] if points else []), case


@pytest.mark.parametrize(
    ("kind", "places_now", "places_before"),
    [
        ("", False, True),  # some source tells kinds, and has none for it
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
    before = replace(HOME, kind=kind)
    # Or all that the session knows is a carrier's network: see below.
    assert bool(travelled(there=before, known=known(before, HOME))) is places_before


# --- a carrier's network, and a line ---


def test_a_computer_that_only_knows_a_carrier_lives_there() -> None:
    """A router with a SIM card; whoever travels knows home lines, and a phone may roam."""
    home = replace(HOME, kind="mobile")
    other = replace(ISP_OTHER, asn=64999, kind="mobile")
    for device, before, is_found in (
        (kit.CHROME_WINDOWS, (home,), True),
        (kit.SAFARI_MAC, (home, other), True),
        (kit.CHROME_WINDOWS, (home, HOME), False),
        (kit.CHROME_WINDOWS, (home, replace(home, asn=64998, kind="vpn")), False),
        (kit.CHROME_ANDROID, (home,), False),
        (kit.SAFARI_IPAD, (home,), False),
        ("", (home,), False),  # nobody knows what it is
    ):
        seen = known(*before)
        found = travelled(there=home, known=seen, device=describe(device))
        assert bool(found) is is_found, (device, before)
    assert travelled(there=home, known=Known()) == []


def test_a_phone_that_has_just_left_its_line_is_compared_with_it() -> None:
    """It went to its carrier's network, whose place says nothing, and does not help the thief."""
    cell = replace(HOME, asn=64999, kind="mobile")
    phone: dict[str, Any] = {
        "there": cell,
        "known": known(cell, HOME),
        "device": describe(kit.SAFARI_IPHONE),
    }
    assert travelled(**phone) == []
    [found] = travelled(**phone, recent=((HOME, NOW - 1800), (cell, NOW - 60)))
    assert (found.weight, found.detail["minutes"]) == (POINTS, 30)
    # In ten hours everybody gets there.
    assert travelled(**phone, recent=((HOME, NOW - 36_000), (cell, NOW - 60))) == []


def test_of_several_places_the_worst_counts() -> None:
    far = replace(HOME, asn=64999, location=SYDNEY)
    doubtful = 8.0 * 3600  # to New York: 800 km/h from Berlin, and 2000 from Sydney
    [found] = travelled(seconds=doubtful, recent=((far, NOW - doubtful),))
    assert found.weight == DOUBTFUL
    [sure] = travelled(seconds=doubtful, recent=((far, NOW - 3600), (HOME, NOW - doubtful)))
    assert sure.weight == POINTS
    assert travelled(seconds=doubtful, recent=((HOME, NOW - doubtful),)) == []


@pytest.mark.parametrize("has_lines", [False, True])
@pytest.mark.parametrize("kind", ["", "isp", "business", "relay", "mobile", "hosting", "vpn"])
def test_where_nothing_tells_kinds_an_unknown_one_is_a_line(
    kind: NetworkKind, has_lines: bool
) -> None:
    is_line = kind == "isp" or (kind == "" and not has_lines)
    assert bool(travelled(replace(FAR, kind=kind), has_lines=has_lines)) is is_line
    assert bool(travelled(replace(FAR_AWAY, kind=kind), has_lines=has_lines)) is is_line


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        ("no place here, and no country", {"here": replace(FAR_AWAY, country="")}),
        ("no place there, and no country", {"there": replace(ISP, country="")}),
        ("no place, in the same country", {"here": replace(ISP_OTHER, asn=64777, kind="isp")}),
        ("no place, in a neighbouring country", {"here": replace(FRANCE, kind="isp")}),
        ("the same provider", {"here": replace(FAR, asn=HOME.asn)}),
        ("the same provider, abroad", {"here": replace(FAR_AWAY, asn=HOME.asn)}),
        ("the user's other sessions know it", {"user_known": known(FAR)}),
        ("unresolved", {"here": Network()}),
        ("addresses are not kept, or a login", {"there": Network()}),
        ("N20 a known provider", {"known": known(HOME, FAR)}),
        ("N20 a known provider, abroad", {"here": FAR_AWAY, "known": known(HOME, FAR)}),
        ("a context that the session used last", {"is_new_context": False}),
    ],
)
def test_where_nothing_can_be_said(case: str, changes: dict[str, Any]) -> None:
    assert travelled(**changes) == [], case


@pytest.mark.parametrize(("here", "there"), [(FAR_AWAY, HOME), (FAR, ISP), (FAR_AWAY, ISP)])
def test_where_there_is_no_place_a_border_is_all_that_is_left(
    here: Network, there: Network
) -> None:
    (signal,) = travelled(here, there)
    assert (signal.code, signal.weight) == ("travelled_too_fast", POINTS)
    assert signal.reason == "In US, and 10 minutes before in DE"
    assert signal.detail == {"minutes": 10}


def test_two_networks_without_a_provider_are_not_one() -> None:
    assert travelled(replace(FAR, asn=0), replace(HOME, asn=0))


@pytest.mark.parametrize(
    ("seconds", "is_found"), [(-60, True), (0, True), (1800, True), (1801, False), (DAY, False)]
)
def test_a_border_counts_for_half_an_hour(seconds: float, is_found: bool) -> None:
    assert bool(travelled(FAR_AWAY, seconds=seconds)) is is_found
    assert bool(travelled(FAR, ISP, seconds=seconds)) is is_found


def test_a_place_on_the_equator_and_meridian_is_a_place() -> None:
    assert travelled(replace(FAR, location=(0.0, 0.0)))


# --- what it is worth ---


def stories(*, has_lines: bool = True) -> Story:
    networks = Networks()
    networks.has_city = True  # what asks for the detector; networks come from the test
    networks.has_lines = has_lines
    story = Story(detection(networks=networks))
    story.step(HOME)
    return story


def test_it_supports_other_evidence_and_flags_nothing_alone() -> None:
    assert POINTS < 4.5
    alone = stories().step(
        replace(ISP_OTHER, asn=64777, kind="isp", location=PARIS),
        previous=HOME,
        last_used=kit.NOW,
    )
    assert codes(alone) == ["network_changed", "travelled_too_fast"]
    assert alone.verdict.action is Action.RECORD
    a2 = stories().step(FAR, previous=HOME, last_used=kit.NOW)
    assert codes(a2) == ["network_changed", "travelled_too_fast"]
    assert (a2.verdict.action, a2.flag) == (Action.FLAG, True)  # 4.0 and 1.5: A2, while in use
    rested = stories().step(FAR, previous=HOME, last_used=kit.NOW - DAY)
    assert (codes(rested), rested.flag) == (["network_changed"], None)
    doubtful = stories().step(FAR, previous=HOME, last_used=kit.NOW - 4 * 3600)
    assert (codes(doubtful), doubtful.flag) == (["network_changed", "travelled_too_fast"], None)


@pytest.mark.parametrize("has_lines", [False, True])
def test_a_guard_says_whether_anything_tells_kinds(has_lines: bool) -> None:
    unknown = replace(FAR, kind="")
    judged = stories(has_lines=has_lines).step(unknown, previous=HOME, last_used=kit.NOW)
    assert ("travelled_too_fast" in codes(judged)) is not has_lines


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
    points = 0.0 if km < 500 or km / hours < 1000 else 1.5 if km / hours >= 3000 else 0.4
    assert [one.weight for one in found] == ([points] if is_new and points else [])
