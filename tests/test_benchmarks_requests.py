"""The benchmark of requests runs, and everyone in it knows whose session a request has."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(__file__).parent.parent / "benchmarks/requests.py"
MODULES = (
    "django",
    "fastapi",
    "flask",
    "flask_session",
    "gunicorn",
    "httptools",
    "litestar",
    "matplotlib",
    "redis",
    "starlette",
    "starsessions",
    "uvicorn",
    "uvloop",
)
PROGRAMS = ("node", "npm", "redis-server", "wrk")
BARE = {"ASGI", "Starlette", "FastAPI", "Litestar", "WSGI", "Flask", "Django", "Express"}
GUARDED = {
    "ASGI + gatehound, Redis",
    "ASGI + gatehound, SQLite",
    "FastAPI + gatehound",
    "WSGI + gatehound, Redis",
    "WSGI + gatehound, SQLite",
    "Flask + gatehound",
    "Django + gatehound",
}
PEERS = {
    "ASGI + Starlette's cookie",
    "ASGI + starsessions",
    "Starlette + starsessions",
    "FastAPI + starsessions",
    "Litestar + its sessions",
    "Flask + Flask-Session",
    "Django + its sessions",
    "Django + its sessions, saved",
    "Express + connect-redis",
}
BY_HAND = {"ASGI + one trip by hand", "WSGI + one trip by hand"}
SETTING = {  # who sets a cookie on each request
    "ASGI + starsessions",
    "Starlette + starsessions",
    "FastAPI + starsessions",
    "Litestar + its sessions",
    "Flask + Flask-Session",
    "Django + its sessions, saved",
    "Express + connect-redis",
}

pytestmark = [pytest.mark.full, pytest.mark.ci]


def require_peers() -> None:
    """Skip by name where a part is missing, or fail where all parts are due; see parts.py."""
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    missing += [name for name in PROGRAMS if shutil.which(name) is None]
    if missing and os.environ.get("TESTS_REQUIRE_ALL") == "1":
        pytest.fail(f"{missing}: missing, and TESTS_REQUIRE_ALL=1 asks for every part")
    if missing:
        pytest.skip(f"{', '.join(missing)}: missing")


def run(*options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command in another process, as people do."""
    command = [sys.executable, str(COMMAND), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=540)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def test_everyone_in_the_benchmark_knows_the_user(tmp_path: Path) -> None:
    require_peers()
    file, plots = tmp_path / "figures.json", tmp_path / "plots"
    done = run("--quick", "--json", str(file), "--plots", str(plots))
    assert done.stderr == ""
    result = read(file)
    assert (result["wrong"], result["missing"]) == ({}, {})
    assert (result["rounds"], result["seconds"], result["clients"]) == (1, 1, [8])
    rows = {row["name"]: row for row in result["rows"]}
    assert set(rows) == BARE | GUARDED | PEERS | BY_HAND
    assert all(row["cpu_us"] > 0 and row["requests"] > 0 for row in rows.values())
    assert all(0 < row["p50_us"] <= row["p99_us"] for row in rows.values())
    assert {name for name, row in rows.items() if row["bare"] is None} == BARE
    assert {name for name, row in rows.items() if row["added_us"] is None} == BARE
    setting = {name for name, row in rows.items() if row["sets_cookie"]}
    assert setting - {"ASGI + Starlette's cookie"} == SETTING  # that one did until 2026
    assert all(name in done.stdout for name in rows)
    assert {path.name for path in plots.iterdir()} == {"added_8.png", "latency_8.png"}


def test_who_asks_redis_and_how_often(tmp_path: Path) -> None:
    require_peers()
    file = tmp_path / "figures.json"
    names = ("ASGI + gatehound, Redis", "ASGI + gatehound, SQLite", "ASGI + starsessions")
    run("--quick", "--json", str(file), "--only", *names)
    rows = {row["name"]: row for row in read(file)["rows"]}
    assert set(rows) == {"ASGI", *names}
    assert rows["ASGI"]["redis_commands"] == rows[names[1]]["redis_commands"] == {}
    assert {"get", "set"} <= set(rows[names[2]]["redis_commands"])
    assert rows[names[0]]["redis_reads"] < 1.5
    assert rows[names[0]]["ratio"] == 1


def test_a_requirement_that_is_not_met_and_a_name_that_is_nobodys(tmp_path: Path) -> None:
    require_peers()
    done = run("--quick", "--gate", "--only", "ASGI", code=1)  # measures none of what is required
    assert "FAIL  added us, ASGI + gatehound, Redis, 32 clients = nothing" in done.stdout
    assert "no such participant: nobody" in run("--only", "nobody", code=1).stderr


def test_what_grows(tmp_path: Path) -> None:
    require_peers()
    file, plots = tmp_path / "figures.json", tmp_path / "plots"
    run("--growth", "--quick", "--json", str(file), "--plots", str(plots))
    rows = read(file)["rows"]
    assert {row["sessions"] for row in rows} == {1000}
    assert {row["per_user"] for row in rows} == {1, 5, 20}
    assert {row["clients"] for row in rows} == {1, 4, 16, 32, 64, 256}
    assert {row["workers"] for row in rows} == {1, 2, 4}
    assert all(row["requests"] > 0 and row["cpu_us"] > 0 for row in rows)
    assert {path.name for path in plots.iterdir()} == {"growth.png"}
