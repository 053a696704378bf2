"""What all parts of the guard share: its settings and store, aliases, events, clearing a flag.

Belongs here: what admin code, the flow and a sign-in have in common. Does not: anything that
the app calls by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterable
from typing import Final

from gatehound.detection import Detection, Networks
from gatehound.errors import StoreError
from gatehound.events import Events
from gatehound.listing import Users, shown
from gatehound.model import NOTHING, Detail, Event, Session
from gatehound.recent import RecentSessions
from gatehound.settings import Settings
from gatehound.stores.answer import Finished, Memory, Meta
from gatehound.stores.base import Store
from gatehound.stores.record import ANONYMOUS, STANDING, Record, Seen
from gatehound.stores.rule import finished_event

CLEAR_ATTEMPTS: Final = 8  # compare-and-swap: a request may be judged in the same moment


class Telling:
    """Settings, store and events of a guard."""

    settings: Settings
    networks: Networks
    detection: Detection
    users: Users
    recent: RecentSessions | None  # None unless outage.policy is stale_ok
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

    # --- flags and events ---

    async def clear(
        self,
        record: Record,
        why: str,
        *,
        detail: Detail = NOTHING,
        learn: Callable[[bytes, bytes], tuple[bytes, bytes]] | None = None,
        seen: Seen | None = None,
        agent: str = "",
    ) -> bool:
        """Unflag a session and forget what stood against it; False where it is gone.

        `learn` makes new memories of session and user out of the old ones; None learns nothing,
        because whose the flagged context was, nobody has proved.
        """
        event = Event("session_cleared", record.user_id, record.public_id, why, detail=detail)
        memory, user_memory = await self.store.recall(record.alias, record.sid)
        attempts, flags = CLEAR_ATTEMPTS, record.security.flags
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
                flags=flags,
                clear_flags=STANDING,
                events=(event,) if flags & STANDING else (),  # else somebody was quicker
            )
            attempts -= 1
            if result.done or result.gone or not attempts:
                break
            memory, user_memory, flags = result.memory, result.user_memory, result.flags
        if result.done and flags & STANDING:
            self.announce(event)
        elif result.gone:
            self.doubt(record.sid)
        return result.done

    def doubt(self, sid: bytes, secret_hash: bytes | None = None) -> None:
        """Show a session, or one secret of it, in no outage until the store admits it again."""
        if self.recent is not None:
            self.recent.forget(sid, secret_hash)

    def admits(self, name: str) -> bool:
        """Say whether an event that anybody can cause is told now, or only counted."""
        return self._events.admits(name)

    async def tell(self, event: Event) -> None:
        """Write an event that belongs to no change of a session, and hand it to the sinks.

        A store that is down costs the line in its log, and nothing else.
        """
        event = self._events.redacted(event)
        with contextlib.suppress(StoreError):
            await self._write_held()
            await self.store.append(event)
        self._events.emit(event)

    async def tell_held(self, *, ends: bool = False) -> None:
        """Write how many events of a flood were held back in windows that are over.

        `ends`: in all of them, because this process is about to go. A store that is down gets
        the count later.
        """
        with contextlib.suppress(StoreError):
            await self._write_held(ends=ends)

    async def _write_held(self, *, ends: bool = False) -> None:
        while (held := self._events.unwritten(ends=ends)) is not None:
            try:
                await self.store.append(held)
            except StoreError:
                self._events.keep(held)
                raise

    def announce(self, event: Event) -> None:
        """Hand to the sinks what the store has written with a change."""
        self._events.emit(event)

    def announce_ends(self, finished: Iterable[Finished], template: Event | None = None) -> None:
        """Hand to the sinks what the store has written for each session that it ended.

        `template` is what the call that ended them gave the store.
        """
        for end in finished:
            if not end.record.security.flags & ANONYMOUS:  # visitors go all day long, untold
                self._events.emit(finished_event(end, template))

    async def _shown(
        self, records: Collection[Record], current: bytes | None = None
    ) -> list[Session]:
        return await shown(self.store, self.detection, self.users, records, current)
