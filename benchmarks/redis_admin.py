"""What admin code waits for on a large store: pages, one user's sessions, ending many.

    python benchmarks/redis_admin.py --redis redis://127.0.0.1:6379/15 [--sessions 1000000]

The server is emptied first. Sessions are written straight in the store's layout, which is some
twenty times as fast as signing a million people in, and then read and ended by the store itself.
Every figure is the median of several tries, with the slowest beside it, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import redis
from redis_memory import DAY, HOUR, digest

from gatehound import Guard
from gatehound.stores.record import Security, Seen
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.keys import Keys
from gatehound.stores.redis.script import PIECE

KEYS = {
    "secret_keys": ["benchmark-key-of-over-32-characters!"],
    "identity_key": "another-benchmark-key-of-32-characters",
    "check_store_at_start": False,
}
PER_USER = 2
TRIES = 15


def write(client: Any, guard: Guard, keys: Keys, count: int) -> None:
    """Write `count` sessions, the oldest first, as `create` would have written them."""
    now = int(time.time() * 1000)
    begin = now - 12 * HOUR
    pieces: dict[bytes, tuple[bytes, int]] = {}
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        created = begin + number * 12 * HOUR // count
        user = number // PER_USER
        alias, sid = guard.alias(str(user)), digest("sid", number, size=8)
        last = now - number * 7919 % (HOUR // 2)
        security = Security(
            sid=sid,
            secret_hash=digest("secret", number, size=16),
            created=created,
            authenticated=created,
            expires=created + 14 * DAY,
            idle=14 * DAY,
            rotated=created,
        )
        seen = Seen(
            last_seen=max(created, last),
            address=bytes([10 + number % 90, number >> 16 & 255, number >> 8 & 255, number & 255]),
            country="NO" if number % 10 else "SE",
            place=3_143_244,
            agent=digest("agent", user % 500, size=6),
            pairs=(digest("pair", user, size=6), b""),
        )
        key = keys.user(alias)
        pipe.hset(key, mapping={sid: security.pack(), sid + b"t": seen.pack(), "@u": str(user)})
        pipe.pexpireat(key, created + 15 * DAY)
        enlist(pipe, pieces, keys.bucket(alias), created, sid + alias)
        if number % 1000 == 999:
            pipe.execute()
    pipe.execute()


def enlist(
    pipe: Any, pieces: dict[bytes, tuple[bytes, int]], bucket: bytes, created: int, member: bytes
) -> None:
    """Do what `enlist` of user.lua does."""
    start, size = pieces.get(bucket, (b"", PIECE))
    if size >= PIECE and start != b"%d" % created:
        start, size = b"%d" % created, 0
        pipe.zadd(bucket + b"i", {start: created})
    pipe.zadd(bucket + b"i" + start, {member: created})
    pieces[bucket] = start, size + 1


async def timed(call: Callable[[], Awaitable[Any]], tries: int = TRIES) -> dict[str, float]:
    """Make a call again and again; return how long it took."""
    took = []
    for _ in range(tries):
        begin = time.perf_counter()
        await call()
        took.append(1000 * (time.perf_counter() - begin))
    return {"median ms": round(statistics.median(took), 1), "slowest ms": round(max(took), 1)}


async def measure(guard: Guard, count: int) -> dict[str, Any]:
    """Read as admin code does."""
    users: Iterator[int] = iter(random.sample(range(count // PER_USER), TRIES))
    first = await guard.search(limit=50)
    second = await guard.search(limit=50, cursor=first.cursor)
    assert len(first.sessions) == len(second.sessions) == 50
    assert {s.public_id for s in first.sessions}.isdisjoint(s.public_id for s in second.sessions)
    assert len(await guard.sessions_of("7")) == PER_USER
    return {
        "first page of 50, newest first": await timed(lambda: guard.search(limit=50)),
        "the next page": await timed(lambda: guard.search(limit=50, cursor=first.cursor)),
        "the page after": await timed(lambda: guard.search(limit=50, cursor=second.cursor)),
        "one user's sessions": await timed(lambda: guard.sessions_of(str(next(users)))),
        "a page by country (1 in 10)": await timed(lambda: guard.search(country="SE"), 3),
    }


async def bulk(guard: Guard, country: str) -> dict[str, Any]:
    """End all of one country, stopped after some and resumed."""
    begin = time.perf_counter()
    planned = await guard.terminate_where(country=country)
    counted = time.perf_counter() - begin
    begin = time.perf_counter()
    part = await guard.terminate_where(country=country, dry_run=False, limit=planned.count // 3)
    stopped = time.perf_counter() - begin
    rest = await guard.terminate_where(country=country, dry_run=False, cursor=part.cursor)
    took = time.perf_counter() - begin
    assert part.count + rest.count == planned.count
    left = await guard.terminate_where(country=country)
    assert left.count == 0
    return {
        "sessions": planned.count,
        "dry run s": round(counted, 1),
        "ended before it was stopped": part.count,
        "until stopped s": round(stopped, 1),
        "in all s": round(took, 1),
    }


async def run(url: str, count: int, ends: int) -> dict[str, Any]:
    """Fill, measure, end."""
    client: Any = redis.Redis.from_url(url)
    client.flushdb()
    store = RedisStore(url, namespace="default", suspends=True)
    guard = Guard(KEYS, store=store, sinks=())
    begin = time.perf_counter()
    write(client, guard, Keys("default"), count)
    print(f"{count} sessions written in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    await guard.ready()
    results: dict[str, Any] = {"sessions": count, **await measure(guard, count)}
    if ends:
        results["bulk end"] = await bulk(guard, "SE")
    await guard.close()
    results["server MB"] = client.info("memory")["used_memory"] // 2**20
    client.flushdb()
    return results


def main() -> None:
    """Write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--redis", required=True, metavar="URL", help="a server to empty and fill")
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--no-bulk", action="store_true", help="end none")
    asked = parser.parse_args()
    print(json.dumps(asyncio.run(run(asked.redis, asked.sessions, not asked.no_bulk)), indent=2))


if __name__ == "__main__":
    main()
