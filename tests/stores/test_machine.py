"""The state machine of the store contract: short runs, and proof that it can fail.

The oracle is the model in gatehound.testing, which shares no logic with a store. The long runs,
on servers too, are in test_machine_long.py.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from broken_directory import PagesByTimeOnly, SearchesTheDead
from broken_login import EndsTheOldestOfAll, TakesProofForEver
from broken_tail import PutsOverAnyVersion, TailsAndSkips
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.sqlite import SQLiteStore
from gatehound.testing import FakeClock, OpenStore, store_machine

pytestmark = pytest.mark.slow


def run_machine(open_store: OpenStore, examples: int, steps: int, *phases: Phase) -> None:
    """Run it the same way each time; without `phases` a failure is made small first."""
    run_state_machine_as_test(
        store_machine(open_store),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases or tuple(Phase),
            suppress_health_check=list(HealthCheck),
            deadline=None,
            derandomize=True,
            database=None,
        ),
    )


def test_memory_agrees_with_the_model() -> None:
    run_machine(lambda clock: MemoryStore(clock=clock), 25, 20)


def test_sqlite_agrees_with_the_model(tmp_path: Path) -> None:
    numbers = itertools.count()

    def open_(clock: FakeClock) -> Store:
        return SQLiteStore(tmp_path / f"{next(numbers)}.db", clock=clock)

    run_machine(open_, 12, 15)


@pytest.mark.parametrize(
    "broken",
    [
        SearchesTheDead,
        EndsTheOldestOfAll,
        TakesProofForEver,
        PagesByTimeOnly,
        TailsAndSkips,
        PutsOverAnyVersion,
    ],
)
def test_the_machine_finds_a_planted_defect(broken: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError):
        run_machine(lambda clock: broken(clock=clock), 60, 25, Phase.generate)


def test_hypothesis_is_loaded_for_the_machine_alone() -> None:
    code = "import sys, gatehound.testing as t; print('hypothesis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
