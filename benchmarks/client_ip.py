"""What the client's address costs: gatehound and four others in the same run, taking turns.

    python benchmarks/client_ip.py              # every cell
    python benchmarks/client_ip.py --quick      # the cells of the requirements, few rounds

"n hops" are n entries in one X-Forwarded-For line: the leftmost is the client, the n-1 others
and the socket peer are trusted. `hot` is one request again and again. `cold` is a list of
20,000 requests with a new client, new hops and a new peer each; an address comes again after
8,192 others at the earliest, so nobody's cache hits (uvicorn keeps 4,096).

Each request is made of fresh objects outside the measured time, as a server makes them: a
string that was hashed before is cheaper to look up, and nothing of it may be left over from
the call before. The requests have no X-Forwarded-Proto, which some of the others would act on.

Everyone sits in a middleware of the same shape, and ends with the client's address as text
where the app looks for it. `floor` is that middleware with nothing in it; it is in every
figure, and nothing is subtracted. Figures are CPU microseconds of this process, medians over
the rounds; ratios are medians of the ratios of one round. A participant that does not find the
client is shown as "wrong", and not measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version as installed
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any, Final, NamedTuple

from client_ip_participants import SIDES, Side
from client_ip_requests import POOL, SEED, Cell, Request, make_pool

from gatehound import __version__

PEERS: Final = ("uvicorn", "hypercorn", "werkzeug", "python-ipware")
VERSIONS: Final = (4, 6)
HOPS: Final = (1, 3, 10)
NETWORKS: Final = (2, 22, 1000)
BATCH: Final = 100
"""Requests made at once: about what stays in a processor's cache, as those of a server do."""
BLOCK_NS: Final = 10_000_000
"""A block of a slow participant ends here, or it would take half of the time."""
CHECKED: Final = 50
"""Answers compared with the true client before a participant is measured."""


class Unit:
    """One participant in one cell: what it is given next, and what each round cost."""

    def __init__(
        self, name: str, side: Side, cell: Cell, pool: Sequence[Request], start: int
    ) -> None:
        self.name = name
        self.side = side
        self.cell = cell
        self.pool = pool
        self.target = side.makers[name](side.app(None), cell)
        # Not the requests that another has just had: a cache of a whole module would hit.
        self.requests = islice(cycle(pool), start, None)
        self.costs: list[float] = []

    def is_right(self) -> bool:
        """Ask for some requests, and compare the answers with the true clients."""
        if self.name.startswith("floor"):
            return True
        seen: list[Any] = []
        target = self.side.makers[self.name](self.side.app(seen.append), self.cell)
        asked = self.pool[:CHECKED]
        self.side.run(target, [self.side.make_request(one) for one in asked])
        return [as_text(one) for one in seen] == [client.decode() for client, _, _ in asked]

    def measure(self, calls: int) -> None:
        """Run a block of calls, or fewer of a slow participant, and note what one cost."""
        spent = done = 0
        while done < calls and spent < BLOCK_NS:
            size = min(BATCH, calls - done)
            batch = [self.side.make_request(one) for one in islice(self.requests, size)]
            gc.disable()
            spent += self.side.run(self.target, batch)
            gc.enable()
            done += size
        self.costs.append(spent / done / 1000)


def as_text(seen: Any) -> str:
    """Read what a participant left: a client pair, an answer, or text."""
    if isinstance(seen, tuple):
        seen = seen[0]
    return str(seen)


