"""What admin code and jobs do: list, search, end, disable, erase, read the log, describe.

`Admin` is the part of Guard that needs no request. Its methods are coroutines over
`self.store`; `SyncAdmin` has the same names plain, always over a blocking store. Anybody who
may call these may act on every user: who that is, is the app's decision.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Final

from gatehound import audit
from gatehound._sync import Plain, run_sync
from gatehound.clientip.check import Finding
from gatehound.detection import Detection, Networks
from gatehound.errors import StoreError, UsageError
from gatehound.events import Events
from gatehound.listing import (
    SessionPage,
    UserId,
    Users,
    exported,
    milliseconds,
    network_of,
    shown,
    sid_of,
    user_text,
)
from gatehound.model import EndReason, Event, Session
from gatehound.settings import Settings
from gatehound.stores.answer import EventPage, EventQuery, Finished, Listed, Memory, Meta, Query
from gatehound.stores.base import Store
from gatehound.stores.record import FLAGGED, NOTIFIED, STEP_UP, Record, Seen
from gatehound.stores.rule import finished_event

CLEAR_ATTEMPTS: Final = 3  # compare-and-swap: a request may be judged in the same moment


class Admin:
    """The part of Guard that needs no request."""

    settings: Settings
    networks: Networks
    detection: Detection
    users: Users
    _events: Events
    _identity: bytes

    @property
    def store(self) -> Store:
        """The store that this guard works over."""
        raise NotImplementedError

    # --- identity ---

    def alias(self, user_id: str) -> bytes:
        """What stands for a user in key names: BLAKE2b-96 keyed with identity_key."""
        text = f"{self.settings.namespace}\0{user_id}".encode()
        return hashlib.blake2b(text, digest_size=12, key=self._identity).digest()

    @property
    def meta(self) -> Meta:
        """What a store must agree with."""
        fingerprint = hashlib.blake2b(b"fingerprint", digest_size=16, key=self._identity)
        return Meta(fingerprint=fingerprint.digest(), namespace=self.settings.namespace)

    # --- read ---

    async def sessions_of(self, user_id: UserId) -> list[Session]:
        """List a user's living sessions, the most recently active first."""
        listed = await self.store.sessions(self.alias(user_text(user_id)))
        return await self.listed(listed)

    async def listed(self, listed: Listed, current: bytes | None = None) -> list[Session]:
        """Turn stored records into what people see; `current` marks the caller's own."""
        self.announce_ends(listed.finished)
        shown = await self._shown(listed.records, current)
        return sorted(shown, key=lambda session: session.last_seen, reverse=True)

    async def search(
        self,
        *,
        user_id: UserId | None = None,
        find: str = "",
        flagged: bool | None = None,
        country: str | None = None,
        network: str | None = None,
        created_before: float | None = None,
        seen_before: float | None = None,
        cursor: str = "",
        limit: int = 50,
    ) -> SessionPage:
        """Return living sessions of all users that match, newest first.

        `find` is text for `users.find`: the sessions of the first user that it means (without
        `users.find` the text is the id).
        `network` is an address or CIDR text. Times are seconds since 1970. ValueError where
        an argument cannot be read.
        """
        if find and self.users.find is not None:
            user_id = next(iter(self.users.find(find)), None)
            if user_id is None:
                return SessionPage(())
        elif find:
            user_id = find
        query = self._query(user_id, flagged, country, network, created_before, seen_before)
        page = await self.store.search(replace(query, cursor=cursor, limit=limit))
        return SessionPage(tuple(await self._shown(page.records)), page.cursor)

    async def events(
        self,
        *,
        user_id: UserId | None = None,
        public_id: str | None = None,
        names: Collection[str] | None = None,
        since: float | None = None,
        cursor: str = "",
        limit: int = 50,
    ) -> EventPage:
        """Return events that match, newest first; `since` is seconds since 1970."""
        return await self.store.events(
            EventQuery(
                user_id=None if user_id is None else user_text(user_id),
                public_id=public_id,
                names=names,
                since=milliseconds(since),
                cursor=cursor,
                limit=limit,
            )
        )

    # --- end ---

    async def terminate(self, user_id: UserId, public_id: str) -> bool:
        """End one session of a user; False where it is not there (any more)."""
        return bool(await self._end(user_text(user_id), EndReason.ADMIN, only=public_id))

    async def terminate_user(
        self, user_id: UserId, reason: EndReason | str = EndReason.ADMIN
    ) -> int:
        """End all sessions of a user, and logins that are under way; return how many ended."""
        return await self._end(user_text(user_id), EndReason(reason))

    async def terminate_where(
        self,
        *,
        user_id: UserId | None = None,
        flagged: bool | None = None,
        country: str | None = None,
        network: str | None = None,
        created_before: float | None = None,
        seen_before: float | None = None,
        dry_run: bool = True,
    ) -> int:
        """End all sessions that match; return how many. A dry run only counts.

        UsageError without any condition: that would be `terminate_everyone`.
        """
        conditions = (user_id, flagged, country, network, created_before, seen_before)
        # "" is what an empty form field sends: no condition, and never "every session".
        if all(condition is None or condition == "" for condition in conditions):
            raise UsageError(
                "terminate_where() without a condition would end every session: "
                "give one, or call terminate_everyone()"
            )
        query = self._query(user_id, flagged, country, network, created_before, seen_before)
        query, count = replace(query, limit=500), 0
        while True:
            page = await self.store.search(query)
            for record in page.records:
                count += dry_run or await self.terminate(record.user_id, record.public_id)
            if not page.cursor:
                return count
            query = replace(query, cursor=page.cursor)

    def _query(
        self,
        user_id: UserId | None,
        flagged: bool | None,
        country: str | None,
        network: str | None,
        created_before: float | None,
        seen_before: float | None,
    ) -> Query:
        return Query(
            alias=None if user_id is None else self.alias(user_text(user_id)),
            flagged=flagged,
            country=country.upper() if country else None,
            network=network_of(network),
            created_before=milliseconds(created_before),
            seen_before=milliseconds(seen_before),
        )

    async def terminate_everyone(self) -> int:
        """End every session of this namespace; return how many ended."""
        event = Event("everyone_terminated", reason="by an admin")
        count = await self.store.revoke_everyone(event)
        self._events.emit(event)
        return count

    # --- users ---

    async def disable_user(self, user_id: UserId) -> int:
        """End all sessions of a user and refuse new ones until `enable_user`."""
        user = user_text(user_id)
        template = Event("session_terminated", user_id=user, reason=EndReason.DISABLED.value)
        done = await self.store.disable(self.alias(user), template)
        self.announce_ends(done.finished, template)
        await self.tell(Event("user_disabled", user_id=user))
        return len(done.finished)

    async def enable_user(self, user_id: UserId) -> bool:
        """Let a disabled user sign in again; False where the user was not disabled."""
        user = user_text(user_id)
        enabled = await self.store.enable(self.alias(user))
        if enabled:
            await self.tell(Event("user_enabled", user_id=user))
        return enabled

    async def clear_flag(self, user_id: UserId, public_id: str) -> bool:
        """Say that a flagged session is fine: it is unflagged, and nothing is learned."""
        listed = await self.store.sessions(self.alias(user_text(user_id)))
        self.announce_ends(listed.finished)
        for record in listed.records:
            if record.public_id == public_id:
                return await self.clear(record, "by an admin")
        return False

    async def forget_user(self, user_id: UserId) -> int:
        """Erase all that is stored of a user, events included; return the sessions that went.

        That a user is disabled is not erased: it would let them in again.
        """
        user = user_text(user_id)
        count = await self.store.forget(self.alias(user), user)
        self._events.emit(Event("user_forgotten"))
        return count

    async def export_user(self, user_id: UserId) -> dict[str, Any]:
        """Return all that is stored of a user, ready for JSON."""
        user = user_text(user_id)
        found = await self.store.export(self.alias(user), user)
        sessions = await self._shown(found["sessions"])
        return exported(user, found, sessions, self.detection)

    # --- housekeeping ---

    async def sweep(self) -> int:
        """End what has run out of time, in batches; nothing depends on it being called."""
        count = 0
        while True:
            finished = await self.store.sweep()
            self.announce_ends(finished)
            count += len(finished)
            if len(finished) < 1000:
                return count

    async def describe(self) -> str:
        """Say the active policy in words, for documentation and audits."""
        return audit.describe(self.settings)

    async def check(self) -> list[Finding]:
        """Look for settings and surroundings that an operator should know of.

        Raises StoreUnavailable where the store does not answer.
        """
        await self.store.ping()
        return audit.findings(self.settings, self.networks)

    async def close(self) -> None:
        """Close the connections of this process and loop; a later call opens them again."""
        await self.store.close()

    # --- shared with the flow ---

    async def clear(
        self,
        record: Record,
        why: str,
        *,
        learn: Callable[[bytes, bytes], tuple[bytes, bytes]] | None = None,
        seen: Seen | None = None,
        agent: str = "",
    ) -> bool:
        """Unflag a session and forget what stood against it; False where it is gone.

        `learn` makes new memories of session and user out of the old ones; None learns nothing,
        because whose the flagged context was, nobody has proved.
        """
        event = Event(
            "session_cleared", user_id=record.user_id, public_id=record.public_id, reason=why
        )
        memory, user_memory = await self.store.recall(record.alias, record.sid)
        attempts = CLEAR_ATTEMPTS
        while True:
            if learn is None:
                own, users = self.detection.clear(memory.data), user_memory.data
            else:
                own, users = learn(memory.data, user_memory.data)
            result = await self.store.remember(
                record.alias,
                record.sid,
                record.security.secret_hash,
                memory=Memory(own, memory.version),
                user_memory=Memory(users, user_memory.version) if learn else None,
                seen=seen,
                agent=agent,
                clear_flags=FLAGGED | STEP_UP | NOTIFIED,
                events=(event,),
            )
            attempts -= 1
            if result.done or result.gone or not attempts:
                break
            memory, user_memory = result.memory, result.user_memory
        if result.done:
            self.announce(event)
        return result.done

    def admits(self, name: str) -> bool:
        """Say whether an event that anybody can cause is told now, or only counted."""
        return self._events.admits(name)

    async def tell(self, event: Event) -> None:
        """Write an event that belongs to no change of a session, and hand it to the sinks.

        A store that is down costs the line in its log, and nothing else.
        """
        event = self._events.redacted(event)
        with contextlib.suppress(StoreError):
            await self.store.append(event)
        self._events.emit(event)

    async def _end(
        self,
        user_id: str,
        reason: EndReason,
        *,
        only: str | None = None,
        keep: bytes | None = None,
    ) -> int:
        target = None if only is None else sid_of(only)
        if only is not None and target is None:
            return 0
        template = Event("session_terminated", user_id=user_id, reason=reason.value)
        done = await self.store.revoke(
            self.alias(user_id), only=target, keep=keep, reason=reason, event=template
        )
        self.announce_ends(done.finished, template)
        return len(done.finished)

    def announce(self, event: Event) -> None:
        """Hand to the sinks what the store has written with a change."""
        self._events.emit(event)

    def announce_ends(self, finished: Iterable[Finished], template: Event | None = None) -> None:
        """Hand to the sinks what the store has written for each session that it ended.

        `template` is what the call that ended them gave the store.
        """
        for end in finished:
            self._events.emit(finished_event(end, template))

    async def _shown(
        self, records: Collection[Record], current: bytes | None = None
    ) -> list[Session]:
        return await shown(self.store, self.detection, self.users, records, current)


class SyncAdmin:
    """The admin methods of a Guard, plain: the same names, always over a blocking store."""

    _run = staticmethod(run_sync)

    def __init__(self, admin: Admin) -> None:
        self._target = admin

    sessions_of = Plain(Admin.sessions_of)
    search = Plain(Admin.search)
    events = Plain(Admin.events)
    terminate = Plain(Admin.terminate)
    terminate_user = Plain(Admin.terminate_user)
    terminate_where = Plain(Admin.terminate_where)
    terminate_everyone = Plain(Admin.terminate_everyone)
    disable_user = Plain(Admin.disable_user)
    enable_user = Plain(Admin.enable_user)
    clear_flag = Plain(Admin.clear_flag)
    forget_user = Plain(Admin.forget_user)
    export_user = Plain(Admin.export_user)
    sweep = Plain(Admin.sweep)
    describe = Plain(Admin.describe)
    check = Plain(Admin.check)
    close = Plain(Admin.close)
