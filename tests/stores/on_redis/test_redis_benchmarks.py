"""The benchmarks of memory and of large stores run, and say what they say they measure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "benchmarks"

pytestmark = [pytest.mark.full, pytest.mark.ci]


@pytest.fixture
def url(server: Callable[[str], str]) -> str:
    return server("redis")


def run(name: str, *options: str) -> Any:
    command = [sys.executable, str(FOLDER / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_memory_by_kind_of_key(url: str, admin: Any) -> None:
    told = run("redis_memory.py", "--redis", url, "--sessions", "300", "--per-user", "3")
    ages = [(result["population"], result["sessions a user"]) for result in told["results"]]
    assert ages == [("fresh", 3), ("month-old", 3)]
    fresh, old = told["results"]
    assert 100 < fresh["by kind"]["users"]["bytes a session"] < 260
    assert (fresh["by kind"]["users"]["keys"], old["by kind"]["users"]["keys"]) == (100, 100)
    assert fresh["by kind"]["evidence of sessions"]["keys"] == 0
    assert old["by kind"]["evidence of sessions"]["keys"] > 50


def test_admin_pages_and_ending_many(url: str, admin: Any) -> None:
    told = run("redis_admin.py", "--redis", url, "--sessions", "3000")
    bulk = told["bulk end"]
    parts = (bulk["until it was stopped"], bulk["after it was resumed"])
    assert [bulk["sessions"], *(part["ended"] for part in parts)] == [300, 150, 150]
    assert sum(part["looked at"] for part in parts) == 3000
    assert told["all of 10.0.0.0/16"]["looked at"] == 3000
    assert told["all of 10.0.0.0/16"]["found"] == 34
    assert told["events"]["commands of a poll"] == 256
    pages = [*told.values(), *told["events"].values()]
    timed = [page["median ms"] for page in pages if isinstance(page, dict) and "median ms" in page]
    assert len(timed) == 10
    assert min(timed) > 0
