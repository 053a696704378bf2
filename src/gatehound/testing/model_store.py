"""What a right store would say of logins, users, app data, searches, events and counters.

The second half of the oracle; see `model_session` for what it is and what it must not share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    Created,
    EventQuery,
    Finished,
    Listed,
    Memory,
    NewSession,
    Query,
    Refused,
)
from gatehound.stores.record import FLAGGED, Record
from gatehound.stores.rule import event_for_all
from gatehound.testing.bench import DAY, HOUR, equal
from gatehound.testing.model_session import Life, Model, Told, finished_as, told_of


class StoreModel(Model):
    """The model of a whole store."""

    def __init__(self) -> None:
        super().__init__()
        self.counters: dict[tuple[str, int, int], dict[str, int]] = {}
        self.gone: set[bytes] = set()  # names of sessions that ended: one may stay refused

    # --- login ---

    def created(
        self, new: NewSession, event: Event | None, answer: Created | Refused, now: int, epoch: int
    ) -> None:
        """Judge a login; `epoch` is what `epoch()` says now. After it `sessions` is asked:
        whether a refused login notices what is over is the store's choice."""
        equal(answer.now, now, "now")
        there = self.lives.get(new.sid)
        if there is not None and there.lives(now) and self._is_repeated(there, new):
            return equal(answer, Created(self.record(there), now), "create, repeated")
        reasons = self._reasons(new, now, epoch)
        if isinstance(answer, Refused):
            known = reasons | ({"sid"} if new.sid in self.gone else set())
            assert answer.reason in known, f"refused for {answer.reason!r}, not one of {known}"
            return None
        assert not reasons, f"a login that had to be refused for {reasons}"
        self._make_room(new, answer, now)
        life = self.begin(new, now)
        self.write(event, now)
        return equal(answer.record, self.record(life), "the record of a login")

    def _is_repeated(self, there: Life, new: NewSession) -> bool:
        return there.alias == new.alias and there.security.secret_hash == new.secret_hash

    def _reasons(self, new: NewSession, now: int, epoch: int) -> set[str]:
        there = self.lives.get(new.sid)
        is_taken = there is not None and (there.ended is None or self.stone(there, now)[0])
        staying = [
            life for life in self.living(now, new.alias) if life.security.sid != new.replaces
        ]
        is_full = new.limit is not None and len(staying) >= new.limit
        reasons = {
            "disabled": self.person(new.alias).disabled,
            "epoch": new.epoch is not None and new.epoch != epoch,
            "sid": is_taken,
            "limit": is_full and new.on_limit == "deny",
        }
        return {reason for reason, holds in reasons.items() if holds}

    def _make_room(self, new: NewSession, answer: Created, now: int) -> None:
        due: list[tuple[Life, EndReason]] = []
        living = self.living(now, new.alias)
        staying = [life for life in living if life.security.sid != new.replaces]
        pair = new.seen.pairs[0]
        same = [life for life in staying if pair and life.seen.pairs[0] == pair]
        others = [life for life in staying if life not in same]
        count = 0 if new.limit is None else max(len(staying) + 1 - new.limit, 0)
        due += [(life, EndReason.LIMIT) for life in [*same, *others][:count]]
        due += [(life, EndReason.REPLACED) for life in living if life not in staying]
        names = {EndReason.LIMIT: "session_terminated_limit"}
        expected = []
        for life in self.over(now, new.alias):
            record = self.record(life)
            expected.append(Finished(record, self.notice(life, now), now))
        for life, reason in due:
            expected.append(Finished(self.record(life), reason, now))
            event = Event(names.get(reason, "session_terminated"), reason=reason.value)
            self.end(life, [reason], now, event)
        own = [done for done in answer.finished if done.record.alias == new.alias]
        finished_as(own, expected, "what a login ended")
        self._noticed_others(new.alias, answer, now)

    def _noticed_others(self, alias: bytes, answer: Created, now: int) -> None:
        """Judge what a login ended of other users, now and then: what was over, and no more."""
        found = {done.record.sid for done in answer.finished if done.record.alias != alias}
        due = [life for life in self.over(now) if life.security.sid in found]
        others = [done for done in answer.finished if done.record.sid in found]
        self.noticed(others, [life for life in due if life.alias != alias], now)

    def end(
        self, life: Life, reasons: Iterable[EndReason], now: int, event: Event | None = None
    ) -> None:
        super().end(life, reasons, now, event)
        self.gone.add(life.security.sid)

    # --- users ---

    def ended_everyone(self, event: Event, count: int, now: int) -> None:
        """Judge revoke_everyone; `listed_after_everyone` follows for each user."""
        living, over = self.living(now), self.over(now)
        assert len(living) <= count <= len(living) + len(over), f"{count} of {len(living)} ended"
        for life in living:
            self.end(life, [EndReason.EVERYONE], now)
        self.write(event_for_all(event, count), now)

    def listed_after_everyone(self, alias: bytes, answer: Listed, now: int) -> None:
        """Judge a list. What was over may have ended with all, or be noticed now."""
        found = {done.record.sid for done in answer.finished}
        for life in self.over(now, alias):
            if life.security.sid not in found:
                reason, told_before = life.why_over(now), len(self.written)
                self.notice(life, now)
                self.maybe += self.written[told_before:]
                del self.written[told_before:]
                life.ended = (frozenset({EndReason.EVERYONE, reason or EndReason.IDLE}), now)
        self.listed(alias, answer, now)

    def forgot(self, alias: bytes, count: int, now: int) -> None:
        """Judge forget: what was over counts as gone."""
        equal(count, len(self.living(now, alias)), "how many living sessions were forgotten")
        person = self.person(alias)
        person.held = max([person.held, *(life.last_moment(now) for life in self.of(alias))])
        for life in self.of(alias):
            del self.lives[life.security.sid]
            self.gone.discard(life.security.sid)
        self.written = [told for told in self.written if told[1] != person.user_id]
        self.maybe = [told for told in self.maybe if told[1] != person.user_id]
        person.memory, person.roles = Memory(), ()

    def swept(self, finished: Collection[Finished], limit: int, now: int) -> None:
        """Judge a sweep: at most `limit`, and all of them where it is fewer."""
        assert len(finished) <= limit, f"a sweep of at most {limit} ended {len(finished)}"
        found = {done.record.sid for done in finished}
        due = self.over(now)
        assert len(finished) == min(limit, len(due)), f"{len(finished)} of {len(due)} were ended"
        self.noticed(finished, [life for life in due if life.security.sid in found], now)

    # --- app data ---

    def data(self, alias: bytes, sid: bytes, now: int) -> dict[str, bytes] | None:
        """Return the fields of a session, None of a dead one."""
        life = self.lives.get(sid)
        return life.data if life and life.alias == alias and life.lives(now) else None

    # --- what is found ---

    def search(self, query: Query, now: int) -> list[Record]:
        """Return what a search finds on all pages."""
        newest_first = reversed(self.living(now, query.alias))
        return [self.record(life) for life in newest_first if _matches(life, query)]

    def saw_events(self, found: Iterable[Event], query: EventQuery, now: int) -> None:
        """Judge what all pages of events say; those over 90 days may be gone."""
        kept = now - 90 * DAY
        must = [told for told in self.written if told[7] >= kept and _is_meant(told, query)]
        may = [told for told in [*self.maybe, *self.written] if _is_meant(told, query)]
        told = [told_of(event, round(event.at * 1000)) for event in found]
        assert [one[7] for one in told] == sorted((one[7] for one in told), reverse=True), (
            "events are not told newest first"
        )
        missing = Counter(must) - Counter(told)
        extra = Counter(told) - Counter(may)
        assert not missing, f"events are missing: {[*missing]}"
        assert not extra, f"events that nothing explains: {[*extra]}"

    def exported(self, alias: bytes, told: Mapping[str, Any], now: int) -> None:
        """Judge an export. A session that is over while nobody noticed may still be in it."""
        exported = {record.sid: record for record in told["sessions"]}
        equal(len(told["sessions"]), len(exported), "exported sessions, each once")
        over = [life for life in self.over(now, alias) if life.security.sid in exported]
        living = [*self.living(now, alias), *over]
        equal(exported, {life.security.sid: self.record(life) for life in living}, "exported")
        for life in living:
            if life.agent:
                known = told["agents"].get(life.seen.agent)
                equal(known, life.agent, "the agent of a living session")
            name = life.security.sid.hex()
            equal(told["memory"].get(name, b""), life.memory.data, "exported evidence")
            equal(told["data"].get(name, {}), life.data, "exported app data")
        names = {life.security.sid.hex() for life in living}
        stray = (told["memory"].keys() | told["data"].keys()) - names
        assert not stray, f"exported evidence or data of dead sessions: {stray}"
        self._exported_ends(alias, told["ended"], now)
        person = self.person(alias)
        equal(told["disabled"], person.disabled, "disabled")
        if now < person.memory_at + 90 * DAY:
            equal(told["user_memory"], person.memory.data, "exported evidence of the user")
        self.saw_events(told["events"], EventQuery(user_id=person.user_id), now)

    def _exported_ends(self, alias: bytes, told: Mapping[str, Any], now: int) -> None:
        left = dict(told)
        for life in self.of(alias):
            stone = left.pop(life.security.sid.hex(), None)
            if life.ended is None:
                assert stone is None, "a tombstone of a session that did not end"
                continue
            must, may = self.stone(life, now)
            assert stone is not None or not must, "a tombstone is missing in the export"
            if stone is not None:
                assert may, "a tombstone that should be gone is in the export"
                fits = stone.reason in life.ended[0] and stone.at == life.ended[1]
                assert fits, f"exported tombstone {stone}, ended {life.ended}"
        assert not left, f"tombstones of nobody: {left}"

    # --- counters ---

    def names(self, kind: str, window: int, now: int) -> dict[str, int]:
        """Return the counters of the present window, to read and to change."""
        return self.counters.setdefault((kind, window, now // window), {})

    # --- moments at which something changes ---

    def moments(self, now: int) -> list[int]:
        """Return the instants to come at which an answer changes, in order."""
        found: set[int] = set()
        for life in self.lives.values():
            if life.ended is None:
                found |= {life.security.expires, life.seen.last_seen + life.security.idle}
                rotated = life.security.rotated
                found |= {rotated + 60_000, rotated + 600_000, life.confirmed + (life.grace or 0)}
            else:
                found |= {life.kept_until, life.ended[1] + HOUR}
        return sorted(moment for moment in found if moment > now)


def _matches(life: Life, query: Query) -> bool:
    seen, flags = life.seen, life.security.flags
    if query.network is not None:
        address, length = query.network
        if len(seen.address) != len(address):
            return False
        if ip_address(seen.address) not in ip_network((address, length), strict=False):
            return False
    before, seen_before = query.created_before, query.seen_before
    return not (
        (query.flagged is not None and query.flagged != bool(flags & FLAGGED))
        or (query.country is not None and query.country != seen.country)
        or (before is not None and life.security.created >= before)
        or (seen_before is not None and seen.last_seen >= seen_before)
    )


def _is_meant(told: Told, query: EventQuery) -> bool:
    wanted = ((query.user_id, told[1]), (query.public_id, told[2]))
    if any(want is not None and want != have for want, have in wanted):
        return False
    if query.names is not None and told[0] not in query.names:
        return False
    if query.until is not None and told[7] >= query.until:
        return False
    return query.since is None or told[7] >= query.since
