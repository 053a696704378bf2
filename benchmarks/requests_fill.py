"""Fill a store with sessions of many users, and make the cookies of some of them.

One user signs in through the server and makes a request; every other session is a copy of that
one's record under another user, sid and secret. So each is as a sign-in from the same browser
and network would have left it, and a request of the benchmark finds nothing new in it. Records
are written straight in the store's layout, as redis_admin.py does, which is some twenty times as
fast as signing in.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis_admin import enlist
from redis_memory import digest
from requests_settings import gatehound_settings

from gatehound import Guard
from gatehound.cookies import Ticket
from gatehound.guard import secret_hash
from gatehound.stores.record import Record, Security
from gatehound.stores.redis.keys import Keys

BATCH: Final = 1000
SEED: Final = 20_261_102


class Population(NamedTuple):
    """How many sessions are stored, and how many a user has."""

    sessions: int
    per_user: int


async def model(guard: Guard, cookie: str) -> tuple[Ticket, Record]:
    """Read the session of the cookies that the server has set."""
    named = dict(one.split("=", 1) for one in cookie.split("; "))
    ticket = guard.cookies.open(named[guard.cookies.shape.name])
    if ticket is None:
        raise SystemExit("the server's cookie does not verify with the settings of the benchmark")
    answer = await guard.store.load(ticket.alias, ticket.sid, secret_hash(ticket.secret))
    if answer.record is None:
        raise SystemExit("the server's session is not in the store")
    return ticket, answer.record


def identity(number: int) -> tuple[bytes, bytes]:
    """Return the sid and the secret of a session, the same in every run."""
    return digest("sid", number, size=8), digest("secret", number, size=32)


def copied(of: Security, sid: bytes, secret: bytes) -> Security:
    """Return the security part of another session that began and ends with this one."""
    return Security(
        sid=sid,
        secret_hash=secret_hash(secret),
        created=of.created,
        authenticated=of.authenticated,
        expires=of.expires,
        idle=of.idle,
        rotated=of.rotated,
    )


def write(client: Any, guard: Guard, record: Record, wanted: Population) -> None:
    """Write the sessions, as `create` would have written them just now."""
    keys = Keys(guard.settings.namespace)
    pieces: dict[bytes, tuple[bytes, int]] = {}
    pipe = client.pipeline(transaction=False)
    created, seen = record.security.created, record.seen.pack()
    for number in range(wanted.sessions):
        user = f"filled-{number // wanted.per_user}"
        alias, (sid, secret) = guard.alias(user), identity(number)
        security = copied(record.security, sid, secret).pack()
        key = keys.user(alias)
        pipe.hset(key, mapping={sid: security, sid + b"t": seen, "@u": user})
        pipe.pexpireat(key, record.security.expires)
        enlist(pipe, pieces, keys.bucket(alias), created, sid + alias)
        if number % BATCH == BATCH - 1:
            pipe.execute()
    pipe.execute()


def cookies(guard: Guard, ticket: Ticket, wanted: Population, count: int) -> list[str]:
    """Make the cookies of some of these sessions, spread over all of them, in any order."""
    count = min(count, wanted.sessions)
    chance = random.Random(SEED)  # noqa: S311 - the same sessions in every run, no secret
    return [make(guard, ticket, wanted, n) for n in chance.sample(range(wanted.sessions), count)]


def make(guard: Guard, ticket: Ticket, wanted: Population, number: int) -> str:
    """Make the cookie of one session."""
    sid, secret = identity(number)
    alias = guard.alias(f"filled-{number // wanted.per_user}")
    mine = Ticket(
        sid=sid,
        alias=alias,
        secret=secret,
        expires=ticket.expires,
        flags=ticket.flags,
        attributes=ticket.attributes,
    )
    return f"{guard.cookies.shape.name}={guard.cookies.seal(mine)}"


async def fill(url: str, cookie: str, wanted: Population, count: int) -> Sequence[str]:
    """Fill a database whose server has set these cookies; return those of `count` sessions."""
    import redis

    guard = Guard({**gatehound_settings(url), "check_store_at_start": False}, sinks=())
    ticket, record = await model(guard, cookie)
    client: Any = redis.Redis.from_url(url)
    write(client, guard, record, wanted)
    client.close()
    made = cookies(guard, ticket, wanted, count)
    await guard.close()
    return made
