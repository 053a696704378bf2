"""What admin code waits for on a large store: pages, one user's sessions, events, ending many.

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
from gatehound.model import Event
from gatehound.stores.record import Security, Seen
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.keys import BUCKETS, Keys
from gatehound.stores.redis.script import PIECE

KEYS = {
    "secret_keys": ["benchmark-key-of-over-32-characters!"],
    "identity_key": "another-benchmark-key-of-32-characters",
    "check_store_at_start": False,
}
PER_USER = 2
TRIES = 15
# Of one session in 90 of the oldest 65,536. No index finds addresses: all sessions are looked at.
NETWORK = "10.0.0.0/16"
SLICES = 20  # of a bulk end


def write_events(client: Any, keys: Keys, count: int) -> None:
    """Write `count` events of the last 12 hours, as `log` of user.lua would have written them."""
    begin = int(time.time() * 1000) - 12 * HOUR
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        user_id = str(number // PER_USER)
        fields = {"n": "login_failed", "u": user_id, "p": "", "r": "password", "j": "", "a": ""}
        stream = keys.buckets[number * 7919 % BUCKETS] + b"ev"
        pipe.xadd(stream, fields, id=f"{begin + number * 12 * HOUR // count}-{number + 1}")
        if number % 1000 == 999:
            pipe.execute()
    pipe.execute()


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
        "how many live": await timed(guard.living),
    }


async def events(guard: Guard, client: Any) -> dict[str, Any]:
    """Follow the log of events as a page that shows it does."""
    at = (await guard.tail()).place
    idle = await timed(lambda: guard.tail(at))
    client.config_resetstat()
    await guard.tail(at)
    stats = client.info("commandstats")
    for number in range(500):
        await guard.store.append(Event("login_failed", user_id=str(number), reason="password"))
    told = await guard.tail(at)
    assert (len(told.events), told.more) == (500, False)
    return {
        "the place of now": await timed(guard.tail),
        "a poll where nothing is new": idle,
        "a poll of 500 new events": await timed(lambda: guard.tail(at)),
        "the first 500 since 12 hours": await timed(
            lambda: guard.tail(since=time.time() - 12 * 3600)
        ),
        "commands of a poll": stats["cmdstat_xrange"]["calls"],
        "bytes of a place": len(told.place),
    }


async def scan(guard: Guard) -> dict[str, Any]:
    """Page through all sessions for those of a network, as a page with a progress bar does."""
    pages, found, looked_at, cursor = [], 0, 0, None
    begin = time.perf_counter()
    while cursor != "":
        asked = time.perf_counter()
        page = await guard.search(network=NETWORK, cursor=cursor or "", limit=50)
        pages.append(1000 * (time.perf_counter() - asked))
        found, looked_at, cursor = (
            found + len(page.sessions),
            looked_at + page.looked_at,
            page.cursor,
        )
    return {
        "pages": len(pages),
        "looked at": looked_at,
        "found": found,
        "median page ms": round(statistics.median(pages), 1),
        "slowest page ms": round(max(pages), 1),
        "in all s": round(time.perf_counter() - begin, 1),
    }


async def bulk(guard: Guard, url: str, country: str) -> dict[str, Any]:
    """End all of one country in slices; stopped in the middle and resumed by another process."""
    before = await guard.living()
    begin = time.perf_counter()
    planned = await guard.terminate_where(country=country)
    counted = time.perf_counter() - begin
    first = await ended_in_slices(guard, country, planned.count, SLICES // 2, "")
    await guard.close()
    other = Guard(KEYS, store=RedisStore(url, namespace="default", suspends=True), sinks=())
    rest = await ended_in_slices(other, country, planned.count, 10 * SLICES, first["cursor"])
    assert first["ended"] + rest["ended"] == planned.count
    assert rest.pop("cursor") == ""
    assert await other.living() == before - planned.count
    await other.close()
    return {
        "sessions": planned.count,
        "dry run s": round(counted, 1),
        "until it was stopped": {k: v for k, v in first.items() if k != "cursor"},
        "after it was resumed": rest,
    }


async def ended_in_slices(
    guard: Guard, country: str, planned: int, most: int, cursor: str
) -> dict[str, Any]:
    """End at most so many slices, and say how far that came."""
    begin = time.perf_counter()
    took: list[float] = []
    ended = looked_at = 0
    while len(took) < most and (cursor or not took):
        asked = time.perf_counter()
        done = await guard.terminate_where(
            country=country, dry_run=False, limit=max(planned // SLICES, 1), cursor=cursor
        )
        took.append(time.perf_counter() - asked)
        ended, looked_at, cursor = ended + done.count, looked_at + done.looked_at, done.cursor
        print(f"{ended} ended, {looked_at} looked at", file=sys.stderr)
    return {
        "slices": len(took),
        "ended": ended,
        "looked at": looked_at,
        "median slice s": round(statistics.median(took), 2),
        "slowest slice s": round(max(took), 2),
        "in all s": round(time.perf_counter() - begin, 1),
        "cursor": cursor,
    }


def slowest(client: Any) -> list[str]:
    """Name what held the server longest; nobody else is served meanwhile."""
    entries = sorted(client.slowlog_get(1024), key=lambda entry: -entry["duration"])
    return [f"{e['duration'] / 1000:.1f} ms {e['command'][:60]!r}" for e in entries[:5]]


async def run(url: str, count: int, ends: int) -> dict[str, Any]:
    """Fill, measure, end."""
    client: Any = redis.Redis.from_url(url)
    client.flushdb()
    client.config_set("slowlog-log-slower-than", 1000)
    client.config_set("slowlog-max-len", 1024)
    store = RedisStore(url, namespace="default", suspends=True)
    guard = Guard(KEYS, store=store, sinks=())
    begin = time.perf_counter()
    write(client, guard, Keys("default"), count)
    write_events(client, Keys("default"), count // 10)
    print(f"{count} sessions written in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    await guard.ready()
    client.slowlog_reset()
    assert await guard.living() == count
    results: dict[str, Any] = {"sessions": count, **await measure(guard, count)}
    print(json.dumps(results, indent=2), file=sys.stderr)  # what follows takes minutes
    results["server MB"] = client.info("memory")["used_memory"] // 2**20
    results["events"] = await events(guard, client)
    results[f"all of {NETWORK}"] = await scan(guard)
    if ends:
        results["bulk end"] = await bulk(guard, url, "SE")
    await guard.close()
    results["slowest on the server"] = slowest(client)
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
