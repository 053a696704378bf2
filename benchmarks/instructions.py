"""Instructions that the guard adds to a request of a signed-in user, counted by callgrind.

    python benchmarks/instructions.py           # the table
    python benchmarks/instructions.py --gate    # and exit with 1 where a limit is not kept

Microseconds depend on what else the machine does; the instructions of a process do not. A cell is
an app under one adapter with one kind of session, and a number of requests at the same time.
Each cell serves N requests and, in another process, 2N; the difference over N is the cost of one,
and what comes before and after cancels out. Each of these is done twice, and the smaller total is
taken: what seldom happens can only add. `added` is that less the bare app's, which makes the same
requests and is asked in the same way, by the same event loop.

Nobody serves over a network. The event loop is real, and so are Redis, which is started here on
loopback, and its sockets; what Redis itself spends is not counted, and neither is the kernel.
A request is Chrome's through one trusted proxy, of a session whose address and browser do not
change; nothing is written. The app looks at who is signed in. `starlette` is its SessionMiddleware
with the user's name in the cookie, which no store knows of. `moving` is a session over the memory
store that comes from another network each time: it is judged and written, without databases.

Needs valgrind, redis-server and starlette.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gatehound import __version__

AT_ONCE: Final = 32
CELLS: Final = (  # adapter / session / requests at the same time
    "asgi/bare/1",
    f"asgi/bare/{AT_ONCE}",
    "asgi/starlette/1",
    "asgi/memory/1",
    "asgi/moving/1",
    "asgi/sqlite/1",
    "asgi/redis/1",
    f"asgi/redis/{AT_ONCE}",
    "wsgi/bare/1",
    "wsgi/memory/1",
    "wsgi/sqlite/1",
    "wsgi/redis/1",
)
MUST: Final = 90_000
"""Required of the cells below: twice the 45,000 of a prototype on one multiplexed connection, which
found a cookie, verified its MAC, resolved an address and made one call, and had no detectors, no
deadlines and no way to connect again. Requests that share a trip have no reason to cost more than
one alone. The table says whether it is met; the gate does not ask, see LIMITS."""
AIM: Final = 60_000
REQUIRED: Final = ("asgi/redis/1", f"asgi/redis/{AT_ONCE}")
LIMITS: Final = {  # instructions added to the bare app's, with CPython 3.11
    # Ratchets, and what the gate keeps: what a Python of pyenv counted when it was last measured,
    # and 5%; Debian's Python, which is built in another way, counts a tenth less. Lower them with
    # what lowers the figures. Where MUST is not met yet they are over it: a gate that fails
    # whatever a change does would tell nobody of one that adds instructions.
    "asgi/memory/1": 88_000,
    "asgi/moving/1": 740_000,
    "asgi/sqlite/1": 85_000,
    "asgi/redis/1": 131_000,
    f"asgi/redis/{AT_ONCE}": 93_000,
    "wsgi/memory/1": 80_000,
    "wsgi/sqlite/1": 75_000,
    "wsgi/redis/1": 80_000,
}
WARM_UP: Final = AT_ONCE
"""Python adapts code that has run some times, and every connection of a pool is open by then."""
TRIES: Final = 2
PARALLEL: Final = os.cpu_count() or 1
CHILD: Final = Path(__file__).parent / "instructions_cells.py"


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Start a server on a free port of loopback, give its URL, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen([*command, "--dir", str(folder)], stdout=log)  # noqa: S603 - our own command
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        if server.poll() is not None:
            raise SystemExit(f"redis-server did not start: {(folder / 'redis.log').read_text()}")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def program(name: str) -> str:
    """Return the path of a program, or say that it is missing."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is missing: it has to be on the PATH")
    return found


def measure(count: int) -> dict[str, float]:
    """Run every cell under callgrind; return the instructions of one request."""
    runs = [(cell, n) for _ in range(TRIES) for cell in CELLS for n in (count, 2 * count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with redis_server(folder) as url:
            command = [
                *(program("valgrind"), "--tool=callgrind", "--quiet"),
                f"--callgrind-out-file={folder / 'out.%p'}",
                *(sys.executable, str(CHILD), name, url),
                *(str(WARM_UP), str(PARALLEL), json.dumps(runs)),
            ]
            done = subprocess.run(  # noqa: S603 - our own command
                command, env=environment(), capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise SystemExit(f"a run failed:\n{done.stdout}{done.stderr}")
        totals: dict[tuple[str, int], int] = {}
        for key, total in map(read, folder.glob("*.json")):
            totals[key] = min(total, totals.get(key, total))
    return {cell: (totals[cell, 2 * count] - totals[cell, count]) / count for cell in CELLS}


def environment() -> dict[str, str]:
    """Make the same environment for every run: nothing of it may count."""
    kept = ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
    }


def read(path: Path) -> tuple[tuple[str, int], int]:
    """Return what a process was, a cell and a count, and the instructions of all its life."""
    written = path.with_name(f"out.{path.stem}").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^(?:totals|summary): (\d+)", written, re.MULTILINE)
    if found is None:
        raise SystemExit(f"callgrind wrote no total for {path.stem}")
    cell, count = json.loads(path.read_text(encoding="utf-8"))
    return (cell, count), int(found[1])


def rows(costs: dict[str, float]) -> list[dict[str, Any]]:
    """Put a row together for each cell: its cost, what it adds, what it may add."""
    made = []
    for cell, cost in costs.items():
        world, kind, at_once = cell.split("/")
        added = None if kind == "bare" else round(cost - costs[f"{world}/bare/{at_once}"])
        limit = LIMITS.get(cell)
        must = MUST if cell in REQUIRED else None
        made.append(
            {
                "cell": cell,
                "instructions": round(cost),
                "added": added,
                "limit": limit,
                "passed": within(added, limit),
                "must": must,
                "met": within(added, must),
            }
        )
    return made


def within(added: int | None, most: int | None) -> bool | None:
    """Compare with a limit; None where there is nothing to compare."""
    return None if added is None or most is None else added <= most


def table(made: list[dict[str, Any]]) -> str:
    """Write the rows for people, in thousands."""

    def thousands(value: int | None) -> str:
        return "" if value is None else f"{value / 1000:.1f} k"

    words = {True: "pass", False: "FAIL", None: ""}
    lines = [f"{'adapter/session/at once':<25}{'a request':>12}{'added':>12}{'limit':>12}"]
    lines += [
        f"{row['cell']:<25}{thousands(row['instructions']):>12}{thousands(row['added']):>12}"
        f"{thousands(row['limit']):>12}  {words[row['passed']]}".rstrip()
        for row in made
    ]
    lines += [
        f"{row['cell']}: must <= {thousands(row['must'])}, aim <= {thousands(AIM)}: "
        f"{'met' if row['met'] else 'not met yet'}"
        for row in made
        if row["must"] is not None
    ]
    return "\n".join(lines)


def main() -> None:
    """Count, print, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=96, help="N: the requests of the shorter run")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--gate", action="store_true", help="exit with 1 over a limit")
    given = parser.parse_args()
    if given.count < AT_ONCE or given.count % AT_ONCE:
        parser.error(f"--count {given.count}: give {AT_ONCE} or a multiple of it")
    made = rows(measure(given.count))
    print(table(made))
    if given.json:
        result = {
            "gatehound": __version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "count": given.count,
            "rows": made,
        }
        Path(given.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if given.gate and any(row["passed"] is False for row in made):
        sys.exit(1)


if __name__ == "__main__":
    main()
