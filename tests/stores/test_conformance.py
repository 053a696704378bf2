"""Every check of the store contract, on every store."""

from __future__ import annotations

import pytest

from gatehound.testing import Check, OpenStore, run_check, store_checks

SLOW = (
    *("counter_names_are_bounded", "ended_sessions_stay_ended", "events_of_a_network"),
    *("tail_survives_a_made_up_place", "tail_tells_each_event_once"),
    "tail_tells_of_one_flood_in_steps",
)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(
            check,
            id=name,
            marks=[pytest.mark.slow] if name.startswith("race_") or name in SLOW else [],
        )
        for name, check in store_checks()
    ],
)
def test_store_keeps_the_contract(check: Check, open_store: OpenStore) -> None:
    run_check(open_store, check)