def measure(cells: Sequence[Cell], rounds: int, calls: int) -> list[Row]:
    """Let every participant of these cells take turns, in another order each round."""
    need = (rounds + 1) * max(calls, CHECKED)
    pools = {cell: make_pool(cell, min(POOL, need)) for cell in cells}
    names = [(name, side) for side in SIDES for name in side.makers]
    units = [
        Unit(name, side, cell, pools[cell], at * len(pools[cell]) // len(names))
        for cell in cells
        for at, (name, side) in enumerate(names)
    ]
    right = [unit for unit in units if unit.is_right()]
    gc.collect()
    gc.freeze()  # or each collection would look through the pools
    chance = random.Random(SEED)  # noqa: S311 - the same order in every run, no secret
    for _ in range(rounds + 1):
        for unit in chance.sample(right, len(right)):
            unit.measure(calls)
    gc.unfreeze()
    bases = {(unit.cell, unit.name): unit.costs for unit in units}
    return [Row(unit.name, unit.cell, *figures(unit, bases)) for unit in units]


class Row(NamedTuple):
    """A figure: CPU microseconds a call and the ratio to gatehound; None where it is wrong."""

    name: str
    cell: Cell
    us: float | None
    ratio: float | None
    costs: Sequence[float]


def figures(
    unit: Unit, bases: dict[tuple[Cell, str], list[float]]
) -> tuple[float | None, float | None, Sequence[float]]:
    """Take the medians, without the first round, which warms up."""
    costs = unit.costs[1:]
    if not costs:
        return None, None, ()
    return statistics.median(costs), middle(costs, bases[unit.cell, unit.side.base][1:]), costs


def middle(costs: Sequence[float], base: Sequence[float]) -> float | None:
    """Return the median of the ratios of the same round; None where there is nothing to divide."""
    if not costs or not base:
        return None
    return statistics.median(a / b for a, b in zip(costs, base, strict=True))


class Need(NamedTuple):
    """A requirement: what was found, what it must be, and what it should become."""

    name: str
    value: float | None
    must: float
    aim: float | None = None

    @property
    def passed(self) -> bool:
        """Tell whether it is met; without an aim the figure is an upper bound."""
        if self.value is None:
            return False
        return self.value <= self.must if self.aim is None else self.value >= self.must

    def __str__(self) -> str:
        value = "nothing" if self.value is None else f"{self.value:.2f}"
        bound = f"<= {self.must}" if self.aim is None else f">= {self.must:g}, aim >= {self.aim:g}"
        return f"{'pass' if self.passed else 'FAIL'}  {self.name} = {value} (must {bound})"


def needs(rows: Sequence[Row]) -> list[Need]:
    """Compare with the requirements: cold, 3 hops, 22 networks, v4."""
    found = {(row.name, row.cell): row for row in rows}
    few, some, many = (Cell(4, hot=False, hops=3, networks=count) for count in NETWORKS)
    growth = middle(found["gatehound", many].costs, found["gatehound", few].costs)
    return [
        Need("uvicorn / gatehound", found["uvicorn", some].ratio, 3, 5),
        Need("python-ipware / gatehound", found["python-ipware, count", some].ratio, 12, 20),
        Need("gatehound with 1000 networks / with 2", growth, 1.3),
    ]


def groups(*, quick: bool) -> list[list[Cell]]:
    """List the cells that take turns: one list for each version, hot or cold, and hops."""
    every = list(product(VERSIONS, (True, False), HOPS))
    if quick:
        every = [(4, True, 3), (4, False, 3), (6, False, 3)]
    return [[Cell(version, hot, hops, count) for count in NETWORKS] for version, hot, hops in every]


def print_tables(rows: Sequence[Row]) -> None:
    """Print one table for each version, hot and cold: a participant a line, a cell a column."""
    for version, hot in product(VERSIONS, (True, False)):
        table = [row for row in rows if (row.cell.version, row.cell.hot) == (version, hot)]
        if not table:
            continue
        cells = list(dict.fromkeys(row.cell for row in table))
        print(f"\nv{version}, {'hot' if hot else 'cold'}: us a call, ratio to gatehound")
        heads = [f"{cell.hops} hops, {cell.networks}" for cell in cells]
        print(f"{'hops, networks':24}" + "".join(f"{head:>15}" for head in heads))
        for name in dict.fromkeys(row.name for row in table):
            shown = [figure(row) for row in table if row.name == name]
            print(f"{name:24}" + "".join(f"{one:>15}" for one in shown))


def figure(row: Row) -> str:
    """Show one cell of a table."""
    if row.us is None:
        return "wrong"
    return f"{row.us:.2f} " + ("     -" if row.ratio is None else f"{row.ratio:5.2f}x")


def as_json(given: argparse.Namespace, rows: Sequence[Row], found: Sequence[Need]) -> str:
    """Write everything down, with what it was measured on."""
    result = {
        "gatehound": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "peers": {name: installed(name) for name in PEERS},
        "clock": "process_time",
        "rounds": given.rounds,
        "calls": given.calls,
        "rows": [
            {**asdict(row.cell), "name": row.name, "us": row.us, "ratio": row.ratio} for row in rows
        ],
        "needs": [{**one._asdict(), "passed": one.passed} for one in found],
    }
    return json.dumps(result, indent=2) + "\n"


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer cells, 5 rounds of 300 calls")
    parser.add_argument("--rounds", type=int, help="21, and one before them to warm up")
    parser.add_argument("--calls", type=int, help="calls in a block, 1000; slow ones make fewer")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there as well")
    parser.add_argument("--gate", action="store_true", help="exit with 1 where a must is not met")
    given = parser.parse_args()
    given.rounds = max(1, given.rounds or (5 if given.quick else 21))
    given.calls = max(1, given.calls or (300 if given.quick else 1000))
    return given


def main() -> int:
    """Measure, print, and tell whether the requirements are met."""
    given = read_options()
    peers = ", ".join(f"{name} {installed(name)}" for name in PEERS)
    print(f"gatehound {__version__}, {peers}, Python {platform.python_version()}")
    rows: list[Row] = []
    for cells in groups(quick=given.quick):
        rows += measure(cells, given.rounds, given.calls)
        print(".", end="", flush=True)
    print()
    print_tables(rows)
    print(f"\nv4, cold, 3 hops; 22 networks where no other number is named; {given.rounds} rounds")
    found = needs(rows)
    print(*found, sep="\n")
    if given.json:
        given.json.write_text(as_json(given, rows, found), encoding="utf-8")
    return int(given.gate and not all(one.passed for one in found))


if __name__ == "__main__":
    sys.exit(main())
