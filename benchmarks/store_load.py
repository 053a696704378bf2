"""What a store takes when it is asked as fast as it answers, without an app around it.

    python benchmarks/store_load.py --redis redis://127.0.0.1:6379/15    # is emptied first
    python benchmarks/store_load.py --sqlite FOLDER                      # files are made in it

Redis    bytes, reads, commands and microseconds for a load of a session, by Redis's INFO:
         `script` where the process meets a session first, `plain` afterwards, `writes` where each
         load renews; by one call at a time without an event loop, and 1, 32 and 256 at once with.
         `CPU` is that of the server for everything it did. INFO's commandstats are wall time.
SQLite   calls a second, p50 and p99 in microseconds, alone and while another process writes

docs/scaling.md says what follows from the figures. Others who ask the server are counted too.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from redis_memory import login

from gatehound._sync import run_sync
from gatehound.model import Event
from gatehound.stores.answer import NewSession
from gatehound.stores.base import Store
from gatehound.stores.redis import RedisStore
from gatehound.stores.sqlite import SQLiteStore

SESSIONS: Final = 10_000
MINUTE: Final = 60_000
DUE: Final = 1  # millisecond: a touch that is due at each load
LENIENT: Final = 30.0
SECONDS: Final = 3.0


# --- Redis ---


class Taken(NamedTuple):
    """What a server has counted so far."""

    cpu: float
    received: int
    sent: int
    reads: int
    calls: dict[str, tuple[int, float]]


def taken(client: Any) -> Taken:
    """Ask the server."""
    cpu, stats = client.info("cpu"), client.info("stats")
    calls = {
        name.removeprefix("cmdstat_"): (one["calls"], one["usec"])
        for name, one in client.info("commandstats").items()
        if not name.startswith("cmdstat_info")
    }
    return Taken(
        (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6,
        stats["total_net_input_bytes"],
        stats["total_net_output_bytes"],
        stats.get("total_reads_processed", 0),
        calls,
    )


def show(name: str, before: Taken, after: Taken, count: int) -> None:
    """Print what one load took."""
    figures = [(b - a) / count for a, b in zip(before[:4], after[:4], strict=True)]
    commands = []
    for command, (calls, usec) in after.calls.items():
        was, was_usec = before.calls.get(command, (0, 0))
        if calls > was:
            each = (usec - was_usec) / (calls - was)
            commands.append(f"{command} {(calls - was) / count:.2f} of {each:.1f} us")
    cpu, received, sent, reads = figures
    print(
        f"{name:<16}{cpu:>8.1f} us CPU{received:>8.1f} B in{sent:>8.1f} B out{reads:>7.2f} reads  "
        + ", ".join(commands)
    )


LOADS: Final = (("script", 1, MINUTE), ("plain", 2, MINUTE), ("writes", 1, DUE))


async def ask(store: Store, new: NewSession, touch: int) -> None:
    """Load one session, which has to be there."""
    answer = await store.load(new.alias, new.sid, new.secret_hash, touch=touch)
    if answer.record is None:
        raise SystemExit("a session is missing: does somebody else use this database?")


async def ask_all(store: Store, news: Sequence[NewSession], touch: int, at_once: int) -> None:
    """Load all of them, some at the same time."""
    waiting = iter(news)

    async def work() -> None:
        for new in waiting:
            await ask(store, new, touch)

    await asyncio.gather(*(work() for _ in range(at_once)))


async def fill(url: str, news: Sequence[NewSession]) -> None:
    """Sign everybody in."""
    store, waiting = open_redis(url, suspends=True), iter(news)

    async def work() -> None:
        for new in waiting:
            await store.create(new)

    await asyncio.gather(*(work() for _ in range(40)))
    await store.close()


def open_redis(url: str, *, suspends: bool) -> RedisStore:
    """Return a store that knows of no session yet."""
    return RedisStore(url, namespace="default", suspends=suspends, deadline=LENIENT)


def load_redis(url: str) -> None:
    """Measure every kind of load."""
    import redis

    client: Any = redis.Redis.from_url(url)
    client.flushdb()
    news = [login(user, 0) for user in range(SESSIONS)]
    asyncio.run(fill(url, news))

    async def with_loop(at_once: int) -> None:
        store = open_redis(url, suspends=True)
        for kind, times, touch in LOADS:
            before = taken(client)
            await ask_all(store, news * times, touch, at_once)
            show(f"{kind}, {at_once}", before, taken(client), times * SESSIONS)
        await store.close()

    for at_once in (1, 32, 256):
        asyncio.run(with_loop(at_once))
    store = open_redis(url, suspends=False)
    for kind, times, touch in LOADS:
        before = taken(client)
        for new in news * times:
            run_sync(ask(store, new, touch))
        show(f"{kind}, no loop", before, taken(client), times * SESSIONS)
    run_sync(store.close())
    client.flushdb()


# --- SQLite ---

KINDS: Final = ("loads", "renewals", "logins")


def play(path: Path, kind: str, begin: int, seconds: float = SECONDS) -> str:
    """Call for some seconds, and say how it went; logins are of users from `begin` on."""
    store, took, number = SQLiteStore(path), [], 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        new = login(begin + number if kind == "logins" else number % SESSIONS, 0)
        event = Event("session_created", new.user_id, new.sid.hex(), address="198.51.100.7")
        start = time.perf_counter()
        if kind == "logins":
            run_sync(store.create(new, event))
        else:
            run_sync(ask(store, new, DUE if kind == "renewals" else MINUTE))
        took.append((time.perf_counter() - start) * 1e6)
        number += 1
    run_sync(store.close())
    cuts = statistics.quantiles(took, n=100)
    # Making what is asked for is not the store's work, so the rate is that of the calls alone.
    rate = len(took) / sum(took) * 1e6
    return f"{kind:<9}{rate:>8.0f}/s{cuts[49]:>9.0f} p50{cuts[98]:>9.0f} p99"


def load_sqlite(folder: Path) -> None:
    """Measure every kind of call, alone and beside another process."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "sessions.db"
        store = SQLiteStore(path)
        for number in range(SESSIONS):
            run_sync(store.create(login(number, 0)))
        run_sync(store.close())
        begin = SESSIONS
        for beside in ("", "logins", "renewals"):
            for kind in KINDS:
                begin += 2_000_000
                command = [sys.executable, __file__, "--play", beside, "--begin", str(begin)]
                other = None
                if beside:
                    other = subprocess.Popen([*command, "--sqlite", str(path)])  # noqa: S603 - this file
                    time.sleep(1)  # until it has imported everything
                print(play(path, kind, begin + 1_000_000), "beside", beside or "nothing")
                if other is not None and other.wait():
                    raise SystemExit("the process beside it failed")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--redis", metavar="URL", help="a server to empty and fill")
    parser.add_argument("--sqlite", metavar="FOLDER", type=Path, help="where the file is made")
    parser.add_argument("--play", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--begin", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.play:
        print(f"    the other: {play(given.sqlite, given.play, given.begin, SECONDS + 2)}")
    elif given.redis:
        load_redis(given.redis)
    elif given.sqlite:
        load_sqlite(given.sqlite)
    else:
        parser.error("give --redis URL or --sqlite FOLDER")


if __name__ == "__main__":
    main()
