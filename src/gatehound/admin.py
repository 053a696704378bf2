"""What admin code and jobs do: list, search, end, disable, erase, read the log, describe.

`Admin` is the part of Guard that needs no request. Its methods are coroutines over
`self.store`; `SyncAdmin` has the same names plain, always over a blocking store. Anybody who
may call these may act on every user: who that is, is the app's decision.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from gatehound._sync import Plain, run_sync
from gatehound.detection.would import WAYS
from gatehound.listing import (
    Bulk,
    FailedLogins,
    SessionPage,
    UserId,
    exported,
    found_by,
    milliseconds,
    named_by,
    network_of,
    query_for,
    sid_of,
    user_text,
)
from gatehound.model import EndReason, Event, Session
from gatehound.stores.answer import EventPage, EventQuery, Listed, Tail
from gatehound.telling import Telling

if TYPE_CHECKING:  # what few processes ask for is loaded when they do
    from gatehound.clientip.check import Finding
    from gatehound.stores.copying import Copied
    from gatehound.tally import Tally

DAY: Final = 86_400_000  # milliseconds


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
        conditions = (user_id, flagged, country, network, created_before, seen_before)
        query = replace(query_for(self.alias, *conditions), cursor=cursor, limit=limit)
        page = await found_by(self.store, query, anonymous=anonymous)
        return SessionPage(tuple(await self._shown(page.records)), page.cursor, page.looked_at)

    async def find_users(self, text: str, *, limit: int = 20) -> dict[str, str]:
        """Return the users that a text may mean: id -> name, "" where no name is known.

        By `users.find`, at most `limit` of them; without it the text is the id.
        """
        found = [text] if self.users.find is None else self.users.find(text)
        ids = [str(user_id) for user_id in islice(found, limit)]
        names = self.users.describe(ids) if self.users.describe else {}
        return {user_id: names.get(user_id, ("", ""))[0] for user_id in ids}

    async def flagged_from(self, network: str) -> list[Session]:
        """List flagged sessions that were used from an address or network, the newest first.

        A flagged session keeps its owner's address, so that `search` finds it there. By the log, of
        at most 20 users; ValueError where the network cannot be read.
        """
        from gatehound import suspicion

        return [session for session, _ in await suspicion.flagged_from(self, network)]

    async def is_disabled(self, user_id: UserId) -> bool:
        """Say whether `disable_user` was called, and `enable_user` not since."""
        return (await self.store.sessions(self.alias(user_text(user_id)))).disabled

    async def failed_logins(self) -> FailedLogins:
        """Sum up the failed logins of this hour, which the app reported with `login_failed`.

        All are 0 where `detection.mode` is off: then nothing is counted.
        """
        from gatehound import guessing

        return await guessing.report(self)

    async def living(self) -> int:
        """Count the sessions that nobody has found over yet, those of visitors too."""
        return await self.store.living()

    async def events(
        self,
        *,
        user_id: UserId | None = None,
        public_id: str | None = None,
        names: Collection[str] | None = None,
        since: float | None = None,
        until: float | None = None,
        network: str | None = None,
        cursor: str = "",
        limit: int = 50,
    ) -> EventPage:
        """Return events that match, newest first.

        From `since` on and before `until`, seconds since 1970; `network` is an address or CIDR
        text, ValueError where it cannot be read. A page may be short, and not the last.
        """
        return await self.store.events(
            EventQuery(
                user_id=None if user_id is None else user_text(user_id),
                public_id=public_id,
                names=names,
                since=milliseconds(since),
                until=milliseconds(until),
                network=network_of(network),
                cursor=cursor,
                limit=limit,
            )
        )

    async def tail(self, place: str = "", *, since: float | None = None, limit: int = 500) -> Tail:
        """Return the events that came after a place, the oldest first, and where to go on.

        `place` is what the answer before said; "" begins with those of `since` (seconds since
        1970; None: from now on).
        """
        return await self.store.tail(place, since=milliseconds(since), limit=limit)

    # --- end; `by` names who did it, in the detail of the events ---

    async def terminate(self, user_id: UserId, public_id: str, *, by: str = "") -> bool:
        """End one session of a user; False where it is not there (any more)."""
        return bool(await self._end(user_text(user_id), EndReason.ADMIN, only=public_id, by=by))

    async def terminate_user(
        self, user_id: UserId, reason: EndReason | str = EndReason.ADMIN, *, by: str = ""
    ) -> int:
        """End all sessions of a user, and logins that are under way; return how many ended."""
        return await self._end(user_text(user_id), EndReason(reason), by=by)

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
        keep: str = "",
        by: str = "",
    ) -> Bulk:
        """End sessions that match, newest first; a dry run only counts them.

        The conditions are those of `search`. At most `limit` sessions (None: all), so that a long
        run can show how far it is, stop, and go on with the `cursor` of the answer; it is ""
        where none is left. A run that was broken off without one
        is simply started again. `keep` is the public id of a session that stays, such as that of
        the admin who asks. UsageError without any condition: that would be
        `terminate_everyone`.
        """
        from gatehound import bulk

        conditions = (user_id, flagged, country, network, created_before, seen_before)
        bulk.check(conditions, limit)
        query = replace(query_for(self.alias, *conditions), cursor=cursor)
        return await bulk.end_where(self, query, dry_run=dry_run, limit=limit, keep=keep, by=by)

    async def terminate_everyone(self) -> int:
        """End every session of this namespace; return how many ended.

        Where the store fails on the way it raises, and the event says that it may be incomplete.
        """
        event = Event("everyone_terminated", reason="by an admin")
        told = replace(event, reason="by an admin; it broke off and may be incomplete: repeat it")
        try:
            count = await self.store.revoke_everyone(event)
            told = replace(event, detail={"count": count})
        finally:
            self._events.emit(told)  # what broke off has ended sessions, maybe all of them
        return count

    # --- users ---

    async def disable_user(self, user_id: UserId, *, by: str = "") -> int:
        """End all sessions of a user and refuse new ones until `enable_user`."""
        user, why, detail = user_text(user_id), EndReason.DISABLED.value, named_by(by)
        template = Event("session_terminated", user_id=user, reason=why, detail=detail)
        done = await self.store.disable(self.alias(user), template)
        self.announce_ends(done.finished, template)
        await self.tell(Event("user_disabled", user_id=user, detail=detail))
        return len(done.finished)

    async def enable_user(self, user_id: UserId, *, by: str = "") -> bool:
        """Let a disabled user sign in again; False where the user was not disabled."""
        user = user_text(user_id)
        enabled = await self.store.enable(self.alias(user))
        if enabled:
            await self.tell(Event("user_enabled", user_id=user, detail=named_by(by)))
        return enabled

    async def clear_flag(self, user_id: UserId, public_id: str, *, by: str = "") -> bool:
        """Say that a flagged session is fine: it is unflagged, and nothing is learned."""
        listed = await self.store.sessions(self.alias(user_text(user_id)))
        self.announce_ends(listed.finished)
        for record in listed.records:
            if record.public_id == public_id:
                return await self.clear(record, "by an admin", detail=named_by(by))
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
        from gatehound import bulk

        return await bulk.copy_to(self, store_url, progress)

    async def observed(self) -> dict[str, int]:
        """Return how many sessions became suspicious since midnight (UTC), whatever the mode did.

        The names are those of gatehound.detection.would.WAYS: `flag` and `flag_strict` (at the
        threshold of mode strict), `notify`, `step_up` and `terminate`, each with its own count; a
        session counts once for each, and again after its evidence has faded.
        """
        counted = await self.store.counts("would", window=DAY)
        return {name: counted.get(name, 0) for name in WAYS}

    async def tally(self) -> Tally:
        """Count sign-ins, ends, flags and failures by hour, from the event log; see Tally."""
        from gatehound.tally import tally

        await self.tell_held()
        return await tally(self.store, retention=self.settings.privacy.event_retention)

    async def describe(self) -> str:
        """Say the active policy in words, for documentation and audits."""
        from gatehound import audit

        return audit.describe(self.settings)

    async def check(self) -> list[Finding]:
        """Look for settings and surroundings that an operator should know of, worst first.

        Raises StoreUnavailable where the store does not answer.
        """
        from gatehound import audit

        await self.store.ping()
        found = audit.findings(self.settings, self.detection, self.store)
        return audit.worst_first([*found, *await self.store.findings()])

    def refresh(self) -> bool:
        """Read the databases and lists that changed, now; True where others are in use afterwards.

        For `detection.reload_every` 0, and from any thread. A file that cannot be used changes
        nothing, and `check()` names it.
        """
        return self.detection.refresh()

    async def close(self) -> None:
        """Close the connections of this process and loop; a later call opens them again."""
        await self.tell_held(ends=True)
        await self.store.close()

    async def _end(
        self,
        user_id: str,
        reason: EndReason,
        *,
        only: str | None = None,
        keep: bytes | None = None,
        by: str = "",
    ) -> int:
        target = None if only is None else sid_of(only)
        if only is not None and target is None:
            return 0
        why, detail = reason.value, named_by(by)
        template = Event("session_terminated", user_id=user_id, reason=why, detail=detail)
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
    find_users = Plain(Admin.find_users)
    flagged_from = Plain(Admin.flagged_from)
    is_disabled = Plain(Admin.is_disabled)
    living = Plain(Admin.living)
    failed_logins = Plain(Admin.failed_logins)
    events = Plain(Admin.events)
    tail = Plain(Admin.tail)
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
    tally = Plain(Admin.tally)
    describe = Plain(Admin.describe)
    check = Plain(Admin.check)
    close = Plain(Admin.close)
