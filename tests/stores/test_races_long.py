"""Each check of the store contract that makes a race, again and again: what shows in numbers.

The oracle: the check raises nothing.
"""

from __future__ import annotations

import pytest

from gatehound.testing import Check, OpenStore, run_check, store_checks

pytestmark = [pytest.mark.full, pytest.mark.ci]

ROUNDS = 5
RACES = [pytest.param(check, id=name) for name, check in store_checks() if name[:5] == "race_"]


def test_races_are_found() -> None:
    assert len(RACES) > 10


@pytest.mark.parametrize("check", RACES)
def test_store_keeps_the_contract_in_every_race(check: Check, open_store: OpenStore) -> None:
    for _ in range(ROUNDS):
        run_check(open_store, check)
