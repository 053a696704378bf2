"""What you test your own store, and your own app's outages, with. No test runner is imported."""

from __future__ import annotations

from gatehound.testing.bench import Bench, Check, OpenStore, run_check
from gatehound.testing.clock import FakeClock
from gatehound.testing.faulty import FaultyStore
from gatehound.testing.store_checks import check_store, store_checks, store_machine

__all__ = [
    "Bench",
    "Check",
    "FakeClock",
    "FaultyStore",
    "OpenStore",
    "check_store",
    "run_check",
    "store_checks",
    "store_machine",
]
