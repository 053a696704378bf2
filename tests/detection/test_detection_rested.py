"""A session that rested for days and comes back from somewhere else."""

from __future__ import annotations

from typing import Any

import pytest
from detection_kit import (
    AMERICA,
    CELL,
    DAY,
    FRANCE,
    ISP,
    ISP_OTHER,
    NOW,
    V6,
    V6_NEAR,
    Story,
    codes,
    detection,
    observe,
)
from msgspec.structs import replace

from gatehound.detection import Known, SessionAge
from gatehound.detection.detectors.session_age import POINTS
from gatehound.detection.evidence import Evidence
from gatehound.model import Action, Network, Signal

SPAIN = replace(FRANCE, prefix="203.0.115.0/24", asn=64500, country="ES", city="Madrid")


def known(*networks: Network) -> Known:
    evidence = Evidence()
    for network in networks:
        evidence.learn(network, None, b"", NOW)
    return evidence.known()


def rested(network: Network = CELL, *, days: float = 5.0, **changes: Any) -> list[Signal]:
    fields = {"known": known(ISP), "last_used": NOW - days * DAY, **changes}
    return SessionAge().inspect(observe(network=network, **fields))


def test_what_is_told() -> None:
    (signal,) = rested(days=5.99)
    assert (signal.code, signal.weight) == ("rested_long", 1.5)
    assert signal.reason == "Not used for 143 hours, and now from a new network"
    assert signal.detail == {"hours": 143}


def test_the_numbers() -> None:
    assert POINTS == ((5 * DAY, 1.5), (1.5 * DAY, 1.0))
    assert sorted(POINTS, reverse=True) == list(POINTS), "the first that is reached counts"


@pytest.mark.parametrize(
    ("days", "points"),
    [
        (-1, 0),
        (0, 0),
        (1, 0),
        (1.499, 0),
        (1.5, 1.0),
        (3, 1.0),
        (4.999, 1.0),
        (5, 1.5),
        (14, 1.5),
        (400, 1.5),
    ],
)
def test_how_long(days: float, points: float) -> None:
    assert [one.weight for one in rested(days=days)] == ([points] if points else [])


@pytest.mark.parametrize(
    ("case", "network", "is_found"),
    [
        ("another provider in the country", CELL, True),
        ("a neighbouring country", FRANCE, True),
        ("another continent", AMERICA, True),
        ("N6 another prefix of the provider", ISP_OTHER, False),
        ("N5 another /64 of the home", V6_NEAR, False),
        ("where it was", ISP, False),
        ("nobody knows whose it is", Network(prefix="10.9.0.0/24"), False),
        ("unresolved", Network(), False),
    ],
)
def test_from_where(case: str, network: Network, is_found: bool) -> None:
    assert bool(rested(network, known=known(ISP, V6))) is is_found, case


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        ("the user's other sessions know the provider", {"user_known": known(CELL)}),
        ("a context that the session used last", {"is_new_context": False}),
        ("at sign-in nothing was used before", {"last_used": 0.0}),
        ("no network was ever known", {"known": Known()}),
    ],
)
def test_where_nothing_can_be_said(case: str, changes: dict[str, Any]) -> None:
    assert rested(**changes) == [], case


def test_a_new_country_counts_though_the_user_knows_another_provider_there() -> None:
    other = replace(FRANCE, asn=64555, prefix="10.4.4.0/24")
    assert rested(FRANCE, user_known=known(other))


def back(network: Network, days: float) -> Any:
    """What comes of a session that is used again after so many days, from elsewhere."""
    story = Story(detection())
    story.step()
    return story.step(network, after=days * DAY, last_used=NOW + 60)


@pytest.mark.parametrize(
    ("case", "network", "days", "action", "flag"),
    [
        ("a week, at home", CELL, 7, Action.RECORD, None),
        ("a weekend, in a neighbouring country", FRANCE, 3, Action.RECORD, None),
        ("a week, in a neighbouring country: 2.6", FRANCE, 7, Action.RECORD, None),
        ("a weekend, in another country: 3.2", SPAIN, 3, Action.RECORD, None),
        ("a week, in another country", SPAIN, 7, Action.FLAG, True),
        ("a weekend, on another continent: 4.0", AMERICA, 3, Action.FLAG, True),
        ("a week, on another continent", AMERICA, 7, Action.FLAG, True),
    ],
)
def test_a6_it_helps_other_evidence_and_is_a_record_alone(
    case: str, network: Network, days: float, action: Action, flag: bool | None
) -> None:
    judged = back(network, days)
    assert codes(judged) == ["network_changed", "rested_long"]
    assert (judged.verdict.action, judged.flag) == (action, flag), case


def test_a_day_of_rest_is_none() -> None:
    judged = back(AMERICA, 1.4)
    assert (codes(judged), judged.flag) == (["network_changed"], None)
