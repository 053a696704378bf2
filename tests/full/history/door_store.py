"""The way into a store: what the guard would ask it."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable

from gatehound.model import EndReason, Event
from gatehound.stores.answer import Created, NewSession, Query
from gatehound.stores.base import Store
from gatehound.stores.record import Record, Seen
from history.checker import mark_of
from history.record import name_of
from history.workload import Asked, Refusal, Token, mode_of

HOUR = 3_600_000
TOUCHES = (None, 60_000, 0)  # a poll; a page, with the usual interval; one whose touch is due


class StoreDoor:
    """Does to a store what a guard does, on the two secrets that a browser would hold."""

    def __init__(self, store: Store, *, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._looks = 0

    async def login(
        self, asked: Asked, user: str, wait: Callable[[], Awaitable[None]] | None
    ) -> Token:
        """Create a session, asking once more where the outcome is unknown."""
        epoch = None
        if wait is not None:
            epoch = await asked.timed(self._store.epoch(alias_of(user)))
            asked.facts["epoch_read"] = time.monotonic()
            await wait()
            asked.facts["start"] = time.monotonic()
        new = new_session(user, epoch, self._limit)
        token = Token(user, new.sid.hex(), new.secret_hash.hex())
        asked.facts |= {"sid": token.sid, "secret": name_of(token.secret)}
        event = Event("session_created", user_id=user, public_id=token.sid)
        result = await asked.twice(lambda: self._store.create(new, event))
        if not isinstance(result, Created):
            raise Refusal(result.reason)
        done = result.finished
        asked.facts["owners"] = owners([result.record])
        asked.facts["ended"] = tuple(one.record.public_id for one in done)
        for one in done:
            if one.record.user_id != user:
                asked.facts["owners"] = owners([one.record])
        return token

    async def look(self, asked: Asked, token: Token) -> None:
        """Ask what a secret is worth, as polls and page loads do."""
        self._looks += 1
        touch = TOUCHES[self._looks % len(TOUCHES)]
        answer = await asked.timed(self._store.load(*_names(token), touch=touch))
        asked.facts["standing"] = answer.standing.value
        asked.facts["owners"] = owners([answer.record] if answer.record else [])

    async def end(self, asked: Asked, token: Token, mode: str) -> None:
        """End this session, all others, or all."""
        alias, sid, _ = _names(token)
        which = {mode: sid} if mode != "all" else {}
        event = Event("session_terminated", user_id=token.user)
        done = await asked.timed(
            self._store.revoke(alias, **which, reason=EndReason.USER, event=event)
        )
        records = [one.record for one in done.finished]
        asked.facts["ended"] = tuple(record.public_id for record in records)
        asked.facts["owners"] = owners(records)

    async def renew(self, asked: Asked, token: Token) -> Token:
        """Give a session a new secret, by a routine or a privilege rotation."""
        self._looks += 1
        new, routine = secrets.token_bytes(16), self._looks % 2
        asked.facts["mode"] = "routine" if routine else "privilege"
        asked.facts["secret"] = name_of(new.hex())
        answer = await asked.twice(
            lambda: self._store.rotate(*_names(token), new, grace=60_000 if routine else None)
        )
        asked.facts["standing"] = answer.standing.value
        asked.facts["owners"] = owners([answer.record] if answer.record else [])
        if answer.standing != "live":
            raise Refusal(answer.standing.value)
        return Token(token.user, token.sid, new.hex())

    async def list(self, asked: Asked, token: Token) -> None:
        """List the sessions of the user."""
        listed = await asked.timed(self._store.sessions(alias_of(token.user)))
        asked.facts["living"] = tuple(record.public_id for record in listed.records)
        asked.facts["owners"] = owners(listed.records)

    async def count(self, asked: Asked, token: Token) -> None:
        """Add one to the counter of a session."""
        alias, sid, _ = _names(token)
        total = await asked.timed(self._store.data_incr(alias, sid, "n"))
        asked.facts["total"] = total
        if total is None:
            raise Refusal("dead")

    async def mark(self, asked: Asked, token: Token) -> None:
        """Write into the app data whose it is."""
        alias, sid, _ = _names(token)
        text = mark_of(token.user, token.sid).encode()
        await asked.timed(self._store.data_set(alias, sid, {"whose": text}))

    async def read(self, asked: Asked, token: Token) -> None:
        """Read the app data."""
        alias, sid, _ = _names(token)
        found = await asked.timed(self._store.data_get(alias, sid))
        asked.facts["mark"] = found.get("whose", b"").decode()
        asked.facts["total"] = int(found.get("n", b"0")) if found else None

    async def search(self, asked: Asked) -> None:
        """Look at the directory as an admin does, and sweep."""
        page = await asked.timed(self._store.search(Query(limit=50)))
        asked.facts["owners"] = owners(page.records)
        await asked.timed(self._store.sweep(50))


def alias_of(user: str) -> bytes:
    """Stand in for the guard's keyed digest."""
    return hashlib.blake2b(user.encode(), digest_size=12).digest()


def owners(records: list[Record] | tuple[Record, ...]) -> tuple[tuple[str, str], ...]:
    """Whose sessions these are, by everything in them that says so."""
    return tuple(
        (record.user_id if _agree(record) else f"{record.user_id}?", record.public_id)
        for record in records
    )


def _agree(record: Record) -> bool:
    user = record.user_id
    return (
        record.alias == alias_of(user)
        and record.roles == (f"role-of-{user}",)
        and record.seen.address == record.sid[:4]
    )


def new_session(user: str, epoch: int | None = None, limit: int = 3) -> NewSession:
    """What a login asks for; everything in it says whose it is."""
    sid = secrets.token_bytes(8)
    return NewSession(
        sid=sid,
        alias=alias_of(user),
        user_id=user,
        secret_hash=secrets.token_bytes(16),
        idle=HOUR,
        absolute=12 * HOUR,
        seen=Seen(0, sid[:4], "NO", 3143244, b"agent1", (sid[:6], b"")),
        roles=(f"role-of-{user}",),
        agent="Mozilla/5.0 (Made up)",
        limit=limit,
        on_limit="deny" if mode_of(user) == "deny" else "oldest",
        epoch=epoch,
    )


def _names(token: Token) -> tuple[bytes, bytes, bytes]:
    return alias_of(token.user), bytes.fromhex(token.sid), bytes.fromhex(token.secret)
