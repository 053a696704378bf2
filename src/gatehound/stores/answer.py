"""What a store is asked and what it answers: plain data, explained in gatehound.stores.base."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias

import msgspec

from gatehound.model import EndReason, Event, Silent
from gatehound.stores.record import Record, Seen, Tombstone

LAYOUT: Final = 1


class Standing(enum.StrEnum):
    """What a secret is worth.

    LIVE: the current secret. GRACE: the one before, after a routine rotation, still valid.
    SUPERSEDED: the one before, at most 60 s after a privilege rotation: refuse it, without
    alarm. REUSED: an older secret, presented too late: refuse it, with alarm. ENDED: the
    session is over and we know why. UNKNOWN: no trace of it.
    """

    LIVE = "live"
    GRACE = "grace"
    SUPERSEDED = "superseded"
    REUSED = "reused"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What `load` and `rotate` say.

    `record` is there for LIVE, GRACE, SUPERSEDED and REUSED, and for the ENDED that this call
    itself noticed (`expired`): the session as it was, so that the caller can tell whose it was.
    `ended` is there for ENDED. `was_seen` is the last activity before this call, where the call
    slid it; else 0. `expired` is True for the one caller that ended the session by noticing that
    its time is over, whatever secret it gave. `reuse` classes a REUSED secret: "recent" (the
    one before, its grace is over), "orphan" (the one before, and the new one was never
    presented) or "stale" (older than the one before); else "".
    """

    standing: Standing
    now: int
    record: Record | None = None
    ended: Tombstone | None = None
    expired: bool = False
    reuse: str = ""
    was_seen: int = 0


class NewSession(msgspec.Struct, frozen=True):
    """What `create` is asked for.

    `sid`, `alias` and `secret_hash` are 8, 12 and 16 bytes. `idle` and `absolute` are
    durations. `seen.last_seen` is ignored: the store sets it. `agent` is the User-Agent text
    that `seen.agent` digests; at most 512 bytes of it are kept. `memory` is the first
    evidence of the session, b"" for none.

    `limit` is the most sessions that the user may have once this one is there (None: no
    limit); `on_limit` says whether the oldest ends or this one is denied. `epoch` is what
    `epoch()` said when this login began (None: not compared). `replaces` is the sid of a
    session of the same user that this one takes the place of, before the limit is counted.
    """

    sid: bytes
    alias: bytes
    user_id: str
    secret_hash: bytes
    idle: int
    absolute: int
    seen: Seen
    roles: tuple[str, ...] = ()
    flags: int = 0
    aal: int = 1
    methods: tuple[str, ...] = ("password",)
    agent: str = ""
    memory: bytes = b""
    limit: int | None = 5
    on_limit: Literal["oldest", "deny"] = "oldest"
    epoch: int | None = None
    replaces: bytes | None = None


class Finished(msgspec.Struct, frozen=True):
    """One session that a call ended: what it was, why it is over, and since when."""

    record: Record
    reason: EndReason
    at: int


