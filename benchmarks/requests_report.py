"""Show what requests.py found: tables, requirements, JSON."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final, NamedTuple

from requests_express import PACKAGES, folder
from requests_figures import Outcome, Row
from requests_participants import BASES, BY_NAME
from requests_rounds import Plan

from gatehound import __version__

PEERS: Final = (
    "django", "fastapi", "flask", "flask-session", "gunicorn", "hiredis", "httptools", "litestar",
    "redis", "starlette", "starsessions", "uvicorn", "uvloop",
)  # fmt: skip
WIDTH: Final = 28


class Need(NamedTuple):
    """A requirement: what was found, what it must not exceed, and what it should become."""

    name: str
    value: float | None
    must: float
    aim: float | None = None

    @property
    def passed(self) -> bool:
        return self.value is not None and self.value <= self.must

    def __str__(self) -> str:
        value = "nothing" if self.value is None else f"{self.value:.2f}"
        aim = "" if self.aim is None else f", aim <= {self.aim:g}"
        verdict = "pass" if self.passed else "FAIL"
        return f"{verdict}  {self.name} = {value} (must <= {self.must:g}{aim})"


MANY: Final = 32
"""Clients of the requirements, where they do not say one."""


def needs(rows: Sequence[Row]) -> list[Need]:
    """Compare with the requirements."""
    added = {(row.name, row.clients): row.added_us for row in rows}
    asgi, wsgi = BASES["ASGI"], BASES["WSGI"]
    return [
        Need(f"added us, {asgi}, {MANY} clients", added.get((asgi, MANY)), 45, 25),
        Need(f"added us, {asgi}, 1 client", added.get((asgi, 1)), 70, 55),
        Need(f"added us, {wsgi}, {MANY} clients", added.get((wsgi, MANY)), 100, 80),
        Need(
            f"added us, ASGI + gatehound, SQLite, {MANY} clients",
            added.get(("ASGI + gatehound, SQLite", MANY)),
            45,
        ),
        *(
            Need(f"p99 of {base} by the least of a peer's", slowness(rows, base), 1)
            for base in (asgi, wsgi)
        ),
    ]


def slowness(rows: Sequence[Row], base: str) -> float | None:
    """Divide the p99 of ours by the least p99 of peers with sessions on the same side."""
    side = BY_NAME[base].side
    at = [row for row in rows if row.clients == MANY and row.side == side and row.bare]
    own = [row.p99_us for row in at if row.name == base]
    # The floor is nobody's sessions: it is what a trip costs.
    peers = [r.p99_us for r in at if not BY_NAME[r.name].is_ours and "by hand" not in r.name]
    return own[0] / min(peers) if own and peers else None


def print_tables(outcome: Outcome) -> None:
    """Print a table for each number of clients, and who is not in it."""
    for count in dict.fromkeys(row.clients for row in outcome.rows):
        print(f"\n{count} client{'s' if count > 1 else ''}: CPU us a request; latency us")
        heads = ("added", "best", "ratio", "all", "req/s", "p50", "p99", "Redis", "reads", "cookie")
        print(f"{'':{WIDTH}}" + "".join(f"{head:>8}" for head in heads) + "  Redis commands")
        for row in outcome.rows:
            if row.clients == count:
                print(line(row, is_wrong=row.name in outcome.wrong))
    for name, parts in outcome.missing.items():
        print(f"{name:{WIDTH}}missing: {', '.join(parts)}")
    for name, reasons in outcome.wrong.items():
        print(f"{name:{WIDTH}}wrong: {'; '.join(reasons)}")


def line(row: Row, *, is_wrong: bool) -> str:
    """Show one row."""
    if is_wrong:
        return f"{row.name:{WIDTH}}{'wrong':>8}"
    figures = (
        number(row.added_us, 1),
        number(row.added_best_us, 1),
        number(row.ratio, 2),
        number(row.cpu_us, 1),
        number(row.rate, 0),
        number(row.p50_us, 0),
        number(row.p99_us, 0),
        number(row.redis_us, 1),
        number(row.redis_reads, 2),
        "set" if row.sets_cookie else "-",
    )
    commands = ", ".join(f"{name} {share:g}" for name, share in row.redis_commands.items())
    trouble = "".join(
        f"; {getattr(row, what)} {what}"
        for what in ("refused", "repeated", "lost", "late")
        if getattr(row, what)
    )
    return (
        f"{row.name:{WIDTH}}" + "".join(f"{one:>8}" for one in figures) + f"  {commands}{trouble}"
    )


def number(value: float | None, digits: int) -> str:
    """Show a figure, or that there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def versions(names: Iterable[str] = PEERS) -> dict[str, str]:
    """Return the versions of what takes part, as far as it is there."""
    found = {}
    for name in names:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            continue
    for name in PACKAGES:
        file = folder() / "node_modules" / name / "package.json"
        if file.is_file():
            found[f"{name} (node)"] = json.loads(file.read_text(encoding="utf-8"))["version"]
    return found | {name: told for name in ("redis-server", "node") if (told := tell(name))}


def tell(name: str) -> str:
    """Ask a program for its version; "" where it is missing."""
    path = shutil.which(name)
    if path is None:
        return ""
    done = subprocess.run(  # noqa: S603 - a program of this table
        [path, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Say what everything was measured on."""
    return {
        "gatehound": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "peers": versions(),
    }


def as_json(plan: Plan, outcome: Outcome, found: Sequence[Need]) -> str:
    """Write everything down."""
    result = {
        **machine(),
        "clock": "schedstat",
        **plan._asdict(),
        "rows": [row._asdict() for row in outcome.rows],
        "wrong": outcome.wrong,
        "missing": outcome.missing,
        "needs": [{**one._asdict(), "passed": one.passed} for one in found],
    }
    return json.dumps(result, indent=2) + "\n"


def write(file: Path | None, text: str) -> None:
    """Write a file, if one was asked for."""
    if file is not None:
        file.write_text(text, encoding="utf-8")
