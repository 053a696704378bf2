"""Make the README's table of what a request costs from the figures of requests.py.

    python benchmarks/requests.py --json figures.json
    python benchmarks/requests_readme.py figures.json      # paste it over the table there
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from requests_participants import PARTICIPANTS

CLIENTS: Final = 32
HEAD: Final = "| app | added CPU, microseconds | least | trips | commands in Redis | cookie sent |"
NOTHING: Final = "none"


def table(result: dict[str, Any]) -> Iterator[str]:
    """Write a line for everyone with sessions; trips are those of one client alone."""
    rows = {(row["name"], row["clients"]): row for row in result["rows"]}
    yield HEAD
    yield "|---|---|---|---|---|---|"
    for one in PARTICIPANTS:
        row, alone = rows.get((one.name, CLIENTS)), rows.get((one.name, 1))
        if one.has_sessions and row and alone:
            commands = (name.upper() for name in alone["redis_commands"])
            yield (
                f"| {one.name} | {row['added_us']:.0f} | {row['added_best_us']:.0f} "
                f"| {alone['redis_reads']:.0f} | {', '.join(commands) or NOTHING} "
                f"| {'each time' if row['sets_cookie'] else 'no'} |"
            )


def main() -> None:
    """Print the table."""
    if len(sys.argv) != 2:
        raise SystemExit(f"give one file that {Path(__file__).parent / 'requests.py'} --json wrote")
    print(*table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), sep="\n")


if __name__ == "__main__":
    main()
