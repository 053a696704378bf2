"""How often session-hijack detection is wrong, and how often it is right, on simulated people.

    python benchmarks/detection/simulate.py                    # everything, some ten minutes
    python benchmarks/detection/simulate.py --users 200 --seeds 1 --run standard

One command: people of several kinds use a guarded app for a week, some sessions are stolen, and
the tables say which were flagged, by gatehound and by five simple rules on the same requests. The
app is asked in-process through the real middleware; the databases are generated files, the
headers are those of real browsers, and people, networks and thieves are made up. The same seed
gives the same figures.

standard        the personas and attacks on which weights may be tuned
mild            the quiet personas among them, with fewer changes of network
held-out        personas and attacks of which weights were not made, but tuning has seen figures
held-out-2      others, written after those weights; tuning has seen their figures too
held-out-3      others again, written after that; tuning has seen their figures too
held-out-4      and again
unseen          personas and attacks written after that; nothing was tuned on them
mis-set-proxy   the app stands behind proxies that are not declared: every address is theirs
no-database     standard, and the guard has no databases and no lists

Runs other than standard have fewer users; see KINDS in run.py for the part of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from report import print_musts, print_run
from run import KINDS, Job, jobs, simulate
from tally import merged


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Do all jobs and return all figures."""
    todo = list(jobs(asked.run, asked.seeds, asked.users, asked.days, upgrade=asked.upgrade))
    if asked.jobs > 1:
        with ProcessPoolExecutor(asked.jobs) as pool:
            done = list(pool.map(simulate, todo))
    else:
        done = [simulate(job) for job in todo]
    return {
        "users": asked.users,
        "days": asked.days,
        "seeds": asked.seeds,
        "runs": {kind: _of(kind, todo, done) for kind in asked.run},
    }


def _of(kind: str, todo: Sequence[Job], done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    mine = {str(job.seed): one for job, one in zip(todo, done, strict=True) if job.kind == kind}
    return {"total": merged(list(mine.values())), "seeds": mine}


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=3000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--run", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--jobs", type=int, default=2, help="processes, one seed at a time each")
    parser.add_argument(
        "--no-upgrade", dest="upgrade", action="store_false", help="keep the databases all week"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="needs matplotlib")
    parser.add_argument("--gate", action="store_true", help="exit with 1 where one is not met")
    asked = parser.parse_args(arguments)
    if asked.users < 1 or asked.days < 1:
        parser.error("--users and --days are 1 or more")
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print tables, and return the exit code."""
    asked = options(arguments)
    result = run(asked)
    for kind, found in result["runs"].items():
        print_run(kind, found)
    all_met = print_musts(result["runs"])
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if asked.plots:
        from plots import draw  # matplotlib is wanted by nobody else

        asked.plots.mkdir(parents=True, exist_ok=True)
        draw(result, asked.plots)
    return 1 if asked.gate and not all_met else 0


if __name__ == "__main__":
    sys.exit(main())
