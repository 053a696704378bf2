"""Every check of the store contract, on every store.

In the plain run a check that makes no race meets each kind of store in one of its two modes,
and the next check in the other; the rest comes with `full` and `ci`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gatehound.testing import Check, OpenStore, run_check, store_checks

SLOW = (
    *("counter_names_are_bounded", "ended_sessions_stay_ended", "events_of_a_network"),
    *("tail_survives_a_made_up_place", "tail_tells_each_event_once"),
    "tail_tells_of_one_flood_in_steps",
)
STORES = ("memory", "sqlite", "sqlite-loop", "redis", "redis-loop")
TURNS = (("memory", "sqlite", "redis-loop"), ("memory", "sqlite-loop", "redis"))


def _cases() -> Iterator[Any]:
    for number, (name, check) in enumerate(store_checks()):
        race = name.startswith("race_")
        slow = (pytest.mark.slow,) if race or name in SLOW else ()
        for store in STORES:
            later = not race and store not in TURNS[number % 2]
            marks = (*slow, *((pytest.mark.full, pytest.mark.ci) if later else ()))
            yield pytest.param(store, check, id=f"{store}-{name}", marks=marks)


@pytest.mark.parametrize(("open_store", "check"), list(_cases()), indirect=["open_store"])
def test_store_keeps_the_contract(open_store: OpenStore, check: Check) -> None:
    run_check(open_store, check)
