"""What the state machine of stores is built on: the store, its clock, the model, and how they meet.

Belongs here: asking and comparing that is no rule of its own. The rules are in `machine`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine
from msgspec.structs import replace

from gatehound._sync import run_sync
from gatehound.model import Event
from gatehound.stores.answer import EventQuery, Memory, NewSession, Query, Refused
from gatehound.stores.record import Record
from gatehound.testing import machine_input as ask
from gatehound.testing.bench import Bench, OpenStore, equal
from gatehound.testing.model_session import Life
from gatehound.testing.model_store import StoreModel

T = TypeVar("T")


class MachineBase(RuleBasedStateMachine):
    """A store and its model. `open_store` is set by a subclass."""

    open_store: ClassVar[OpenStore]

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(type(self).open_store)
        self.store, self.clock = self.bench.store, self.bench.clock
        self.model = StoreModel()
        self.aliases = [self.bench.alias() for _ in ask.USERS]
        self.asked: list[NewSession] = []
        self.begun = dict.fromkeys(self.aliases, 0)
        self.place, self.followed = "", dict[str, Event]()
        self.note = Memory()
        self.is_sound = False  # after a step that failed nothing more is asked
        self._runner = asyncio.Runner() if self.store.suspends else None

    # --- how a store is asked ---

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Make a call, on an event loop where the store needs one."""
        self.is_sound = False
        return run_sync(call) if self._runner is None else self._runner.run(call)

    @property
    def now(self) -> int:
        return self.clock()

    def session(self, pick: int) -> Life:
        """Return one of the sessions that are known, mostly a living one; 0 is the newest."""
        living = [life for life in self.model.lives.values() if life.lives(self.now)]
        lives = living if living and pick % 4 != 1 else list(self.model.lives.values())
        return lives[-1 - pick // 4 % len(lives)]

    def triple(self, pick: int, which: str) -> tuple[bytes, bytes, bytes]:
        """Return alias, sid and a secret, as `load` and others take them."""
        life = self.session(pick)
        secrets = {
            "current": life.security.secret_hash,
            "before": life.before,
            "older": life.secrets[0],
        }
        secret = secrets.get(which) or self.bench.secret()
        return life.alias, life.security.sid, secret

    def epoch(self, alias: bytes) -> int:
        """Ask for the epoch, and judge it."""
        epoch = self.run(self.store.epoch(alias))
        self.model.told_epoch(alias, epoch, self.now)
        return epoch

    def settle(self, alias: bytes, *, is_first: bool = True) -> None:
        """List the sessions of a user, which notices what is over."""
        answer = self.run(self.store.sessions(alias))
        self.model.listed(alias, answer, self.now, is_first=is_first)
        equal(answer.disabled, self.model.person(alias).disabled, "disabled, as the list says")

    def event(self, user: int, name: str = "session_flagged") -> Event:
        return Event(name, ask.USERS[user], reason=self.bench.mint(2).hex())

    def create(self, new: NewSession, event: Event | None = None) -> None:
        epoch = self.epoch(new.alias)
        answer = self.run(self.store.create(new, event))
        self.model.created(new, event, answer, self.now, epoch)
        self.asked.append(new)
        if isinstance(answer, Refused) or not answer.finished:
            self.settle(new.alias, is_first=False)
        else:
            memory = self.run(self.store.recall(new.alias, new.sid))
            self.model.recalled(new.alias, new.sid, memory, self.now)

    def events_of(self, query: EventQuery) -> list[Event]:
        """Page through events, and judge them."""
        found: list[Event] = []
        self.all_pages(lambda cursor: self.store.events(replace(query, cursor=cursor)), found)
        self.model.saw_events(found, query, self.now)
        return found

    def follow_on(self, limit: int) -> None:
        """Go on where the tail ended, until no more is there; each event comes once."""
        since = None if self.place else 0
        for _ in range(500):
            tail = self.run(self.store.tail(self.place, since=since, limit=limit))
            told = {event.id: event for event in tail.events}
            assert len(told) == len(tail.events), "an event came twice in one answer"
            assert not told.keys() & self.followed.keys(), "an event came twice"
            self.followed |= told
            self.place = tail.place
            if not tail.more:
                return
        raise AssertionError("there is more, and more, and no end of it")

    def search_for(self, query: Query) -> None:
        found: list[Record] = []
        self.all_pages(lambda cursor: self.store.search(replace(query, cursor=cursor)), found)
        equal(found, self.model.search(query, self.now), f"all pages of {query}")

    def all_pages(self, turn: Callable[[str], Coroutine[Any, Any, Any]], found: list[Any]) -> None:
        cursor = ""
        for _ in range(500):
            page = self.run(turn(cursor))
            found += page.records if hasattr(page, "records") else page.events
            cursor = page.cursor
            if not cursor:
                return
        raise AssertionError("paging does not come to an end")

    # --- the end ---

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self.look_at_all()
        finally:
            self.run(self.store.close())
            if self._runner is not None:
                self._runner.close()

    def look_at_all(self) -> None:
        """Export, load and list everything; the events last, for what these calls notice."""
        for alias, user_id in zip(self.aliases, ask.USERS, strict=True):
            self.model.exported(alias, self.run(self.store.export(alias, user_id)), self.now)
            stranger = (alias, self.bench.sid(), self.bench.secret())
            self.model.loaded(stranger, None, self.run(self.store.load(*stranger)), self.now)
        self.search_for(Query(limit=1))
        for life in list(self.model.lives.values()):
            for secret in reversed(life.secrets):
                asked = (life.alias, life.security.sid, secret)
                self.model.loaded(asked, None, self.run(self.store.load(*asked)), self.now)
        for alias in self.aliases:
            self.epoch(alias)
            self.settle(alias)
        self.events_of(EventQuery(limit=7))
