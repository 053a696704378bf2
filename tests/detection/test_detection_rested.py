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
from gatehound.detection.detectors.session_age import POINTS, RESTED
from gatehound.detection.evidence import Evidence
from gatehound.model import Action, Network, Signal


def known(*networks: Network) -> Known:
    evidence = Evidence()
    for network in networks:
        evidence.learn(network, None, b"", NOW)
    return evidence.known()


def rested(network: Network = CELL, *, days: float = 5.0, **changes: Any) -> list[Signal]:
    fields = {"known": known(ISP), "last_used": NOW - days * DAY, **changes}
    return SessionAge().inspect(observe(network=network, **fields))


def test_what_is_told() -> None:
    (signal,) = rested(days=5.9)
    assert (signal.code, signal.weight) == ("rested_long", POINTS)
    assert signal.reason == "Not used for 5 days, and now from a new network"
    assert signal.detail == {"days": 5}


@pytest.mark.parametrize(
    ("days", "is_found"),
    [(0, False), (1, False), (2.999, False), (3, True), (14, True), (400, True), (-1, False)],
)
def test_how_long(days: float, is_found: bool) -> None:
    assert bool(rested(days=days)) is is_found
    assert RESTED == 3 * DAY


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


def test_a6_it_helps_other_evidence_and_is_a_record_alone() -> None:
    def back(network: Network, days: float) -> Any:
        story = Story(detection())
        story.step()
        return story.step(network, after=days * DAY, last_used=NOW + 60)

    home = back(CELL, 4)
    assert codes(home) == ["network_changed", "rested_long"]
    assert home.verdict.action is Action.RECORD
    abroad = back(FRANCE, 4)  # a neighbouring country, 2.6: a traveller's
    assert (abroad.verdict.action, abroad.flag) == (Action.RECORD, None)
    far = back(AMERICA, 4)  # 4.0 alone is a record
    assert (codes(far), far.flag) == (["network_changed", "rested_long"], True)
    assert back(AMERICA, 2).flag is None
