"""How users, their requests and the loss of a master spread over the shards of a cluster.

    python benchmarks/shards.py                 # some minutes, no server
    python benchmarks/shards.py --quick         # a small population, a second

A simulation: the same seed gives the same figures. Real are the names of keys, their slots
(redis-py's `key_slot`) and what the library does in an outage; users, their habits, network,
servers and app are made up, see shards_placement and shards_outage. Slots are dealt out as
`redis-cli --cluster create` does.

balance   users and sessions of the fullest shard over the mean: with the tags of the library,
          with tags "0" to "255", and with no buckets, where each user has a slot
hot       the same for requests, which follow a Zipf law; `robot` is one user's share of them
outage    the fullest shard's master dies while an app of --workers processes, with --threads
          each, is asked --rate times a second. Each request reads one session, and is answered
          503 where the store cannot tell. The master is killed (connections are refused), frozen
          (they open, and nobody answers) or gone with its machine (they do not open).
          `touched` are the requests of its users while it is missing, and what follows says how
          long the refused ones were in the call of the store; the longest has the app's backlog
          as well. `late` are requests that wait over 5 ms, and `held` is the share of the app's
          threads that the dead master keeps waiting. "healed" is when the last one was refused.

A figure of balance and hot is the median over --keys identity keys, each of which puts the same
users elsewhere. An outage is played once, under the first of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

from shards_outage import DEATHS, TIMEOUTS, Scene, play
from shards_placement import Population, Survey, balance, hot

from gatehound.stores.redis.breaker import REST, SILENCES
from gatehound.stores.redis.keys import BUCKETS
from gatehound.stores.redis.node import CONNECT, MAX_CONNECTIONS, PROMPT
from gatehound.stores.redis.topology import PAUSE

SHARDS: Final = (3, 10, 50, 256, 512)
SEED: Final = 20_240_229


def outages(asked: argparse.Namespace, people: Population) -> Iterator[dict[str, Any]]:
    """Play every outage that was asked for."""
    counts = [shards for shards in asked.shards if shards <= BUCKETS]
    for threads, shards, timeout, death in product(asked.threads, counts, asked.timeouts, DEATHS):
        yield play(Scene(shards, timeout, death, asked.workers, threads, asked.rate), people)


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    survey = Survey()
    for number in range(asked.keys):
        survey.add(Population(asked.users, asked.seed + number))
    if survey.first is None:
        raise SystemExit("--keys has to be 1 or more")
    return {
        "seed": asked.seed,
        "users": asked.users,
        "identity_keys": asked.keys,
        "library": {
            "buckets": BUCKETS,
            "prompt_s": PROMPT,
            "connect_s": CONNECT,
            "silences": SILENCES,
            "rest_s": REST,
            "pause_s": PAUSE,
            "max_connections": MAX_CONNECTIONS,
        },
        "balance": list(balance(survey, asked.shards)),
        "hot": list(hot(survey, [shards for shards in asked.shards if shards <= BUCKETS])),
        "outage": list(outages(asked, survey.first)),
    }


# --- tables ---


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table with the columns aligned to the right."""
    lines = [list(head), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}\n")
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def print_balance(rows: Sequence[dict[str, Any]]) -> None:
    """Print how evenly users lie."""
    head = ("shards", "scheme", "buckets", "empty", "users", "worst", "sessions", "worst")
    names = ("bucket_skew", "empty", "users_skew", "users_worst", "sessions_skew", "sessions_worst")
    lines = [(row["shards"], row["scheme"], *(row[name] for name in names)) for row in rows]
    table("balance: fullest shard over the mean", head, lines)


def print_hot(rows: Sequence[dict[str, Any]]) -> None:
    """Print how evenly requests lie."""
    counts = list(rows[0]["shards"])
    head = ["s", "robot", "top user", "bucket max", "bucket p99"]
    head += [f"{n} {what}" for n in counts for what in ("max", "worst", "no buckets")]
    lines = []
    for row in rows:
        line = [row["s"], _percent(row["robot"]), _percent(row["busiest"])]
        line += [row["bucket_skew"], row["bucket_p99"]]
        for cells in row["shards"].values():
            ours, apart = cells["our tags"], cells["slot per user"]
            line += [ours["skew"], ours["worst"], apart["skew"]]
        lines.append([f"{c:.2f}" if isinstance(c, float) else c for c in line])
    table("hot: requests of a bucket, and of a shard, over the mean", head, lines)


def print_outages(rows: Sequence[dict[str, Any]]) -> None:
    """Print what became of requests, and which connections were opened."""
    head = ["app", "shards", "timeout", "master", "outage s", "users", "touched", "refused"]
    head += ["at once", f"{PROMPT:g} s", f"{CONNECT:g} s", "longer", "longest s"]
    head += ["others", "refused", "late", "longest s", "after", "refused", "healed s", "held"]
    lines: list[list[object]] = []
    links: list[list[object]] = []
    names = ("others", "others_refused", "others_late", "others_longest_s", "after")
    for row in rows:
        name = [f"{row['workers']}x{row['threads']}", row["shards"], row["timeout"], row["death"]]
        touched = [row["touched"], row["touched_refused"], *row["refused_after"].values()]
        line = [*name, row["outage_s"], _percent(row["share_of_users"]), *touched]
        line += [row["touched_longest_s"], *(row[one] for one in names), row["after_refused"]]
        lines.append([*line, row["healed_s"], _percent(row["held"])])
        links.append([*name, *(row[f"connections{end}"] for end in _ENDS), row["maps"]])
    table("outage: requests while the master is dead, and after", head, lines)
    head = ["app", "shards", "timeout", "master", "before", "tried", "new", "a worker", "in 0.1 s"]
    table("outage: connections to the dead master and the new", [*head, "maps"], links)


_ENDS: Final = ("_before", "_tried", "", "_a_worker", "_burst")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a small population and one app")
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=11, help="identity keys")
    parser.add_argument("--shards", type=int, nargs="*", default=SHARDS)
    parser.add_argument("--timeouts", type=float, nargs="*", default=TIMEOUTS)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--threads", type=int, nargs="*", default=[8, 1])
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="needs matplotlib")
    asked = parser.parse_args()
    if asked.quick:
        asked.users, asked.keys, asked.shards, asked.timeouts = 20_000, 1, (3, 10), (1,)
        asked.workers, asked.threads, asked.rate = 8, [8], 150
    if max(asked.threads) > MAX_CONNECTIONS:
        parser.error(f"--threads: a pool has {MAX_CONNECTIONS} connections, and no queue here")
    return asked


def main() -> None:
    """Simulate, and print tables."""
    asked = options()
    result = run(asked)
    print_balance(result["balance"])
    print_hot(result["hot"])
    print_outages(result["outage"])
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if asked.plots:
        from shards_plots import draw  # matplotlib is wanted by nobody else

        asked.plots.mkdir(parents=True, exist_ok=True)
        draw(result, asked.plots)


if __name__ == "__main__":
    main()
