"""A hypothesis state machine over the whole store contract: call after call, against a model.

    from gatehound.testing import store_machine
    TestMyStore = store_machine(lambda clock: MyStore(clock=clock)).TestCase

The oracle is `model_store`, which shares no logic with any store. After every step each secret
that was ever given out must be worth what the model says, and a search must find exactly the
sessions that live; both are asked without changing anything. At the end everything is loaded,
listed, exported and paged through. Not checked here: calls made in parallel (`checks_race`), a
clock that goes back, and limits of size, which the other checks know.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import EventQuery, Memory, NewSession, Query
from gatehound.stores.record import Seen
from gatehound.testing import machine_input as ask
from gatehound.testing.bench import HOUR, META, equal
from gatehound.testing.machine_base import MachineBase
from gatehound.testing.model_session import Life

_PROBED = 12  # of the sessions that are known, the newest


def _has_sessions(machine: StoreMachine) -> bool:
    return bool(machine.model.lives)


def _has_much(machine: StoreMachine) -> bool:
    """True where there is something to lose: what ends a lot must not be the rule."""
    return len(machine.model.living(machine.now)) > 2


def _sid_of(lives: list[Life], pick: int | None) -> bytes | None:
    """Return the name of one of some sessions, None where none is picked."""
    return lives[pick % len(lives)].security.sid if lives and pick is not None else None


def _has_disabled(machine: StoreMachine) -> bool:
    return any(person.disabled for person in machine.model.people.values())


class StoreMachine(MachineBase):
    """Call a store as apps do, and compare it with the model. `open_store` is set by a subclass."""

    @initialize(forms=st.lists(ask.logins, max_size=4))
    def prepare(self, forms: list[dict[str, Any]]) -> None:
        self.run(self.store.prepare(META))
        for alias, user_id in zip(self.aliases, ask.USERS, strict=True):
            self.model.person(alias).user_id = user_id
        equal(self.run(self.store.ping()), self.now, "ping")
        for form in forms:
            self.login(0, form, None, None, True)

    # --- time ---

    @rule(step=ask.steps)
    def wait(self, step: int) -> None:
        self.clock.advance(ms=step)

    @precondition(_has_sessions)
    @rule(pick=st.integers(0, 3), offset=ask.offsets)
    def wait_for_a_boundary(self, pick: int, offset: int) -> None:
        moments = self.model.moments(self.now)
        if moments:
            moment = moments[pick % len(moments)] + offset
            self.clock.advance(ms=max(moment - self.now, 0))

    # --- login ---

    @rule(
        user=ask.users,
        form=ask.logins,
        compares=st.sampled_from([None, "now", "begun"]),
        replaces=st.one_of(st.none(), ask.picks),
        tells=st.booleans(),
    )
    def login(
        self, user: int, form: dict[str, Any], compares: str | None, replaces: int | None,
        tells: bool,
    ) -> None:  # fmt: skip
        alias = self.aliases[user]
        own = self.model.living(self.now, alias) or list(self.model.lives.values())
        epochs = {"now": self.epoch(alias), "begun": self.begun[alias]}
        if compares is None:
            self.begun[alias] = epochs["now"]
        new = NewSession(
            sid=self.bench.sid(),
            alias=alias,
            user_id=ask.USERS[user],
            secret_hash=self.bench.secret(),
            agent=ask.AGENTS[form["seen"].agent],
            epoch=None if compares is None else epochs[compares],
            replaces=_sid_of(own, replaces),
            **form,
        )
        self.create(new, self.event(user, "session_created") if tells else None)

    @precondition(lambda machine: bool(machine.asked))
    @rule(pick=ask.picks, is_same=st.booleans())
    def login_again(self, pick: int, is_same: bool) -> None:
        new = self.asked[-1 - pick % len(self.asked)]
        secret = new.secret_hash if is_same else self.bench.secret()
        self.create(replace(new, secret_hash=secret))

    @rule(user=ask.users, form=ask.logins, count=st.integers(3, 10))
    def login_as_a_robot(self, user: int, form: dict[str, Any], count: int) -> None:
        for _ in range(count):
            self.login(user, form | {"limit": 2}, None, None, False)

    # --- one session ---

    @precondition(_has_sessions)
    @rule(pick=ask.picks, which=ask.secrets, touch=ask.touches)
    def load(self, pick: int, which: str, touch: int | None) -> None:
        asked = self.triple(pick, which)
        answer = self.run(self.store.load(*asked, touch=touch))
        self.model.loaded(asked, touch, answer, self.now)

    @precondition(_has_sessions)
    @rule(pick=ask.picks, which=ask.secrets, given=ask.proofs, times=st.integers(1, 2))
    def rotate(self, pick: int, which: str, given: dict[str, Any], times: int) -> None:
        asked, new = self.triple(pick, which), self.bench.secret()
        user = self.aliases.index(asked[0])
        given = given | {"event": self.event(user, "session_rotated")}
        for _ in range(times):
            answer = self.run(self.store.rotate(*asked, new, **given))
            self.model.rotated(asked, new, given, answer, self.now)

    @precondition(_has_sessions)
    @rule(pick=ask.picks, which=ask.secrets, touch=ask.touches, loads=st.booleans(), step=ask.steps)
    def rotate_and_prove(
        self, pick: int, which: str, touch: int | None, loads: bool, step: int
    ) -> None:
        self.rotate(pick, "current", {"grace": 60_000}, 1)
        if loads:
            self.load(pick, "current", None)
        self.clock.advance(ms=step)
        self.load(pick, which, touch)
        self.rotate(pick, which, {"authenticated": True, "aal": 2}, 1)

    @rule(user=ask.users)
    def list_sessions(self, user: int) -> None:
        self.settle(self.aliases[user])

    # --- ending ---

    @precondition(_has_sessions)
    @rule(pick=ask.picks, how=st.sampled_from(["only", "keep", "all"]), reason=ask.reasons,
          event=ask.templates, late=st.none() | ask.logins)  # fmt: skip
    def revoke(
        self, pick: int, how: str, reason: EndReason, event: Event | None,
        late: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        life = self.session(pick)
        which = {how: life.security.sid} if how != "all" else {}
        given: dict[str, Any] = {"reason": reason, "event": event, **which}
        before = self.epoch(life.alias)
        answer = self.run(self.store.revoke(life.alias, **given))
        self.model.revoked(life.alias, given, answer, self.now, before)
        if late is not None:  # a login that began before it
            self.begun[life.alias] = before
            self.login(self.aliases.index(life.alias), late, "begun", None, False)

    @precondition(_has_much)
    @rule(user=ask.users, event=ask.templates, form=ask.logins)
    def disable(self, user: int, event: Event | None, form: dict[str, Any]) -> None:
        alias = self.aliases[user]
        given: dict[str, Any] = {"reason": EndReason.DISABLED, "event": event}
        before = self.epoch(alias)
        answer = self.run(self.store.disable(alias, event))
        self.model.revoked(alias, given, answer, self.now, before)
        self.model.person(alias).disabled = True
        self.login(user, form, None, None, True)

    @precondition(_has_disabled)
    @rule()
    def enable(self) -> None:
        for alias, person in self.model.people.items():
            equal(self.run(self.store.enable(alias)), person.disabled, "enable")
            person.disabled = False

    @precondition(_has_much)
    @rule(user=ask.users)
    def forget(self, user: int) -> None:
        alias = self.aliases[user]
        count = self.run(self.store.forget(alias, ask.USERS[user]))
        self.model.forgot(alias, count, self.now)

    @precondition(_has_much)
    @rule()
    def end_everyone(self) -> None:
        before = {alias: self.epoch(alias) for alias in self.aliases}
        # Epochs are times, or sums of them: a store need not tell apart two ends for all in one
        # millisecond.
        ahead = max(before.values()) + 1 - self.now
        self.clock.advance(ms=ahead if 0 < ahead < HOUR else 0)
        event = Event("session_terminated", reason="everyone")
        self.model.ended_everyone(event, self.run(self.store.revoke_everyone(event)), self.now)
        everyone = self.run(self.store.epoch(self.bench.alias()))
        assert everyone > self.model.everyone, "the epoch of those who are not known has to grow"
        self.model.everyone = everyone
        for alias, epoch in before.items():
            told = self.run(self.store.epoch(alias))
            assert told > epoch, "the epoch of every user has to grow"
            self.model.person(alias).epoch = told
            answer = self.run(self.store.sessions(alias))
            self.model.listed_after_everyone(alias, answer, self.now)
        self.clock.advance(3)  # a store may treat a session of the same instant as one before

    @rule(limit=st.sampled_from([1, 2, 1000]))
    def sweep(self, limit: int) -> None:
        self.model.swept(self.run(self.store.sweep(limit)), limit, self.now)

    # --- evidence and app data ---

    @precondition(_has_sessions)
    @rule(
        pick=ask.picks,
        which=ask.secrets,
        texts=st.tuples(st.none() | ask.texts, st.none() | ask.texts),
        late=st.sampled_from([0, 0, 0, 1]),
        seen=st.none() | ask.seens(),
        flags=st.tuples(ask.flags, ask.flags),
        stands=st.none() | ask.flags,
    )
    def remember(
        self, pick: int, which: str, texts: tuple[bytes | None, bytes | None], late: int,
        seen: Seen | None, flags: tuple[int, int], stands: int | None,
    ) -> None:  # fmt: skip
        asked = self.triple(pick, which)
        stored = self.run(self.store.recall(*asked[:2]))
        self.model.recalled(*asked[:2], stored, self.now)
        memories = [
            None if text is None else Memory(text, old.version + late)
            for text, old in zip(texts, stored, strict=True)
        ]
        user = self.aliases.index(asked[0])
        given: dict[str, Any] = {
            "memory": memories[0],
            "user_memory": memories[1],
            "seen": seen and replace(seen, last_seen=self.now - self.bench.mint(1)[0]),
            "agent": ask.AGENTS[seen.agent] if seen else "",
            "flags": stands,
            "set_flags": flags[0],
            "clear_flags": flags[1],
            "events": [self.event(user) for _ in range(late)],
        }
        answer = self.run(self.store.remember(*asked, **given))
        self.model.remembered(asked, given, answer, self.now)

    @precondition(_has_sessions)
    @rule(pick=ask.picks, name=ask.fields, value=ask.values)
    def set_data(self, pick: int, name: str, value: bytes) -> None:
        ids = self.triple(pick, "")[:2]
        data = self.model.data(*ids, self.now)
        done = self.run(self.store.data_set(*ids, {name: value}))
        equal(done, data is not None, "data_set")
        if data is not None:
            data[name] = value

    @precondition(_has_sessions)
    @rule(pick=ask.picks, name=ask.fields, by=st.sampled_from([1, -1, 2**40]))
    def change_data(self, pick: int, name: str, by: int) -> None:
        self.set_data(pick, "b", b"1")
        ids = self.triple(pick, "")[:2]
        data = self.model.data(*ids, self.now)
        is_number = data is not None and data.get(name, b"0").lstrip(b"-").isdigit()
        if data is None or (is_number and int(data.get(name, b"0")) + by >= -(2**63)):
            total = None if data is None else int(data.get(name, b"0")) + by
            equal(self.run(self.store.data_incr(*ids, name, by)), total, "data_incr")
            if data is not None:
                data[name] = b"%d" % (total or 0)
        if data is not None:
            equal(self.run(self.store.data_get(*ids)), data, "data_get")
            count = self.run(self.store.data_delete(*ids, [name, "not there"]))
            equal(count, int(data.pop(name, None) is not None), "data_delete")

    # --- counters and events ---

    @rule(user=ask.users, name=ask.fields, by=st.sampled_from([1, 5]), window=ask.windows)
    def count(self, user: int, name: str, by: int, window: int) -> None:
        names = self.model.names("failed", window, self.now)
        names[name] = names.get(name, 0) + by
        count = self.run(self.store.count("failed", name, by=by, window=window))
        equal(count, names[name], "count")
        equal(self.run(self.store.counts("failed", window=window)), names, "counts")
        event = self.event(user, "login_failed")
        self.run(self.store.append(event))
        self.model.write(event, self.now)

    @rule(user=st.none() | ask.users, names=st.none() | st.sampled_from(ask.NAMES),
          since=st.sampled_from([None, 0, 60_000]), until=st.sampled_from([None, 0, 60_000]),
          limit=ask.pages)  # fmt: skip
    def read_events(
        self, user: int | None, names: str | None, since: int | None, until: int | None, limit: int
    ) -> None:
        query = EventQuery(
            user_id=None if user is None else ask.USERS[user],
            names=None if names is None else [names],
            since=None if since is None else self.now - since,
            until=None if until is None else self.now - until,
            limit=limit,
        )
        self.events_of(query)

    @rule(limit=ask.pages)
    def follow(self, limit: int) -> None:
        self.follow_on(limit)
        for event in self.events_of(EventQuery(limit=1000)):
            equal(self.followed.get(event.id), event, "what the tail told of an event")

    @rule(late=st.sampled_from([0, 0, 1]))
    def put(self, late: int) -> None:
        equal(self.run(self.store.shelf("note")), self.note, "a shelf")
        data, version = self.bench.mint(3), self.note.version
        done = self.run(self.store.put("note", Memory(data, version + late)))
        equal(done, not late, "put")
        self.note = Memory(data, version + 1) if done else self.note

    # --- what is found ---

    @rule(user=st.none() | ask.users, which=ask.filters, ago=st.none() | ask.steps, limit=ask.pages)
    def search(self, user: int | None, which: dict[str, Any], ago: int | None, limit: int) -> None:
        alias = None if user is None else self.aliases[user]
        before = None if ago is None else self.now - ago
        query = Query(alias, seen_before=before, limit=limit, **which)
        self.search_for(query)
        self.search_for(replace(query, seen_before=None, created_before=before))

    @rule()
    def count_the_living(self) -> None:
        living, over = len(self.model.living(self.now)), len(self.model.over(self.now))
        count = self.run(self.store.living())
        assert living <= count <= living + over, f"{count} counted, {living} live, {over} are over"

    # --- what always holds ---

    @invariant()
    def secrets_are_worth_what_they_are(self) -> None:
        """Ask by a `remember` of nothing, which notices and confirms nothing."""
        for life in list(self.model.lives.values())[-_PROBED:]:
            for secret in {*life.secrets[-3:], life.secrets[0]}:
                ids = (life.alias, life.security.sid, secret)
                answer = self.run(self.store.remember(*ids))
                valid = life.accepts(secret, self.now)
                equal((answer.done, answer.gone), (valid, not valid), "is the secret valid")
        self.is_sound = True

    @invariant()
    def search_finds_who_lives(self) -> None:
        for alias in self.aliases:  # a search of all costs a server hundreds of times as much
            self.search_for(Query(alias, limit=1000))
        self.is_sound = True
