"""The store contract, version 1: one text, three stores, one conformance suite.

Rules that hold for every method of every store

1.  **Only create creates** sessions. Everything else changes what is there and does nothing
    where it is not: a request that was in flight when its session was revoked brings nothing
    back.
2.  **Each method is atomic** for one user: it happens whole or not at all, whatever runs
    beside it in other threads, loops, processes or machines. Methods over all users
    (search, sweep, revoke_everyone) are not; each user is.
3.  **The store's clock decides.** Callers never pass the time. Every answer carries the
    store's `now`. All times are milliseconds since 1970, all durations milliseconds, int.
4.  **"Not found" is an answer, never an error**: None, False, 0 or empty, as each method says.
    StoreUnavailable means that the store did not answer: the outcome of a write is unknown.
    StoreCorrupt means that it answered nonsense. Neither is ever the client's fault.
5.  `create` and `rotate` are idempotent on their secret hash, so that a caller may repeat
    them once after StoreUnavailable. `count`, `data_incr` and `append` are not: never repeat.
6.  A session that has run out of time is ended by whoever notices: `load`, `create`,
    `sessions` or `sweep`. Its tombstone and its `session_expired` event are written once, in
    the same step; of a visitor's (ANONYMOUS) no event is. The caller that ended it is told, so
    that sinks hear of each: `load` ends no other session of the user, `search` none, and
    `create` may end some of other users, so that no store has to be swept. Ended sessions
    leave a tombstone for as long as their cookie may come back (until their absolute expiry,
    at least one hour and at most 14 days), at most 8 a user, the newest kept.
7.  The event that belongs to a change is written with the change. Its `at` is always the
    store's now, its `id` the store's. Events are kept for the retention given at construction
    (90 days by default).
8.  Everything has an end of life, except disabled users, meta and what rule 7 keeps.
9.  Nothing is opened at construction. Handles belong to one (process, thread or loop) and
    are never used after a fork. `close` is allowed at any time; a later call opens again.
10. Bytes go in and come out unchanged: no pickle, no decoding of what the caller encoded.

What goes in and out is in `answer`, the bounds and small rules in `rule`, the record in
`record`. Methods are coroutines. `suspends` says whether they may really wait for an event
loop: a store whose `suspends` is False finishes each in one step, so that WSGI needs no loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    Answer,
    Created,
    Dump,
    Ends,
    EventPage,
    EventQuery,
    Finished,
    Listed,
    Memory,
    Meta,
    NewSession,
    Page,
    Query,
    Quick,
    Refused,
    Remembered,
    Revoked,
    Tail,
)
from gatehound.stores.record import Seen

if TYPE_CHECKING:
    from gatehound.clientip.check import Finding


class Store(ABC):
    """The contract. See the module docstring for the rules that every method keeps."""

    kind: ClassVar[str]
    suspends: bool
    tells: bool = False  # True: `ends` waits until it is told; False: ask again after 0.25 s
    quick: Quick | None = None  # what is asked in place of `load` where it can answer

    # --- life of the store ---

    @abstractmethod
    async def prepare(self, meta: Meta) -> None:
        """Write `meta` into an empty store; StoreMismatch names what differs in a used one.

        Callable again at any time. StoreUnavailable where the store cannot be reached.
        """

    @abstractmethod
    async def ping(self) -> int:
        """Return the store's now, or raise StoreUnavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Release what belongs to this process and thread or loop."""

    # --- one session ---

    @abstractmethod
    async def create(self, new: NewSession, event: Event | None = None) -> Created | Refused:
        """Create a session within the user's limit, and write `event`.

        In one step: refuse a disabled user or a changed epoch; end what has expired; end
        `replaces` (reason REPLACED); while the limit is reached end a session with reason
        LIMIT and event `session_terminated_limit`, or refuse; write user id, roles, record,
        memory and agent text; write `event`. At the limit the sessions whose newest pair,
        `seen.pairs[0]`, is that of the new session and not empty go first, so that a robot
        which logs in per call ends its own; then the others; each the oldest first by
        (created, sid). The roles of a user are those of the latest login. If `sid` lives with
        the same secret hash, change nothing and return it as Created; with another hash, or
        where it ended and its tombstone is there, Refused("sid"). A session never begins before
        the last end of everybody's, though the clock stepped back.
        """

    @abstractmethod
    def load(
        self, alias: bytes, sid: bytes, secret_hash: bytes, *, touch: int | None = None
    ) -> Coroutine[Any, Any, Answer]:
        """Say what the secret is worth; with `touch`, slide a living session.

        `touch` is a duration: if the last activity is at least that old, it becomes now.
        Last seen never moves backwards, and a refused secret never slides. `record` shows the
        session after the call, `was_seen` its last activity before it where the call slid it.
        The first presentation of a new secret after a routine rotation is noted, and starts the
        grace of the old one.
        """

    @abstractmethod
    async def rotate(
        self,
        alias: bytes,
        sid: bytes,
        old_hash: bytes,
        new_hash: bytes,
        *,
        grace: int | None = None,
        authenticated: bool = False,
        methods: tuple[str, ...] | None = None,
        aal: int | None = None,
        absolute: int | None = None,
        clear_flags: int = 0,
        event: Event | None = None,
    ) -> Answer:
        """Replace the secret, if `old_hash` is the current one: of many callers one wins.

        `grace` None is a privilege rotation (the old secret is refused from now on), else a
        routine one (the old secret stays valid until the new one is first presented, at most
        10 minutes, then for `grace`). `record.security.rotated` becomes now. `authenticated`
        sets that time to now; `methods` and `aal` replace where given; `absolute` moves the
        absolute end to now + absolute.
        A privilege rotation that is `authenticated` is also accepted with an old secret while
        it is valid (GRACE): who proves again who they are must not fail because another of
        their requests was just given a new secret. `old_hash` then is the secret before, as
        always, and the one that was current until now is of no more use (REUSED, "stale").
        LIVE: done, or done before with this `new_hash`. Else the answer that `load` would
        give for `old_hash`, and nothing changed.
        """

    @abstractmethod
    async def revoke(
        self,
        alias: bytes,
        *,
        only: bytes | None = None,
        keep: bytes | None = None,
        reason: EndReason,
        event: Event | None = None,
    ) -> Revoked:
        """End one session (`only`), all but one (`keep`), or all of a user (neither).

        `event` is a template: one is written per ended session, with its public_id. Unless
        `only` is given the epoch moves forward, also of a user who has no session, so that a
        login that began before is refused; it is kept for at least one hour after the user's
        last session. A session that was over and unnoticed ends for either reason.
        """

    @abstractmethod
    async def sessions(self, alias: bytes) -> Listed:
        """List the living sessions of a user, oldest first by (created, sid)."""

    @abstractmethod
    async def epoch(self, alias: bytes) -> int:
        """Return what `create` compares: it grows when all of the user's sessions are ended, or
        everybody's.

        It is asked of the store each time, and 0 where nothing was ever ended for all.
        """

    # --- evidence ---

    @abstractmethod
    async def recall(self, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
        """Return what is remembered of the session and of the user."""

    @abstractmethod
    async def remember(
        self,
        alias: bytes,
        sid: bytes,
        secret_hash: bytes,
        *,
        memory: Memory | None = None,
        user_memory: Memory | None = None,
        seen: Seen | None = None,
        agent: str = "",
        flags: int | None = None,
        set_flags: int = 0,
        clear_flags: int = 0,
        events: Sequence[Event] = (),
    ) -> Remembered:
        """Write evidence, the seen part, flags and events of a living session in one step.

        A memory is written only if the stored version is the one given, and the version then
        grows by one; if either differs, nothing at all is written. The same holds for `flags`,
        those that the caller saw, as far as they are in STANDING; None does not compare.
        `seen` replaces all but `last_seen`, which keeps the greater value. `agent` is the text
        of `seen.agent`.
        Data over 4096 bytes is a ValueError.
        """

    # --- app data, field by field ---

    @abstractmethod
    async def data_get(
        self, alias: bytes, sid: bytes, names: Collection[str] | None = None
    ) -> dict[str, bytes]:
        """Return the fields that are there (`names` None: all); empty for a dead session."""

    @abstractmethod
    async def data_set(self, alias: bytes, sid: bytes, values: Mapping[str, bytes]) -> bool:
        """Set some fields and leave the others; False, and nothing set, for a dead session.

        ValueError over 256 fields a session, 128 bytes a name, 64 KiB a value.
        """

    @abstractmethod
    async def data_delete(self, alias: bytes, sid: bytes, names: Collection[str]) -> int:
        """Delete fields; return how many were there."""

    @abstractmethod
    async def data_incr(self, alias: bytes, sid: bytes, name: str, by: int = 1) -> int | None:
        """Add to a field that holds a decimal integer (absent: 0) and return the sum.

        None for a dead session; ValueError where the field holds something else or the sum
        leaves 64 bits.
        """

    # --- users ---

    @abstractmethod
    async def disable(self, alias: bytes, event: Event | None = None) -> Revoked:
        """Mark the user as disabled and end all sessions (reason DISABLED) in one step.

        `event` is a template as in `revoke`. Until `enable`, `create` is refused.
        """

    @abstractmethod
    async def enable(self, alias: bytes) -> bool:
        """Remove the mark; False if there was none."""

    @abstractmethod
    async def forget(self, alias: bytes, user_id: str) -> int:
        """Erase sessions, tombstones, evidence, app data and events of a user.

        The mark of a disabled user and the epoch stay, or forgetting would let somebody in.
        Returns how many living sessions went.
        """

    @abstractmethod
    async def export(self, alias: bytes, user_id: str) -> dict[str, Any]:
        """Return all that is stored of a user.

        Keys: `sessions` (list of Record), `agents` (agent digest -> text), `ended` (public id ->
        Tombstone), `memory` (public id -> bytes), `user_memory` (bytes), `data` (public id ->
        {name: bytes}), `events` (list of Event), `disabled` (bool).
        """

    # --- everyone ---

    @abstractmethod
    async def revoke_everyone(self, event: Event | None = None) -> int:
        """End every session (reason EVERYONE); return how many were ended.

        From the moment that it returns, and on every process within 2 s of that, no
        session created before authenticates. The epoch of everybody moves forward, also of
        users who have no session and of those who are not known, so that a login that began
        before is refused. Only a `create` that is under way during this call may still be done;
        a store may look at everybody's epoch up to 1 s before it creates. `event` is written
        once, for all, with how many ended as `count` in its detail.
        """

    @abstractmethod
    async def ends(self, place: str, *, wait: float) -> Ends:
        """Say which sessions ended since `place`, in any process and in whatever way.

        `place` is "" (from now on: answered at once, with no names) or what the answer before
        said. Expired sessions count when somebody notices; a rotation ends nothing; one end
        may be named twice. A store that `tells` waits up to `wait` seconds for the first end
        and holds a connection until the call is cancelled or `close`; others answer at once. A
        store that does not suspend may raise UsageError: what stays open needs an event loop.
        """

    @abstractmethod
    async def search(self, query: Query) -> Page:
        """Return living sessions that match, newest first by (created, sid)."""

    @abstractmethod
    async def sweep(self, limit: int = 1000) -> tuple[Finished, ...]:
        """End at most `limit` sessions whose time is over, and drop what has no more use.

        Nothing depends on it being called. Fewer than `limit` means that it is done.
        """

    # --- agents, counters, events ---

    @abstractmethod
    async def agents(self, digests: Collection[bytes]) -> dict[bytes, str]:
        """Return the User-Agent texts that are known for these digests."""

    @abstractmethod
    async def count(self, kind: str, name: str, *, by: int = 1, window: int) -> int:
        """Add to a counter shared by all processes; return its value in the present window.

        Windows are fixed: [n * window, (n + 1) * window). Counters vanish after the next one.
        Over 10,000 names in one window further names return 0 and are not counted.
        """

    @abstractmethod
    async def counts(self, kind: str, *, window: int) -> dict[str, int]:
        """Return the counters of one kind in the present window."""

    @abstractmethod
    async def append(self, event: Event) -> None:
        """Write an event that belongs to no change (a failed login, a sum of forged cookies)."""

    @abstractmethod
    async def events(self, query: EventQuery) -> EventPage:
        """Return events that match, newest first."""

    @abstractmethod
    async def tail(self, place: str, *, since: int | None = None, limit: int = 500) -> Tail:
        """Return about `limit` of the events that came after a place, and where to go on.

        `place` is what the answer before said; "" begins with those of `since` (None: from now
        on, so that nothing comes yet). Who goes on from place to place sees each event that is
        kept once, those of one user in their order, all others nearly so. A place that no answer
        gave, or that a restored backup has not reached, begins anew as "".
        """

    @abstractmethod
    async def shelf(self, name: str) -> Memory:
        """Return what `put` wrote under a name; version 0 with b"" for nothing yet."""

    @abstractmethod
    async def put(self, name: str, memory: Memory) -> bool:
        """Write under a name where its version is still `memory.version`, and raise that by one.

        False, and nothing written, where another process was quicker. It stays for ever: for the
        few notes of background work, and nothing of a user. `name` is 1 to 32 of a-z, 0-9 and
        "-", `memory.data` has at most 256 KiB; else ValueError.
        """

    @abstractmethod
    async def living(self) -> int:
        """Count the sessions that nobody has found over yet, those of visitors too."""

    # --- for operators ---

    async def findings(self) -> list[Finding]:
        """Say what an operator should know of the place where sessions live; [] for nothing.

        StoreUnavailable where it cannot be asked.
        """
        return []

    @abstractmethod
    async def dump(self, cursor: str = "", *, limit: int = 100) -> Dump:
        """Return all that is stored of some users, about `limit` of them, in no order.

        Everybody who is there during the whole run comes at least once: whoever has a session
        (over or not), a tombstone or an epoch, is disabled or remembered. Each user is as at one
        moment; the run is not. `cursor` is "" or that of the answer before; one that no answer
        gave, or a server that was added meanwhile, may leave users out or repeat them. Nothing is
        ended by it.
        """

    @abstractmethod
    async def restore(self, dump: Dump) -> None:
        """Put users of another store, or of a backup, in the place of what is stored of them.

        Each user whole or not at all. Secrets, times and reasons stay as they are, so that nobody
        is signed out; no event is written. The epoch of a user and everybody's `not_before` only
        move forward. Who is not in `dump` is left alone. It may be repeated.
        """
