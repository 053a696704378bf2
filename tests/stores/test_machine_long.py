"""The state machine of the store contract, on every store: some hundred runs of forty steps.

The oracle is the model in gatehound.testing, which shares no logic with a store.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from gatehound.testing import OpenStore, store_machine

pytestmark = [pytest.mark.full, pytest.mark.ci]

STEPS = 40
# A kind of store that the fixture `open_store` knows, and how many runs it gets: those that wait
# for a server or a disk get fewer.
RUNS = [("memory", 200), ("sqlite", 60), ("sqlite-loop", 15), ("redis", 30), ("redis-loop", 10),
        ("valkey", 30), ("valkey-loop", 10)]  # fmt: skip


@pytest.mark.parametrize(
    ("open_store", "runs"), RUNS, ids=[kind for kind, _ in RUNS], indirect=["open_store"]
)
def test_store_agrees_with_the_model(open_store: OpenStore, runs: int) -> None:
    run_state_machine_as_test(
        store_machine(open_store),
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
            deadline=None,
            derandomize=True,
            database=None,
        ),
    )
