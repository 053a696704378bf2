"""Lets these tests import what other folders share, and writes the world's files once a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from catalogue_run import Measure, Outcome
from catalogue_world import write_world


@pytest.fixture(scope="session")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    """Tell a row's story, once for each adapter and mode, and return what it came to."""
    folder = tmp_path_factory.mktemp("world")
    return Measure(write_world(folder / "today"), write_world(folder / "later", later=True))
