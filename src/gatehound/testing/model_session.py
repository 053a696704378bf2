"""What a right store would say: the contract once more, as plain dicts.

The oracle of gatehound.testing.machine. It shares data classes with the stores and no logic:
what is a rule there is written here again, as the contract words it. Every method is told what
a store was asked and what it answered, raises AssertionError where the contract does not allow
that, and follows the answer where the contract leaves a choice. Times are milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    Answer,
    Finished,
    Listed,
    Memory,
    NewSession,
    Remembered,
    Revoked,
    Standing,
)
from gatehound.stores.record import STANDING, Record, Security, Seen, Tombstone
from gatehound.testing.bench import DAY, HOUR, MINUTE, equal

# name, user id, public id, reason, address, notify, detail, at
Told: TypeAlias = tuple[str, str | None, str | None, str, str, str, tuple[Any, ...], int]
VALID: Final = (Standing.LIVE, Standing.GRACE)
_TIME_IS_OVER: Final = (EndReason.IDLE, EndReason.ABSOLUTE)


@dataclass
class Life:
    """One session from its login on: what it is, its secrets, and how it ended."""

    alias: bytes
    security: Security
    seen: Seen
    secrets: list[bytes]
    agent: str
    memory: Memory
    data: dict[str, bytes] = field(default_factory=dict)
    before: bytes | None = None
    grace: int | None = None
    confirmed: int = 0
    ended: tuple[frozenset[EndReason], int] | None = None
    kept_until: int = 0

    def why_over(self, now: int) -> EndReason | None:
        """Say why its time is over, whether or not anybody noticed."""
        if now >= self.security.expires:
            return EndReason.ABSOLUTE
        return EndReason.IDLE if now >= self.seen.last_seen + self.security.idle else None

    def lives(self, now: int) -> bool:
        return self.ended is None and self.why_over(now) is None

    def worth(self, secret: bytes, now: int) -> tuple[Standing, str]:
        """Say what a secret is worth while the session lives."""
        if secret == self.security.secret_hash:
            return Standing.LIVE, ""
        if secret != self.before:
            return Standing.REUSED, "stale"
        since = now - self.security.rotated
        if self.grace is None:
            return (Standing.SUPERSEDED, "") if since < MINUTE else (Standing.REUSED, "recent")
        if self.confirmed == 0:
            return (Standing.GRACE, "") if since < 10 * MINUTE else (Standing.REUSED, "orphan")
        is_graced = now < self.confirmed + self.grace
        return (Standing.GRACE, "") if is_graced else (Standing.REUSED, "recent")

    def accepts(self, secret: bytes, now: int) -> bool:
        return self.lives(now) and self.worth(secret, now)[0] in VALID

    def last_moment(self, now: int) -> int:
        """Until when it lived: at most now."""
        over = min(self.security.expires, self.seen.last_seen + self.security.idle, now)
        return over if self.ended is None else self.ended[1]


@dataclass
class Person:
    """One user beside the sessions."""

    user_id: str = ""
    roles: tuple[str, ...] = ()
    disabled: bool = False
    epoch: int = 0
    held: int = 0  # the last moment from which the hour of the epoch is counted
    memory: Memory = field(default=Memory())
    memory_at: int = 0


class Model:
    """Every user, session and event that a store was told of."""

    def __init__(self) -> None:
        self.people: dict[bytes, Person] = {}
        self.lives: dict[bytes, Life] = {}
        self.written: list[Told] = []
        self.maybe: list[Told] = []  # events that the contract allows and does not ask for
        self.everyone = 0

    # --- what there is ---

    def person(self, alias: bytes) -> Person:
        return self.people.setdefault(alias, Person())

    def of(self, alias: bytes) -> list[Life]:
        return [life for life in self.lives.values() if life.alias == alias]

    def living(self, now: int, alias: bytes | None = None) -> list[Life]:
        """Return those who live, oldest first."""
        found = [life for life in self.lives.values() if life.lives(now)]
        found = [life for life in found if alias in (None, life.alias)]
        return sorted(found, key=lambda life: (life.security.created, life.security.sid))

    def over(self, now: int, alias: bytes | None = None) -> list[Life]:
        """Return those whose time is over while nobody noticed."""
        found = [life for life in self.lives.values() if life.ended is None]
        return [life for life in found if life.why_over(now) and alias in (None, life.alias)]

    def record(self, life: Life) -> Record:
        person = self.person(life.alias)
        return Record(life.alias, person.user_id, person.roles, life.security, life.seen)

    def stone(self, life: Life, now: int) -> tuple[bool, bool]:
        """Say whether the tombstone of an ended session has to be there, and whether it may."""
        assert life.ended is not None, "only an ended session has a tombstone"
        others = [one for one in self.of(life.alias) if one.ended and one is not life]
        at = life.ended[1]
        before_it = sum(one.ended is not None and one.ended[1] >= at for one in others)
        newer = [one for one in others if one.ended and one.ended[1] > at and now < one.kept_until]
        must = before_it < 8 and now < life.kept_until
        return must, len(newer) < 8 and now < life.kept_until + 25 * HOUR

    # --- what happens ---

    def write(self, event: Event | None, now: int) -> None:
        if event is not None:
            self.written.append(told_of(event, now))

    def end(
        self, life: Life, reasons: Iterable[EndReason], now: int, event: Event | None = None
    ) -> None:
        """End a session; `event` is a template."""
        if event is not None:
            user_id = self.person(life.alias).user_id
            public_id = life.security.sid.hex()
            self.write(replace(event, user_id=user_id, public_id=public_id), now)
        left = life.security.expires - now
        life.kept_until = now + min(max(left, HOUR), 14 * DAY)
        life.ended = (frozenset(reasons), now)
        life.memory, life.data = Memory(), {}

    def notice(self, life: Life, now: int) -> EndReason:
        """End a session whose time is over, which is told once."""
        reason = life.why_over(now)
        assert reason is not None, "only what is over can be noticed"
        self.end(life, [reason], now, Event("session_expired", reason=reason.value))
        return reason

    def begin(self, new: NewSession, now: int) -> Life:
        person = self.person(new.alias)
        person.user_id, person.roles = new.user_id, new.roles
        security = Security(
            sid=new.sid,
            secret_hash=new.secret_hash,
            created=now,
            authenticated=now,
            expires=now + new.absolute,
            idle=new.idle,
            flags=new.flags,
            aal=new.aal,
            methods=new.methods,
            rotated=now,
        )
        # Which version the first evidence gets is the store's choice: -1 until it is told.
        memory = Memory(new.memory, -1) if new.memory else Memory()
        seen = replace(new.seen, last_seen=now)
        life = Life(new.alias, security, seen, [new.secret_hash], new.agent, memory)
        self.lives.pop(new.sid, None)  # so that the newest is the last
        self.lives[new.sid] = life
        return life

    # --- what a store says of one session ---

    def loaded(
        self, asked: tuple[bytes, bytes, bytes], touch: int | None, answer: Answer, now: int
    ) -> None:
        """Judge an answer of `load`, or of a `rotate` that changed nothing (`touch` None)."""
        alias, sid, secret = asked
        life = self.lives.get(sid)
        if life is None or life.alias != alias:
            equal(answer, Answer(Standing.UNKNOWN, now), "load of an unknown session")
        elif life.ended is not None:
            self._is_gone(life, answer, now)
        elif life.why_over(now):
            record, reason = self.record(life), self.notice(life, now)
            stone = Tombstone(reason, now)
            expected = Answer(Standing.ENDED, now, record, stone, expired=True)
            equal(answer, expected, "load of a session whose time is over")
        else:
            equal(answer, self._worth(life, secret, touch, now), "load of a living session")

    def _worth(self, life: Life, secret: bytes, touch: int | None, now: int) -> Answer:
        standing, reuse = life.worth(secret, now)
        if standing is Standing.LIVE and life.confirmed == 0:
            life.confirmed = now
        last, was_seen = life.seen.last_seen, 0
        if touch is not None and standing in VALID and now - last >= touch and now > last:
            life.seen, was_seen = replace(life.seen, last_seen=now), last
        return Answer(standing, now, self.record(life), reuse=reuse, was_seen=was_seen)

    def _is_gone(self, life: Life, answer: Answer, now: int) -> None:
        assert life.ended is not None, "an ended session says why"
        must, may = self.stone(life, now)
        if answer.standing is Standing.ENDED and may:
            stone = answer.ended
            assert stone is not None, "ENDED has to carry the tombstone"
            assert stone.reason in life.ended[0], f"ended for {stone.reason}, not {life.ended[0]}"
            equal(answer, Answer(Standing.ENDED, now, None, Tombstone(stone.reason, life.ended[1])),
                  "load of an ended session")  # fmt: skip
        else:
            equal(answer, Answer(Standing.UNKNOWN, now), "load of a session ended long ago")
            assert not must, "the tombstone of an ended session is gone too early"

    def rotated(
        self, asked: tuple[bytes, bytes, bytes], new: bytes, given: dict[str, Any],
        answer: Answer, now: int,
    ) -> None:  # fmt: skip
        """Judge a rotation; `given` are its keywords."""
        life = self.lives.get(asked[1])
        if life is None or life.alias != asked[0] or not life.lives(now):
            return self.loaded(asked, None, answer, now)
        if life.security.secret_hash != new:
            standing = life.worth(asked[2], now)[0]
            is_proof = given.get("authenticated") and given.get("grace") is None
            if standing is not Standing.LIVE and not (is_proof and standing is Standing.GRACE):
                return self.loaded(asked, None, answer, now)
            self._replace(life, asked[2], new, given, now)
        return equal(answer, Answer(Standing.LIVE, now, self.record(life)), "rotate")

    def _replace(self, life: Life, old: bytes, new: bytes, given: dict[str, Any], now: int) -> None:
        security = replace(life.security, secret_hash=new, rotated=now)
        if given.get("authenticated"):
            security = replace(security, authenticated=now)
        if given.get("absolute") is not None:
            security = replace(security, expires=now + given["absolute"])
        for name in ("methods", "aal"):
            if given.get(name) is not None:
                security = replace(security, **{name: given[name]})
        flags = security.flags & ~given.get("clear_flags", 0)
        life.security = replace(security, flags=flags)
        life.before, life.grace, life.confirmed = old, given.get("grace"), 0
        life.secrets.append(new)
        self.write(given.get("event"), now)

    # --- what a store says that it ended ---

    def listed(self, alias: bytes, answer: Listed, now: int, *, is_first: bool = True) -> None:
        """Judge a list of sessions; others at this instant may have noticed what is over."""
        due, found = self.over(now, alias), {done.record.sid for done in answer.finished}
        told = [life for life in due if is_first or life.security.sid in found]
        self.noticed(answer.finished, told, now)
        for life in due:
            if life not in told:
                self.notice(life, now)
        equal(list(answer.records), [*map(self.record, self.living(now, alias))], "sessions")
        equal(answer.now, now, "now")

    def noticed(self, finished: Iterable[Finished], due: Iterable[Life], now: int) -> None:
        """Judge what a call ended because its time was over: all of `due`, each once."""
        expected = []
        for life in due:
            record = self.record(life)
            expected.append(Finished(record, self.notice(life, now), now))
        finished_as(finished, expected, "what was noticed to be over")

    def revoked(
        self, alias: bytes, given: dict[str, Any], answer: Revoked, now: int, before: int
    ) -> None:
        """Judge revoke and disable; `before` is the epoch before it."""
        only, keep, reason = given.get("only"), given.get("keep"), given["reason"]
        named = [life for life in self.of(alias) if only in (None, life.security.sid)]
        named = [life for life in named if life.security.sid != keep]
        told = {done.record.sid: done.reason for done in answer.finished}
        expected = []
        for life in [*self.over(now, alias), *(life for life in named if life.lives(now))]:
            over, record = life.why_over(now), self.record(life)
            ended_for = told.get(life.security.sid, None if over else reason)
            if ended_for is None:
                continue  # it is over, and stays to be noticed
            if over and ended_for is over:
                self.notice(life, now)
            else:
                assert life in named, "a session that was over ended as one that was named"
                self.end(life, [reason], now, given.get("event"))
                ended_for = reason
            expected.append(Finished(record, ended_for, now))
        finished_as(answer.finished, expected, "what revoke ended")
        person = self.person(alias)
        if only is None:
            assert answer.epoch > before, f"end-all left the epoch at {answer.epoch}"
            person.epoch, person.held = answer.epoch, now
        equal((answer.epoch, answer.now), (max(person.epoch, before), now), "epoch, now")

    def told_epoch(self, alias: bytes, answer: int, now: int) -> None:
        """Judge what `epoch` says: it may be dropped an hour after the last session."""
        person = self.person(alias)
        held = max([person.held, *(life.last_moment(now) for life in self.of(alias))])
        if now >= held + HOUR and answer == self.everyone:
            person.epoch = 0
        equal(answer, max(person.epoch, self.everyone), "epoch")

    # --- evidence ---

    def recalled(self, alias: bytes, sid: bytes, answer: tuple[Memory, Memory], now: int) -> None:
        """Judge both memories; learn the version that a store gave to the first evidence."""
        life, person = self.lives.get(sid), self.person(alias)
        stored = Memory()
        if life is not None and life.alias == alias and life.ended is None:
            if life.memory.version < 0 and answer[0].version > 0:
                life.memory = replace(life.memory, version=answer[0].version)
            stored = life.memory
            if life.why_over(now) and answer[0] == Memory():
                stored = Memory()
        if now >= person.memory_at + 90 * DAY and answer[1] == Memory():
            person.memory = Memory()
        equal(answer, (stored, person.memory), "what is remembered")

    def remembered(
        self, asked: tuple[bytes, bytes, bytes], given: dict[str, Any], answer: Remembered,
        now: int,
    ) -> None:  # fmt: skip
        """Judge a write of evidence, after `recalled` was asked at the same time."""
        alias, sid, secret = asked
        life, person = self.lives.get(sid), self.person(alias)
        if life is None or life.alias != alias or not life.accepts(secret, now):
            equal((answer.done, answer.gone, answer.now), (False, True, now), "remember")
            return
        pairs = [(given.get("memory"), life.memory), (given.get("user_memory"), person.memory)]
        present, stands = life.security.flags, given.get("flags")
        is_other = stands is not None and (stands ^ present) & STANDING
        if is_other or any(n is not None and n.version != old.version for n, old in pairs):
            expected = Remembered(False, now, False, life.memory, person.memory, present)
            equal(answer, expected, "remember over what another wrote")
            return
        equal((answer.done, answer.gone, answer.now), (True, False, now), "remember")
        if (memory := given.get("memory")) is not None:
            life.memory = Memory(memory.data, memory.version + 1)
        if (memory := given.get("user_memory")) is not None:
            person.memory, person.memory_at = Memory(memory.data, memory.version + 1), now
        if (seen := given.get("seen")) is not None:
            last = max(seen.last_seen, life.seen.last_seen)
            life.seen, life.agent = replace(seen, last_seen=last), given.get("agent", "")
        flags = life.security.flags | given.get("set_flags", 0)
        flags &= ~given.get("clear_flags", 0)
        life.security = replace(life.security, flags=flags)
        for event in given.get("events", ()):
            self.write(event, now)


def told_of(event: Event, at: int) -> Told:
    """What is compared of an event: all but its id."""
    who = (event.name, event.user_id, event.public_id, event.reason)
    return (*who, event.address, event.notify, tuple(sorted(event.detail.items())), at)


def finished_as(finished: Iterable[Finished], expected: Iterable[Finished], what: str) -> None:
    """Compare in any order, and without roles: a login ends others in the step that sets them."""
    found, due = (
        Counter(replace(done, record=replace(done.record, roles=())) for done in some)
        for some in (finished, expected)
    )
    assert found == due, f"{what}: missing {[*(due - found)]}, too many {[*(found - due)]}"
