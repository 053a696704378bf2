"""The benchmark of the client's address runs, and everyone in it finds the client."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parent.parent / "benchmarks/client_ip.py"
PEERS = ("hypercorn", "python_ipware", "uvicorn", "werkzeug")

pytestmark = pytest.mark.slow


def require_peers() -> None:
    """Skip by name where a peer is missing, or fail where all parts are due; see parts.py."""
    missing = ", ".join(name for name in PEERS if importlib.util.find_spec(name) is None)
    if missing and os.environ.get("TESTS_REQUIRE_ALL") == "1":
        pytest.fail(f"{missing}: missing, and TESTS_REQUIRE_ALL=1 asks for every part")
    if missing:
        pytest.skip(f"{missing}: missing")


def test_everyone_in_the_benchmark_finds_the_client(tmp_path: Path) -> None:
    require_peers()
    file = tmp_path / "figures.json"
    options = ["--quick", "--rounds", "1", "--calls", "20", "--gate", "--json", str(file)]
    command = [sys.executable, str(COMMAND), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    result = json.loads(file.read_text(encoding="utf-8"))
    # One round on a busy machine says nothing of speed: either is right, as long as it agrees.
    assert done.returncode == int(not all(need["passed"] for need in result["needs"]))
    assert (result["rounds"], result["calls"]) == (1, 20)
    cells = {
        tuple(row[key] for key in ("version", "hot", "hops", "networks")) for row in result["rows"]
    }
    kinds = [(4, True), (4, False), (6, False)]
    assert cells == {(*kind, 3, networks) for kind in kinds for networks in (2, 22, 1000)}
    assert {row["name"] for row in result["rows"]} == {
        "floor",
        "floor (WSGI)",
        "gatehound",
        "gatehound (WSGI)",
        "gatehound, call alone",
        "gatehound, str(.address)",
        "hypercorn",
        "python-ipware, count",
        "python-ipware, list",
        "uvicorn",
        "werkzeug",
    }
    assert [row for row in result["rows"] if row["us"] is None] == []  # "wrong"
    assert all(row["us"] > 0 and row["ratio"] > 0 for row in result["rows"])
    assert [set(need) for need in result["needs"]] == [
        {"name", "value", "must", "aim", "passed"}
    ] * 3
    assert done.stdout.count("pass  ") + done.stdout.count("FAIL  ") == 3
