"""What grows: gatehound on ASGI and Redis with more sessions, clients and workers.

One thing varies at a time, the others stay as in BASE. Each population of sessions lies in a
database of its own with a server of its own, so that all cells take turns in the same rounds;
a bare app with as many workers is loaded beside each. wrk goes round the cookies of a thousand
sessions. Before each block every one of them is used once, so that the write that is due once a
minute for a session in use is in no figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from requests_check import PAUSE, TRIES, WITHIN, sign_in
from requests_fill import Population, fill
from requests_load import Block, load
from requests_participants import BASES, BY_NAME, HEADERS
from requests_rounds import SEED, Plan
from requests_servers import Cores, Server, Servers

COOKIES: Final = 1000
SESSIONS: Final = (1000, 10_000, 100_000, 1_000_000)
PER_USER: Final = (1, 5, 20)
CLIENTS: Final = (1, 4, 16, 32, 64, 256)
WORKERS: Final = (1, 2, 4)
VARIED: Final = {
    "sessions": "sessions stored",
    "per_user": "sessions a user",
    "clients": "clients",
    "workers": "workers",
}


class Cell(NamedTuple):
    """One place in the space of what grows."""

    sessions: int = 10_000
    per_user: int = 5
    clients: int = 32
    workers: int = 1

    @property
    def population(self) -> Population:
        return Population(self.sessions, self.per_user)


BASE: Final = Cell()


class GrowthRow(NamedTuple):
    """The figures of one cell; `varies` names the lines of a plot that it is on."""

    sessions: int
    per_user: int
    clients: int
    workers: int
    varies: list[str]
    added_us: float
    cpu_us: float
    bare_us: float
    rate: float
    bare_rate: float
    p50_us: float
    p99_us: float
    requests: int
    refused: int
    redis_commands: dict[str, float]
    redis_reads: float


def cells(most: int) -> list[Cell]:
    """List the cells, with at most so many sessions."""
    base = BASE._replace(sessions=min(BASE.sessions, most))
    found = [base._replace(sessions=count) for count in SESSIONS if count <= most]
    found += [base._replace(per_user=count) for count in PER_USER]
    found += [base._replace(clients=count) for count in CLIENTS]
    found += [base._replace(workers=count) for count in WORKERS]
    return list(dict.fromkeys([base, *found]))


def varies(cell: Cell, base: Cell) -> list[str]:
    """Name what differs from the base; the base itself is on every line."""
    changed = [name for name in VARIED if getattr(cell, name) != getattr(base, name)]
    return changed or list(VARIED)


class Place(NamedTuple):
    """What a cell is loaded with: the guarded server, the bare one, and the file of cookies."""

    guarded: Server
    bare: Server
    cookies: Path


def grow(most: int, plan: Plan) -> list[GrowthRow]:
    """Fill the populations, load all cells in turn, and return their figures."""
    import redis

    wanted = cells(most)
    cores = Cores.choose(max(cell.workers for cell in wanted))
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), cores) as servers:
        servers.start_redis()
        places = settle(servers, wanted)
        client: Any = redis.Redis.from_url(servers.redis_url())
        blocks = rounds(wanted, places, plan, cores, client)
        client.close()
    return [row(cell, wanted[0], blocks[cell]) for cell in wanted]


def settle(servers: Servers, wanted: Sequence[Cell]) -> dict[Cell, Place]:
    """Start every server that the cells need, and fill each population once."""
    databases = {one: n for n, one in enumerate(dict.fromkeys(c.population for c in wanted), 1)}
    guarded = {
        (cell.population, cell.workers): servers.start(
            BY_NAME[BASES["ASGI"]], databases[cell.population], cell.workers
        )
        for cell in {cell._replace(clients=0): cell for cell in wanted}.values()
    }
    bare = {
        workers: servers.start(BY_NAME["ASGI"], 0, workers)
        for workers in dict.fromkeys(cell.workers for cell in wanted)
    }
    for server in (*guarded.values(), *bare.values()):
        server.wait()
    files = {one: fill_one(servers, guarded[one, 1], n, one) for one, n in databases.items()}
    return {
        cell: Place(guarded[cell.population, cell.workers], bare[cell.workers], file)
        for cell in wanted
        for file in [files[cell.population]]
    }


def fill_one(servers: Servers, server: Server, database: int, wanted: Population) -> Path:
    """Fill one population, and write the file of its cookies for wrk."""
    begin = time.perf_counter()
    url = servers.redis_url(database)
    made = asyncio.run(fill(url, sign_in(server.port), wanted, COOKIES))
    file = servers.folder / f"cookies-{database}"
    file.write_text("\n".join(made) + "\n", encoding="ascii")
    took = time.perf_counter() - begin
    print(f"{wanted.sessions} sessions, {wanted.per_user} a user: {took:.0f} s", file=sys.stderr)
    return file


Pairs = list[tuple[Block, Block]]


def rounds(
    wanted: Sequence[Cell],
    places: dict[Cell, Place],
    plan: Plan,
    cores: Cores,
    redis: Any,
) -> dict[Cell, Pairs]:
    """Load all cells in turn, in another order each round; the first round warms up."""
    found: dict[Cell, Pairs] = {cell: [] for cell in wanted}
    chance = random.Random(SEED)  # noqa: S311 - the same order in every run, no secret
    for number in range(plan.rounds + plan.warm):
        for cell in chance.sample(wanted, len(wanted)):
            place = places[cell]
            use_all(place.guarded, place.cookies)
            script = [str(place.cookies)]
            own, bare = (
                load(server, cell.clients, plan.seconds, cores, redis, script=script)
                for server in (place.guarded, place.bare)
            )
            if number or not plan.warm:
                found[cell].append((own, bare))
        print(".", end="", flush=True)
    print()
    return found


def use_all(server: Server, file: Path) -> None:
    """Send one request with each cookie, so that each session was seen just now."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WITHIN)
    with contextlib.closing(line):
        for cookie in file.read_text(encoding="ascii").split():
            if (status := use(line, cookie)) != 200:
                said = server.log.read_text(errors="replace")[-1000:]
                raise SystemExit(f"a filled session is not known: {status}\n{said}")


