"""Make what the README says of the cost of a request from the figures of requests.py.

    python benchmarks/requests.py --json figures.json
    python benchmarks/requests_readme.py figures.json      # paste it over what is there

It writes every line there that depends on a run. Whose machine it was and when, you add yourself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from requests_participants import BASES, PARTICIPANTS
from requests_report import MANY

HEAD: Final = "| app | added CPU, microseconds | least | trips | commands in Redis | cookie sent |"
BESIDE: Final = ("ASGI + starsessions", "ASGI + Starlette's cookie")
Rows = dict[tuple[str, int], dict[str, Any]]


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Write the table, and the sentences around it."""
    rows: Rows = {(row["name"], row["clients"]): row for row in result["rows"]}
    ours = BASES["ASGI"]
    peers = result["peers"]
    redis = peers["redis-server"].partition("v=")[2].partition(" ")[0]
    yield f"Python {result['python']}, Redis {redis}, Node {peers['node'].lstrip('v')}"
    yield f"with {MANY} clients, the median of {result['rounds']} rounds"
    yield from table(rows)
    shared = 1 / rows[ours, MANY]["redis_reads"]
    yield f"with {MANY} clients {shared:.0f} requests shared one"
    late = ", ".join(f"{name} {rows[name, MANY]['p99_us'] / 1000:.0f} ms" for name in BESIDE)
    yield f"p99: {ours} {rows[ours, MANY]['p99_us'] / 1000:.0f} ms, {late}"


def table(rows: Rows) -> Iterator[str]:
    """Write a line for everyone with sessions; trips are those of one client alone."""
    yield HEAD
    yield "|---|---|---|---|---|---|"
    for one in PARTICIPANTS:
        row, alone = rows.get((one.name, MANY)), rows.get((one.name, 1))
        if one.has_sessions and row and alone:
            commands = ", ".join(name.upper() for name in alone["redis_commands"]) or "none"
            yield (
                f"| {one.name} | {row['added_us']:.0f} | {row['added_best_us']:.0f} "
                f"| {alone['redis_reads']:.0f} | {commands} "
                f"| {'each time' if row['sets_cookie'] else 'no'} |"
            )


def main() -> None:
    """Print it."""
    if len(sys.argv) != 2:
        raise SystemExit("give the file that requests.py --json wrote, with 32 clients and with 1")
    print(*lines(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), sep="\n")


if __name__ == "__main__":
    main()