class Created(msgspec.Struct, frozen=True):
    """The session is there.

    `finished` are those that made room, expired or were replaced; expired ones of other users
    too, where the store used the moment to end what is over.
    """

    record: Record
    now: int
    finished: tuple[Finished, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """The session was not created: "limit", "disabled", "epoch" or "sid" (mint another)."""

    reason: Literal["limit", "disabled", "epoch", "sid"]
    now: int


class Revoked(msgspec.Struct, frozen=True):
    """What `revoke` and `disable` ended, and the user's epoch after it."""

    finished: tuple[Finished, ...]
    epoch: int
    now: int


class Listed(msgspec.Struct, frozen=True, gc=False):
    """The living sessions of one user, oldest first; `finished` are those just noticed over.

    `disabled`: the user is, and has none.
    """

    records: tuple[Record, ...]
    now: int
    finished: tuple[Finished, ...] = ()
    disabled: bool = False


class Memory(msgspec.Struct, frozen=True, gc=False):
    """Remembered evidence and its version; version 0 with b"" means nothing yet."""

    data: bytes = b""
    version: int = 0


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """What `remember` did.

    `done`: it was written. `gone`: the session is not there (or `secret_hash` is not its
    current or graced secret), nothing was written. Neither: another process wrote first;
    `memory`, `user_memory` and `flags` are what is stored now, nothing was written.
    """

    done: bool
    now: int
    gone: bool = False
    memory: Memory = msgspec.field(default=Memory())
    user_memory: Memory = msgspec.field(default=Memory())
    flags: int = 0


class Query(msgspec.Struct, frozen=True):
    """What `search` looks for; None means "any".

    `network` is (address bytes, prefix length). Results come newest first by creation.
    `cursor` is opaque, from the page before; one that no page came with (it travels through a
    URL) means the first page. `limit` is 1 to 1000. "Before" is strict.
    """

    alias: bytes | None = None
    flagged: bool | None = None
    country: str | None = None
    network: tuple[bytes, int] | None = None
    created_before: int | None = None
    seen_before: int | None = None
    cursor: str = ""
    limit: int = 50


class Page(msgspec.Struct, frozen=True):
    """One page of sessions. `cursor` is "" on the last; a page may be short and not the last.

    `looked_at` is how many sessions were looked at for it: as many as it has, where an index
    finds what is asked for.
    """

    records: tuple[Record, ...]
    now: int
    cursor: str = ""
    looked_at: int = 0


class EventQuery(msgspec.Struct, frozen=True):
    """Which events; None means "any". Newest first. `cursor` and `limit` are as in Query.

    From `since` on, and before `until`; `network` is as in Query, and one of which an event says
    no address is in none.
    """

    user_id: str | None = None
    public_id: str | None = None
    names: Collection[str] | None = None
    since: int | None = None
    until: int | None = None
    network: tuple[bytes, int] | None = None
    cursor: str = ""
    limit: int = 50


class EventPage(msgspec.Struct, frozen=True):
    """One page of events, newest first. `cursor` is "" on the last; a page may be short before."""

    events: tuple[Event, ...]
    cursor: str = ""


class Tail(msgspec.Struct, frozen=True):
    """Events after a place, the oldest first, and where to go on; `more`: there are some now."""

    events: tuple[Event, ...]
    place: str
    more: bool = False


class Ends(msgspec.Struct, frozen=True):
    """Which sessions ended since a place, and the place to ask from next.

    `everyone`: all sessions that were there ended, named or not; those that began during the
    question have to be asked about. `missed`: sessions may have ended that are not named,
    because a connection was lost or the place is too old; ask about each that matters.
    """

    sids: tuple[bytes, ...]
    everyone: bool
    missed: bool
    place: str


class Meta(msgspec.Struct, frozen=True):
    """What must agree between the settings and a store that was used before."""

    fingerprint: bytes  # 16 bytes that stand for identity_key
    namespace: str
    layout: int = LAYOUT


class Before(msgspec.Struct, frozen=True):
    """The secret before the current one, and until when it is of use.

    `confirmed` is when the current one was first presented, 0 for not yet; `grace` is None after
    a privilege rotation.
    """

    secret_hash: bytes
    rotated: int
    confirmed: int = 0
    grace: int | None = None


class Holding(msgspec.Struct, frozen=True):
    """All that a store holds of one session."""

    record: Record
    before: Before | None = None
    memory: bytes = b""
    data: Mapping[str, bytes] = msgspec.field(default_factory=dict[str, bytes])


class Holdings(msgspec.Struct, frozen=True):
    """All that a store holds of one user, but for events, as `dump` gives and `restore` takes it.

    `ended` is sid -> (tombstone, until when it is kept). `epoch` is 0 where nothing was ended for
    all. `agents` are the User-Agent texts of the sessions by their digests.
    """

    alias: bytes
    sessions: tuple[Holding, ...] = ()
    ended: Mapping[bytes, tuple[Tombstone, int]] = msgspec.field(
        default_factory=dict[bytes, tuple[Tombstone, int]]
    )
    epoch: int = 0
    disabled: bool = False
    user_memory: bytes = b""
    agents: Mapping[bytes, str] = msgspec.field(default_factory=dict[bytes, str])


class Dump(msgspec.Struct, frozen=True):
    """Some users, the moment before which everybody's sessions are over, and where to go on.

    `cursor` is "" at the end. A user may come twice; `not_before` is 0 where nothing was ended.
    """

    users: tuple[Holdings, ...]
    not_before: int = 0
    cursor: str = ""


# --- a load in three steps, for what is asked again and again ---
#
# `load` is a coroutine that makes its answer anew. Most requests are like one before: the same
# session, unchanged. So a question that was asked is kept, with the record that was the answer; it
# is asked again at once, and what comes is compared. Where anything differs, `go_on` answers as
# `load` would, and makes no second trip to a server. MUST NOT remember a session without asking.

Asked: TypeAlias = tuple[Any, Any]
"""Over what was asked, and the replies: a list; under asyncio it may have to be awaited."""


class Question(Silent, msgspec.Struct, frozen=True, gc=False):
    """What is asked of one session; `record` is what the answer may be again, None for nothing."""

    alias: bytes
    sid: bytes
    secret_hash: bytes
    record: Record | None


class Lost(list[Any]):
    """Stands in the place of replies that did not come, and are like no other."""

    def __init__(self, error: Exception) -> None:
        super().__init__((error,))
        self.error = error


class Quick(Protocol):
    """What a store offers that can be asked without a coroutine."""

    def question(
        self, alias: bytes, sid: bytes, secret_hash: bytes, replies: list[Any] | None = None
    ) -> Any:
        """Make a Question, which may read the store; replies may be those of one before.

        Its `record` is what these, or the store itself, say of a live session, and so may be a
        newer one than the caller has. None where that is not known, or something is to be written.
        """
        raise NotImplementedError

    def ask(self, question: Any, touch: int | None) -> Asked | None:
        """Ask; None where that takes more than this: call `load`, nothing was asked."""
        raise NotImplementedError

    def told(self, question: Any, replies: list[Any]) -> int:
        """Return the store's now where the replies are those of `record`; else 0."""
        raise NotImplementedError

    async def go_on(self, question: Any, asked: Asked, touch: int | None) -> Answer:
        """Answer as `load` does, from replies that have come, a Lost in the place of none."""
        raise NotImplementedError


async def failing(error: Exception) -> NoReturn:
    """Raise what asking raised, where replies are waited for."""
    raise error
