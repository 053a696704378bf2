"""What an import loads, by the number of modules: milliseconds are in benchmarks/imports.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

ADDRESS: Final = "import gatehound.clientip"
ADAPTER: Final = "from gatehound.asgi import GatehoundMiddleware; from gatehound import Guard"
GUARDED: Final = f"""{ADAPTER}
import logging
logging.disable()  # a Guard without databases says so
guard = Guard({{
    "secret_keys": ["s" * 40],
    "identity_key": "i" * 40,
    "store": "redis://127.0.0.1:6379/0",
    "check_store_at_start": False,
}})
GatehoundMiddleware(None, guard).guard.store"""

# What redis-py and ua-parser look at where something else has installed it.
OF_OTHERS: Final = {"cryptography", "opentelemetry", "yaml"}

# Of the command, of the demo, of frameworks, and of stores and databases that nobody named.
NEVER: Final = {
    *("click", "django", "fastapi", "flask", "geoip2", "httpx", "jinja2", "markupsafe"),
    *("maxminddb", "pydantic", "requests", "sqlite3", "starlette", "uvicorn", "werkzeug"),
    *("gatehound.cli", "gatehound.telemetry", "gatehound.testing", "gatehound.wsgi"),
    "prometheus_client",
    *("gatehound.stores.memory", "gatehound.stores.sqlite"),
}
RARE: Final = {
    *("gatehound.audit", "gatehound.clientip.check", "gatehound.clientip.trace"),
    *("gatehound.detection.list_database", "gatehound.failing", "gatehound.guessing"),
    *("gatehound.stores.copying", "gatehound.stores.redis.copying"),
    *("gatehound.stores.redis.shelf", "gatehound.stores.redis.tail"),
    *("gatehound.stores.redis.finding", "gatehound.suspicion", "difflib", "html"),
}
"""What an admin, an error page or a typing error needs: loaded when it is asked for."""
RULES: Final = {"ua_parser", "ua_parser_builtins", "user_agents"}
"""The rules for browsers' names: over a thousand patterns, compiled when they are loaded."""


def loaded_by(statements: str) -> set[str]:
    """Return what a fresh interpreter loads, beyond what it and a measure of coverage begin with.

    Only modules proper: names such as typing.io are put beside them by another module.
    """
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        f"{statements}\n"
        "print(*(n for n, m in sys.modules.items() if n not in before and hasattr(m, '__spec__')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    names = set(done.stdout.split())
    return {name for name in names if name.partition(".")[0] not in OF_OTHERS}


def holding(names: set[str], roots: set[str]) -> set[str]:
    """Return those that are one of the roots, or inside it."""
    return {name for name in names if any(f"{name}.".startswith(f"{root}.") for root in roots)}


def by_package(names: set[str]) -> Counter[str]:
    """Count by package, for whoever has to find out which one grew."""
    return Counter(name.partition(".")[0] for name in names)


# From 3.12 on an interpreter begins with fewer modules of its own, which count as loaded then, and
# some are divided: 11 more were counted for an adapter with 3.12, and 16 with 3.13.
DIVIDED: Final = 16 if sys.version_info >= (3, 12) else 0


@pytest.mark.parametrize(
    # What there was when this was written, and a little more. Raised by 16 and 23 for thirteen
    # detectors, a module each, all of which a Guard has by default; by one for the fourteenth; and
    # by six of ours where files of detection were divided.
    ("statements", "most", "ours"),
    [
        pytest.param(ADDRESS, 55, 18, id="address"),
        pytest.param(ADAPTER, 250, 102, id="adapter"),
        pytest.param(GUARDED, 426, 131, id="guarded", marks=pytest.mark.slow),
    ],
)
def test_an_import_loads_no_more_modules(statements: str, most: int, ours: int) -> None:
    names = loaded_by(statements)
    assert len(names) <= most + DIVIDED, by_package(names)
    assert len(holding(names, {"gatehound"})) <= ours, sorted(holding(names, {"gatehound"}))


def test_the_address_loads_nothing_that_others_wrote() -> None:
    names = loaded_by(ADDRESS)
    foreign = by_package(names).keys() - sys.stdlib_module_names - {"gatehound"}
    assert foreign == set()
    heavy = {"asyncio", "email", "json", "pathlib", "sqlite3", "ssl"}
    assert holding(names, heavy | {"dataclasses", "datetime", "inspect", "logging"}) == set()


def test_an_adapter_loads_no_store_and_no_rules() -> None:
    names = loaded_by(ADAPTER)
    assert (
        holding(names, NEVER | RARE | RULES | {"gatehound.stores.redis", "hiredis", "redis"})
        == set()
    )


@pytest.mark.slow
def test_a_guard_loads_what_its_settings_name_and_no_more() -> None:
    names = loaded_by(GUARDED)
    assert holding(names, NEVER | RARE) == set()
    assert holding(names, {"gatehound.stores.redis"})
    # Building a Guard loads the rules on purpose: once, before a server forks its workers.


@pytest.mark.full
@pytest.mark.ci
def test_the_benchmark_of_imports_runs(tmp_path: Path) -> None:
    command = Path(__file__).parents[2] / "benchmarks/imports.py"
    file = tmp_path / "figures.json"
    options = ["--rounds", "1", "--gate", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, str(command), *options], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    rows = {row["name"]: row for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    assert rows["guarded"]["cpu_ms"] > rows["address"]["cpu_ms"] > 0
    # One round on a busy machine says nothing of speed: either is right, as long as it agrees.
    passed = [row["passed"] for row in rows.values() if row["limit_ms"] is not None]
    assert len(passed) == 2
    assert done.returncode == int(not all(passed))
