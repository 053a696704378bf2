"""What the memory store keeps of one user and one session, and the rules within them.

Belongs here: data that changes in place under the store's lock, and pure functions over it.
Does not: the lock, the clock, and everything that writes an event or ends a session.
Times are milliseconds since 1970.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from msgspec.structs import replace

from gatehound.stores import rule
from gatehound.stores.answer import Before, Memory, Meta, NewSession, Standing
from gatehound.stores.record import Record, Security, Seen, Tombstone

T = TypeVar("T")
_LIVE: Final = Standing.LIVE  # in Python 3.11 a member of an enum takes long to look up
_CURSOR: Final = re.compile(r"[0-9]{16}(-[0-9a-f]{16})?")


@dataclass(slots=True)
class SessionEntry:
    """One living session."""

    security: Security
    seen: Seen
    memory: Memory
    data: dict[str, bytes] = field(default_factory=dict)
    previous: Before | None = None

    @classmethod
    def of(cls, new: NewSession, at: int) -> SessionEntry:
        record = rule.fresh(new, at)
        memory = Memory(new.memory, 1) if new.memory else Memory()
        return cls(record.security, record.seen, memory)

    @property
    def sid(self) -> bytes:
        return self.security.sid

    @property
    def age(self) -> tuple[int, bytes]:
        """The order in which sessions are oldest."""
        return self.security.created, self.security.sid

    def is_seen_as(self, seen: Seen) -> bool:
        """True where the newest pair of network and agent is known, and the same."""
        return bool(seen.pairs[0]) and self.seen.pairs[0] == seen.pairs[0]

    def has_expired(self, now: int) -> bool:
        security = self.security
        return now >= security.expires or now >= self.seen.last_seen + security.idle

    def standing(self, secret_hash: bytes, now: int) -> tuple[Standing, str]:
        """Say what a secret of this living session is worth, and the class of its reuse."""
        if hmac.compare_digest(self.security.secret_hash, secret_hash):
            return _LIVE, ""
        previous = self.previous
        if previous is None or not hmac.compare_digest(previous.secret_hash, secret_hash):
            return Standing.REUSED, "stale"
        return rule.standing_of_previous(
            now, rotated=previous.rotated, confirmed=previous.confirmed, grace=previous.grace
        )

    def accepts(self, secret_hash: bytes, now: int) -> bool:
        """True for a secret that is valid now, the current one or a graced one."""
        if hmac.compare_digest(self.security.secret_hash, secret_hash):
            return True
        return self.standing(secret_hash, now)[0] is Standing.GRACE

    def confirm(self, now: int) -> None:
        """Note that the current secret was presented: the grace of the old one begins."""
        if self.previous is not None and not self.previous.confirmed:
            self.previous = replace(self.previous, confirmed=now)

    def slide(self, now: int, touch: int | None) -> int:
        """Move last seen to now where it is due, and return what it was; else return 0."""
        before = self.seen.last_seen
        if touch is None or now - before < max(touch, 1):  # at 0 nothing would move
            return 0
        self.seen = replace(self.seen, last_seen=now)
        return before

    def may_rotate(self, old_hash: bytes, now: int, *, proven: bool) -> bool:
        """True for the current secret and, where somebody proved who they are, a graced one."""
        standing = self.standing(old_hash, now)[0]
        return standing is Standing.LIVE or (proven and standing is Standing.GRACE)

    def replace_secret(
        self, old_hash: bytes, secret_hash: bytes, now: int, grace: int | None
    ) -> None:
        self.previous = Before(old_hash, now, grace=grace)
        self.security = replace(self.security, secret_hash=secret_hash, rotated=now)

    def upgrade(
        self,
        *,
        authenticated: int | None,
        methods: tuple[str, ...] | None,
        aal: int | None,
        expires: int | None,
    ) -> None:
        """Replace what is given of the proof of identity, and leave the rest."""
        old = self.security
        self.security = replace(
            old,
            authenticated=old.authenticated if authenticated is None else authenticated,
            methods=old.methods if methods is None else methods,
            aal=old.aal if aal is None else aal,
            expires=old.expires if expires is None else expires,
        )

    def look(self, seen: Seen) -> None:
        """Replace where it was seen; the time of it never moves backwards."""
        before = self.seen.last_seen
        self.seen = seen if seen.last_seen >= before else replace(seen, last_seen=before)

    def change_flags(self, added: int, cleared: int) -> None:
        flags = (self.security.flags | added) & ~cleared
        self.security = replace(self.security, flags=flags)

    def set_data(self, values: Mapping[str, bytes]) -> None:
        """Set all fields or, with ValueError, none."""
        count = len(self.data.keys() | values.keys())
        if count > rule.MAX_DATA_FIELDS:
            raise ValueError(f"{count} data fields: at most {rule.MAX_DATA_FIELDS} are allowed")
        self.data.update(values)


@dataclass(slots=True)
class UserEntry:
    """One user: sessions, why others ended, evidence, and what keeps somebody out."""

    alias: bytes
    user_id: str = ""
    roles: tuple[str, ...] = ()
    sessions: dict[bytes, SessionEntry] = field(default_factory=dict)
    ended: dict[bytes, tuple[Tombstone, int]] = field(default_factory=dict)
    memory: Memory = field(default=Memory())
    memory_until: int = 0
    epoch: int = 0
    epoch_until: int = 0
    disabled: bool = False

    def record(self, session: SessionEntry) -> Record:
        return Record(self.alias, self.user_id, self.roles, session.security, session.seen)

    def living(self, now: int) -> list[SessionEntry]:
        return [session for session in self.oldest_first() if not session.has_expired(now)]

    def named(self, sid: bytes | None) -> list[SessionEntry]:
        """Return the session of that name, or nothing."""
        return [self.sessions[sid]] if sid in self.sessions else []

    def oldest_first(self) -> list[SessionEntry]:
        if len(self.sessions) < 2:  # most users have one
            return list(self.sessions.values())
        return sorted(self.sessions.values(), key=lambda session: session.age)

    def bury(self, sid: bytes, tombstone: Tombstone, until: int) -> None:
        """Put a tombstone in the place of a session, and keep the newest eight."""
        del self.sessions[sid]
        self.ended[sid] = (tombstone, until)
        while len(self.ended) > rule.TOMBSTONES_PER_USER:
            del self.ended[next(iter(self.ended))]  # a dict keeps the order of insertion
        self.epoch_until = max(self.epoch_until, tombstone.at + rule.HOUR)

    def tombstones(self, now: int) -> dict[bytes, Tombstone]:
        return {sid: stone for sid, (stone, until) in self.ended.items() if now < until}

    def raise_epoch(self, now: int, above: int = 0) -> None:
        """Move the epoch forward: the time, so that it never repeats after it was dropped."""
        self.epoch = max(now, self.epoch + 1, above + 1)
        self.epoch_until = now + rule.HOUR

    def memory_at(self, now: int) -> Memory:
        return self.memory if now < self.memory_until else Memory()

    def set_memory(self, memory: Memory, now: int) -> None:
        self.memory, self.memory_until = memory, now + rule.USER_MEMORY_LIFE

    def forget(self) -> None:
        """Erase all but the epoch and the mark: without them somebody would get in."""
        self.user_id, self.roles, self.memory_until = "", (), 0
        self.sessions.clear()
        self.ended.clear()

    def keeps_out(self, now: int) -> bool:
        """True while dropping this entry could let somebody in, or sign somebody out."""
        return bool(self.sessions) or self.disabled or bool(self.epoch and now < self.epoch_until)

    def has_use(self, now: int) -> bool:
        """True while anything of this entry can still be asked for."""
        return self.keeps_out(now) or bool(self.tombstones(now)) or now < self.memory_until


def place(record: Record) -> str:
    """Where a record stands in a search, as text that sorts and serves as a cursor."""
    return f"{record.security.created:016}-{record.public_id}"


def paged(
    found: Sequence[T], key: Callable[[T], str], cursor: str, limit: int
) -> tuple[tuple[T, ...], str]:
    """Cut one page out of what was found, newest first; a cursor not of ours is none."""
    if _CURSOR.fullmatch(cursor):
        found = [item for item in found if key(item) < cursor]
    page = tuple(found[:limit])
    return page, key(page[-1]) if len(found) > len(page) else ""


def scanned(there: Sequence[T], key: Callable[[T], str], cursor: str, to: str) -> int:
    """Count what lies behind a cursor, down to the next one ("": to the end)."""
    below = cursor if _CURSOR.fullmatch(cursor) else ""
    return sum((not below or key(item) < below) and key(item) >= to for item in there)


def fits(given: Memory | None, stored: Memory) -> bool:
    """True where nothing is to be written, or over the version that is stored."""
    return given is None or given.version == stored.version


def differing(stored: Meta, given: Meta) -> list[str]:
    """Name what does not agree, without showing a fingerprint."""
    problems = []
    if stored.fingerprint != given.fingerprint:
        problems.append(
            "identity_key differs from the one that this store was first used with: "
            "give the old one back, or use an empty store"
        )
    for name in ("namespace", "layout"):
        old, new = getattr(stored, name), getattr(given, name)
        if old != new:
            problems.append(f"{name} is {new!r}, but this store was first used with {old!r}")
    return problems
