"""Every row of the catalogue: normal people are let be, and attacks are answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import stories_agents
import stories_bulk
import stories_networks
import stories_places
import stories_prevented
import stories_thieves
from catalogue_kit import worst
from catalogue_run import RECORD, ROWS, Outcome, Row

# Importing them fills ROWS.
STORIES = (
    stories_agents,
    stories_bulk,
    stories_networks,
    stories_places,
    stories_prevented,
    stories_thieves,
)
NORMAL = [row for row in ROWS if row.number.startswith("N")]
ATTACKS = [row for row in ROWS if row.number.startswith("A")]
Measuring = Callable[..., Outcome]


def number(row: Row) -> str:
    return row.number


@pytest.fixture(params=["asgi", "wsgi"])
def world(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_row_is_there_once() -> None:
    wanted = [f"N{n}" for n in range(1, 56)] + [f"A{n}" for n in range(1, 33)]
    assert sorted(map(number, ROWS)) == sorted(wanted)


@pytest.mark.parametrize("row", NORMAL, ids=number)
def test_normal_behaviour_is_let_be(measure: Measuring, world: str, row: Row) -> None:
    outcome = measure(row, world)
    assert worst(outcome.before) <= RECORD, "what leads up to the story"
    assert len(outcome.actions) == len(row.most)
    for action, most in zip(outcome.actions, row.most, strict=True):
        assert action <= most, str(outcome)


@pytest.mark.parametrize("mode", ["flag", "step-up"])
@pytest.mark.parametrize("row", ATTACKS, ids=number)
def test_attack_is_answered(measure: Measuring, world: str, row: Row, mode: str) -> None:
    outcome = measure(row, world, mode)
    assert worst(outcome.before) <= RECORD, "what leads up to the story"
    least = row.least.get(mode, ())
    if least:
        assert len(outcome.actions) == len(least)
    for action, wanted in zip(outcome.actions, least, strict=False):
        assert action >= wanted, str(outcome)
