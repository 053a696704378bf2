"""What admin code and jobs do: list, search, end, disable, erase, read the log, describe.

`Admin` is the part of Guard that needs no request. Its methods are coroutines over
`self.store`; `SyncAdmin` has the same names plain, always over a blocking store. Anybody who
may call these may act on every user: who that is, is the app's decision.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from gatehound._sync import Plain, run_sync
from gatehound.detection.would import WAYS
from gatehound.errors import SettingsError, StoreMismatch, UsageError
from gatehound.listing import (
    Bulk,
    SessionPage,
    UserId,
    exported,
    found_by,
    milliseconds,
    network_of,
    sid_of,
    user_text,
)
from gatehound.model import EndReason, Event, Session
from gatehound.stores import open_store, store_url_problem
from gatehound.stores.answer import EventPage, EventQuery, Listed, Query
from gatehound.telling import Telling

if TYPE_CHECKING:  # what few processes ask for is loaded when they do
    from gatehound.clientip.check import Finding
    from gatehound.stores.copying import Copied

DAY: Final = 86_400_000  # milliseconds
BATCH: Final = 500  # sessions that terminate_where reads at once


class Admin(Telling):
    """The part of Guard that needs no request."""

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
        anonymous: bool = False,
        cursor: str = "",
        limit: int = 50,
    ) -> SessionPage:
        """Return living sessions of all users (`anonymous`: of visitors) that match, newest first.

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
        query = replace(query, cursor=cursor, limit=limit)
        page = await found_by(self.store, query, anonymous=anonymous)
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
        limit: int | None = None,
        cursor: str = "",
    ) -> Bulk:
        """End sessions that match, newest first; a dry run only counts them.

        The conditions are those of `search`. At most `limit` sessions (None: all), so that a long
        run can show how far it is, stop, and go on with the `cursor` of the answer; it is ""
        where none is left. A run that was broken off without one
        is simply started again. UsageError without any condition: that would be
        `terminate_everyone`.
        """
        conditions = (user_id, flagged, country, network, created_before, seen_before)
        # "" is what an empty form field sends: no condition, and never "every session".
        if all(condition is None or condition == "" for condition in conditions):
            raise UsageError(
                "terminate_where() without a condition would end every session: "
                "give one, or call terminate_everyone()"
            )
        if "" in conditions:
            raise UsageError("terminate_where() was given an empty condition: leave it out")
        if limit is not None and (isinstance(limit, bool) or limit < 1):
            raise UsageError(f"limit {limit!r} given; allowed is a whole number from 1, or None")
        query = self._query(user_id, flagged, country, network, created_before, seen_before)
        query, seen, count = replace(query, cursor=cursor), 0, 0
        while True:
            room = BATCH if limit is None else min(BATCH, limit - seen)
            page = await found_by(self.store, replace(query, limit=room))
            for record in page.records:
                count += dry_run or await self.terminate(record.user_id, record.public_id)
            seen += len(page.records)
            if not page.cursor or seen == limit:
                return Bulk(count, page.cursor)
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
        """End every session of this namespace; return how many ended.

        Where the store fails on the way it raises, and the event says that it may be incomplete.
        """
        event = Event("everyone_terminated", reason="by an admin")
        told = replace(event, reason="by an admin; it broke off and may be incomplete: repeat it")
        try:
            count = await self.store.revoke_everyone(event)
            told = event
        finally:
            self._events.emit(told)  # what broke off has ended sessions, maybe all of them
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

    async def copy_to(
        self, store_url: str, *, progress: Callable[[int], object] | None = None
    ) -> Copied:
        """Copy all users and sessions into another store, so that nobody has to sign in again.

        `store_url` is written as the setting `store`; what is stored there of the same users is
        replaced. `progress` is told the number of users so far. Events are not copied.
        SettingsError for a URL that cannot be used, StoreMismatch where the other store was first
        used with another identity_key or namespace, UsageError where it is this store.
        """
        from gatehound.stores.copying import copy_store

        problem = store_url_problem(store_url)
        if problem is None and store_url.startswith("memory:"):
            problem = "memory:// would be gone when the copy is done"
        if problem is not None:
            raise SettingsError(f"the store to copy to: {problem}")
        await self.store.prepare(self.meta)
        target = open_store(
            store_url,
            namespace=self.settings.namespace,
            suspends=self.store.suspends,
            event_retention=int(self.settings.privacy.event_retention * 1000),
            write_version=self.settings.store_options.write_version,
        )
        try:
            await target.prepare(self.meta)
            return await copy_store(self.store, target, progress=progress)
        except StoreMismatch as error:
            problems = [f"the store to copy to: {line}" for line in error.problems]
            raise StoreMismatch(problems) from error
        finally:
            await target.close()

    async def observed(self) -> dict[str, int]:
        """Return how many sessions became suspicious since midnight (UTC), whatever the mode did.

        The names are those of gatehound.detection.would.WAYS: `flag` and `flag_strict` (at the
        threshold of mode strict), `notify`, `step_up` and `terminate`, each with its own count; a
        session counts once for each, and again after its evidence has faded.
        """
        counted = await self.store.counts("would", window=DAY)
        return {name: counted.get(name, 0) for name in WAYS}

    async def describe(self) -> str:
        """Say the active policy in words, for documentation and audits."""
        from gatehound import audit

        return audit.describe(self.settings)

    async def check(self) -> list[Finding]:
        """Look for settings and surroundings that an operator should know of.

        Raises StoreUnavailable where the store does not answer.
        """
        from gatehound import audit

        await self.store.ping()
        return [*audit.findings(self.settings, self.detection), *await self.store.findings()]

    def refresh(self) -> bool:
        """Read the databases and lists that changed, now; True where others are in use afterwards.

        For `detection.reload_every` 0, and from any thread. A file that cannot be used changes
        nothing, and `check()` names it.
        """
        return self.detection.refresh()

    async def close(self) -> None:
        """Close the connections of this process and loop; a later call opens them again."""
        await self.store.close()

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
        if target is not None:
            self.doubt(target)  # also where the answer gets lost, or another process was quicker
        done = await self.store.revoke(
            self.alias(user_id), only=target, keep=keep, reason=reason, event=template
        )
        self.announce_ends(done.finished, template)
        return len(done.finished)


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
    copy_to = Plain(Admin.copy_to)
    observed = Plain(Admin.observed)
    describe = Plain(Admin.describe)
    check = Plain(Admin.check)
    close = Plain(Admin.close)
