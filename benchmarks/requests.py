"""What sessions cost a request: gatehound beside others, on real servers, in the same run.

    python benchmarks/requests.py                  # everyone, 9 rounds, 1 and 32 clients
    python benchmarks/requests.py --quick          # one round, to see that everyone works
    python benchmarks/requests.py --growth         # gatehound on Redis, larger and larger

Every participant is a server process of one worker: ASGI under uvicorn, WSGI under gunicorn's
sync worker, Express under node. All are started first and stay up; then each is loaded by wrk
in turn, round after round. A request carries the cookie of a signed-in user, the headers of a
browser, and X-Forwarded-For with one hop; the handler reads whose session it is and answers the
user id.

The headline is `added`: the CPU time of the server process for one request, less that of the
bare app on the same server in the same round. What Redis and wrk spend is not in it, and they
run on another core. Before it is measured each participant has to know the user by the cookie,
and nobody without one or with a forged one; who fails is shown as "wrong", and the exit code is
1. The modules requests_*.py hold one part each; this one reads the command line.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from requests_check import Checked, check
from requests_express import install
from requests_figures import TOLERATED, Outcome, failures, rows_of
from requests_growth import grow, growth_json, print_growth
from requests_participants import Participant, choose, missing_parts
from requests_report import MANY, as_json, machine, needs, print_tables, write
from requests_rounds import Plan, measure
from requests_servers import Cores, Servers, program

QUICK = Plan(rounds=1, seconds=1, clients=(8,), warm=False)
USUAL = Plan(rounds=9, seconds=1, clients=(MANY, 1))
GROWTH = Plan(rounds=5, seconds=1, clients=())
GROWTH_QUICK = GROWTH._replace(rounds=1, warm=False)
QUICK_SESSIONS = 1000


def present(chosen: Sequence[Participant]) -> tuple[list[Participant], dict[str, list[str]]]:
    """Split the participants into those that are installed, and what the others lack."""
    missing = {one.name: parts for one in chosen if (parts := missing_parts(one))}
    nodes = [one.name for one in chosen if one.side == "node" and one.name not in missing]
    if nodes and (problem := install()):
        missing |= {name: [problem] for name in nodes}
    return [one for one in chosen if one.name not in missing], missing


def run(chosen: Sequence[Participant], plan: Plan) -> Outcome:
    """Start everyone, ask them, load them, and end them."""
    import redis

    there, missing = present(chosen)
    cores = Cores.choose()
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), cores) as servers:
        servers.start_redis()
        started = servers.start_all(there)
        checked = {server.participant.name: check(server) for server in started}
        right = [server for server in started if not checked[server.participant.name].wrong]
        client: Any = redis.Redis.from_url(servers.redis_url())
        blocks = measure(right, checked, plan, cores, client)
        client.close()
    return Outcome(rows_of(blocks, checked), wrong_ones(checked) | failures(blocks), missing)


def wrong_ones(checked: dict[str, Checked]) -> dict[str, list[str]]:
    """Name those that did not answer what they have to."""
    return {name: list(one.wrong) for name, one in checked.items() if one.wrong}


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="9, and one before them to warm up")
    parser.add_argument("--seconds", type=int, help="1; of load in a block")
    parser.add_argument("--clients", type=int, nargs="+", metavar="N", help="32 and 1")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="and their bare apps")
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s with 8 clients")
    parser.add_argument("--growth", action="store_true", help="more sessions, clients and workers")
    parser.add_argument(
        "--sessions", type=int, default=1_000_000, help="of --growth: up to a million"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there as well")
    parser.add_argument("--plots", metavar="FOLDER", type=Path, help="draw them there")
    parser.add_argument("--gate", action="store_true", help="exit with 1 where a must is not met")
    return parser.parse_args()


def plan_of(given: argparse.Namespace, plan: Plan) -> Plan:
    """Put the options over a plan."""
    return plan._replace(
        rounds=max(1, given.rounds or plan.rounds),
        seconds=max(1, given.seconds or plan.seconds),
        clients=tuple(max(1, count) for count in given.clients or plan.clients),
    )


def stop(*_: object) -> None:
    """Leave on SIGTERM as on Ctrl-C: all servers are ended on the way out."""
    raise KeyboardInterrupt


def main() -> int:
    """Measure, print, and tell whether everyone is right and the requirements are met."""
    given = read_options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    program("wrk")
    if given.growth:
        return run_growth(given)
    return run_peers(given)


def run_peers(given: argparse.Namespace) -> int:
    """Measure everyone."""
    plan = plan_of(given, QUICK if given.quick else USUAL)
    outcome = run(choose(given.only), plan)
    print_tables(outcome)
    found = needs(outcome.rows)
    print(f"\nmedians of {plan.rounds} rounds; what is required with {MANY} clients and with 1:")
    print(*found, sep="\n")
    write(given.json, as_json(plan, outcome, found))
    if given.plots:
        from requests_plots import plot

        print(*plot(outcome.rows, given.plots, list(outcome.wrong)), sep="\n")
    return int(bool(outcome.wrong) or (given.gate and not all(one.passed for one in found)))


def run_growth(given: argparse.Namespace) -> int:
    """Measure what grows."""
    plan = plan_of(given, GROWTH_QUICK if given.quick else GROWTH)
    rows = grow(min(given.sessions, QUICK_SESSIONS) if given.quick else given.sessions, plan)
    print_growth(rows)
    write(given.json, growth_json(machine(), plan, rows))
    if given.plots:
        from requests_plots import plot_growth

        print(*plot_growth(rows, given.plots), sep="\n")
    return int(any(row.refused > row.requests * TOLERATED for row in rows))


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