def use(line: http.client.HTTPConnection, cookie: str) -> int:
    """Send one request and return its status; a 5xx is asked again, as in requests_check.py."""
    status = 0
    for _ in range(TRIES):
        line.request("GET", "/", headers=HEADERS | {"Cookie": cookie})
        response = line.getresponse()
        response.read()
        status = response.status
        if status < 500:
            break
        time.sleep(PAUSE)
    return status


def row(cell: Cell, base: Cell, pairs: Pairs) -> GrowthRow:
    """Put the blocks of one cell into a row."""
    own, bare = zip(*pairs, strict=True)
    total = max(1, sum(block.requests for block in own))
    names = dict.fromkeys(name for block in own for name in block.redis.commands)
    commands = {
        name: round(sum(block.redis.commands.get(name, 0) for block in own) / total, 2)
        for name in names
    }
    return GrowthRow(
        *cell,
        varies=varies(cell, base),
        added_us=statistics.median(a.cpu_us - b.cpu_us for a, b in pairs),
        cpu_us=statistics.median(block.cpu_us for block in own),
        bare_us=statistics.median(block.cpu_us for block in bare),
        rate=statistics.median(block.rate for block in own),
        bare_rate=statistics.median(block.rate for block in bare),
        p50_us=statistics.median(block.p50_us for block in own),
        p99_us=statistics.median(block.p99_us for block in own),
        requests=total,
        refused=sum(block.refused for block in own),
        redis_commands={name: share for name, share in commands.items() if share >= 0.05},
        redis_reads=round(sum(block.redis.reads for block in own) / total, 2),
    )


def print_growth(rows: Sequence[GrowthRow]) -> None:
    """Print a line for each cell."""
    heads = ("sessions", "a user", "clients", "workers", "added", "all", "bare", "req/s", "p50")
    print("\ngatehound, ASGI, Redis: CPU us a request; latency us")
    print("".join(f"{head:>9}" for head in (*heads, "p99", "reads")) + "  Redis commands")
    for one in rows:
        figures = (one.added_us, one.cpu_us, one.bare_us, one.rate, one.p50_us, one.p99_us)
        text = "".join(f"{value:>9}" for value in one[:4])
        text += "".join(f"{value:>9.0f}" for value in figures) + f"{one.redis_reads:>9.2f}"
        commands = ", ".join(f"{name} {share:g}" for name, share in one.redis_commands.items())
        print(f"{text}  {commands}" + (f"; refused: {one.refused}" if one.refused else ""))


def growth_json(machine: dict[str, Any], plan: Plan, rows: Sequence[GrowthRow]) -> str:
    """Write everything down."""
    told = {**machine, "rounds": plan.rounds, "seconds": plan.seconds, "cookies": COOKIES}
    return json.dumps({**told, "rows": [one._asdict() for one in rows]}, indent=2) + "\n"
