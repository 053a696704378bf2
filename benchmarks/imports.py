"""What imports cost: fresh interpreters against one that does nothing, taking turns.

    python benchmarks/imports.py            # a table
    python benchmarks/imports.py --gate     # and exit with 1 where a limit is not kept

`address` is `import gatehound.clientip`. `guarded` is the ASGI adapter, the store of Redis, and
redis-py as that store loads it. `built` is a Guard over them, which is not connected: it has no
limit, because the rules for browsers' names are in it. user-agents has over a thousand patterns and
compiles them when it is imported, and a Guard does that when it is built, before a server forks.
The others are what these two are made of, each alone; they share what they load, so they do not
add up.

A figure is the median over the rounds of what one interpreter took beyond the bare one of the
same round, in milliseconds: CPU time of the process, which the limits are for, and wall time.
Files are in the page cache and compiled, whatever PYTHONDONTWRITEBYTECODE says; the first round,
which sees to that, is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from gatehound import __version__

GUARDED: Final = """
import gatehound.asgi
import gatehound.stores.redis
from gatehound.stores.redis.trouble import import_redis
import_redis()
"""
BUILT: Final = """
import logging
from gatehound import Guard
from gatehound.asgi import GatehoundMiddleware
logging.disable()  # a Guard without databases says so
keys = {"secret_keys": ["s" * 40], "identity_key": "i" * 40}
guard = Guard({**keys, "store": "redis://127.0.0.1:6379/0", "check_store_at_start": False})
GatehoundMiddleware(None, guard).guard.store
"""
STATEMENTS: Final = {
    "bare": "pass",
    "address": "import gatehound.clientip",
    "guarded": GUARDED,
    "built": BUILT,
    "adapter alone": "import gatehound.asgi",
    "asyncio alone": "import asyncio",
    "redis-py alone": "import redis, redis.asyncio",
    "rules alone": "import user_agents",
}
LIMITS: Final = {  # milliseconds of CPU time beyond bare Python
    # Required: a script that needs an address, such as a log filter, starts as one without.
    "address": 25.0,
    # Required: a worker is up in the blink of an eye; redis-py and asyncio are most of it.
    "guarded": 200.0,
}


LEFT_OUT: Final = {"PYTHONDONTWRITEBYTECODE", "PYTHONSTARTUP"}  # of the environment


class Took(NamedTuple):
    """What one interpreter took, in milliseconds."""

    cpu: float
    wall: float


def run(statements: str) -> Took:
    """Start an interpreter for some statements, and wait for its end."""
    command = [sys.executable, "-c", statements]
    environ = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - our own command
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(cpu * 1000, wall * 1000)


def measure(rounds: int) -> dict[str, list[Took]]:
    """Let every statement have its turn, round by round."""
    took: dict[str, list[Took]] = {name: [] for name in STATEMENTS}
    for number in range(rounds + 1):
        for name, statements in STATEMENTS.items():
            one = run(statements)
            if number:
                took[name].append(one)
    return took


def row(name: str, took: list[Took], bare: list[Took]) -> dict[str, Any]:
    """Put one statement in figures."""
    beyond = [Took(one.cpu - b.cpu, one.wall - b.wall) for one, b in zip(took, bare, strict=True)]
    if name == "bare":
        beyond = took
    cpu = statistics.median(one.cpu for one in beyond)
    limit = LIMITS.get(name)
    return {
        "name": name,
        "cpu_ms": round(cpu, 1),
        "least_cpu_ms": round(min(one.cpu for one in beyond), 1),
        "wall_ms": round(statistics.median(one.wall for one in beyond), 1),
        "limit_ms": limit,
        "passed": None if limit is None else cpu <= limit,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Write the rows for people."""
    words = {True: "pass", False: "FAIL", None: ""}
    lines = [f"{'beyond bare, ms':<18}{'CPU':>9}{'least':>9}{'wall':>9}{'limit':>9}"]
    for one in rows:
        limit = "" if one["limit_ms"] is None else f"{one['limit_ms']:.0f}"
        figures = "".join(f"{one[key]:>9.1f}" for key in ("cpu_ms", "least_cpu_ms", "wall_ms"))
        lines.append(f"{one['name']:<18}{figures}{limit:>9}  {words[one['passed']]}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--gate", action="store_true", help="exit with 1 over a limit")
    given = parser.parse_args()
    took = measure(given.rounds)
    rows = [row(name, values, took["bare"]) for name, values in took.items()]
    print(table(rows))
    if given.json:
        result = {
            "gatehound": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "rounds": given.rounds,
            "rows": rows,
        }
        Path(given.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if given.gate and any(one["passed"] is False for one in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
