"""The part of the guard that judges: when detectors look, and what is written of it.

What is new is found in `settling`. A new (network, agent) pair is judged whatever the
class of the request is, and written with its evidence, flags and events in one
compare-and-swap; who loses the race judges again on what the winner wrote.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from gatehound.acting import ATTEMPTS, NOWHERE
from gatehound.admin import DAY
from gatehound.detection import Judgement, Observation, describe
from gatehound.detection.detectors.base import NO_SLOT, NOTHING_KNOWN
from gatehound.detection.device import MAX_AGENT, claimed, unmasked
from gatehound.errors import StoreError
from gatehound.listing import present_on
from gatehound.model import Action, Detail, Device, Event, Network, Notify, Session, Signal, Verdict
from gatehound.passage import Passage
from gatehound.settling import Settling
from gatehound.standing import flags_of, is_quarantined, with_flags
from gatehound.stores.answer import Memory, Remembered
from gatehound.stores.record import FLAGGED, NOTIFIED, STEP_UP, WATCHED, Record, Seen
from gatehound.stores.rule import clip_text

# Which finding of which built-in detector people know by an event of its own.
EVENT_OF_DETECTOR: Final = {
    "ip_shift": "session_ip_shift",
    "network_change": "session_ip_shift",
    "geo_anomaly": "session_geo_anomaly",
}

# In Python 3.11 a member of an enum takes longer to look up than a function to call.
_STEP_UP: Final = Action.STEP_UP
# Of at most 512 characters each: the same agents come again and again.
_clipped: Final = lru_cache(2048)(clip_text)


class _Change(msgspec.Struct, frozen=True, gc=False):
    """What a judgement does to a record, and what is told of it."""

    record: Record
    before: int
    agent: str
    is_seen_new: bool
    events: tuple[Event, ...]


class Judging(Settling):
    """Settling, and judging a request that belongs to a session."""

    async def judge_or_note(self, passage: Passage, record: Record) -> None:
        """Judge; where evidence cannot be written, the session that was loaded still stands."""
        try:
            await self.judge(passage, record)
        except StoreError as error:
            self.note_outage(error)

    async def judge(self, passage: Passage, record: Record) -> None:
        """Weigh the evidence and write what follows from it, in one compare-and-swap."""
        detection = self.detection
        if not detection.enabled:
            return
        pair, network = self._located(passage, record)
        if detection.population.is_due:
            await self.tell_crowd(passage)
        wants = self._wants_siblings(passage, record, network)
        siblings = await self._siblings(record) if wants else ()
        seen = self._observed(passage, record, network, pair, siblings)
        if passage.is_new_login:
            seen = await self._amid(seen, record)
        memory, user_memory = await self.store.recall(record.alias, record.security.sid)
        attempts = ATTEMPTS
        while True:
            judgement = await detection.judge(
                seen,
                memory=memory.data,
                user_memory=user_memory.data,
                flagged=record.security.flags & FLAGGED != 0,
            )
            judgement = self._reachable(judgement, record)
            passage.verdict = judgement.verdict
            change = self._change(passage, record, judgement, network, pair)
            attempts -= 1
            try:
                result = await self._write(record, judgement, change, memory, user_memory)
            except StoreError:
                # A full store takes no evidence, and still ends: who fills it gains nothing.
                await self.end_if_due(passage, record, judgement)
                raise
            if result.done or result.gone or not attempts:
                break
            memory, user_memory = result.memory, result.user_memory
            record = with_flags(record, result.flags)
            seen = replace(seen, session=self.present(record))
        if result.gone:  # ended, or given another secret, by somebody else in this very moment
            await self._gone(passage, record)
            return
        if result.done:
            passage.record = change.record
            for event in change.events:
                self.announce(event)
        if judgement.fresh or judgement.verdict.action >= _STEP_UP:
            await self.act(passage, record, judgement)
        if judgement.failures or judgement.reached:  # last: no count that fails may undo an end
            await self._tell_more(passage, judgement)

    async def look(self, passage: Passage, *, judge: bool = False) -> None:
        """Load the session of this request's cookie, as if nothing was known."""
        raise NotImplementedError

    async def _gone(self, passage: Passage, record: Record) -> None:
        """Find out why a session that was admitted is not there, so that the app is told."""
        self.doubt(record.sid)
        passage.record, passage.verdict = None, Verdict()
        if not passage.is_new_login:
            await self.look(passage)
            passage.record = None  # what is found alive now was not judged

    def _located(self, passage: Passage, record: Record) -> tuple[bytes, Network]:
        """Return what stands for the context of a request, and its network; note who is there."""
        packed, population = passage.client_ip.packed, self.detection.population
        # While addresses are those of a proxy they are nobody's own.
        passage.agent_digest, pair = self.detection.contexts(
            None if population.crowd else packed, passage.request.agent[:MAX_AGENT]
        )
        network = self.networks.lookup_packed(packed) if packed else NOWHERE
        population.note(record.alias, packed, network.prefix, passage.now / 1000)
        return pair, network if population.crowd is None else NOWHERE

    def _wants_siblings(self, passage: Passage, record: Record, network: Network) -> bool:
        """True where a detector wants the user's other living sessions.

        The built-in one compares countries: where this is the session's own nothing is new.
        """
        detection = self.detection
        if "siblings" not in detection.needs:
            return False
        is_home = network.country == record.seen.country and not passage.is_new_login
        return detection.wants_all_siblings or not is_home

    async def _siblings(self, record: Record) -> tuple[Session, ...]:
        listed = await self.store.sessions(record.alias)
        if listed.finished:
            self.announce_ends(listed.finished)
        sid = record.security.sid
        return tuple([self.present(r) for r in listed.records if r.security.sid != sid])

    def _observed(
        self,
        passage: Passage,
        record: Record,
        network: Network,
        pair: bytes,
        siblings: tuple[Session, ...],
    ) -> Observation:
        """What detectors may look at, but for what is remembered."""
        is_login, seen, detection = passage.is_new_login, record.seen, self.detection
        sid, now, lookup = record.security.sid, passage.now, self.networks.lookup_packed
        heard, alternations, places = detection.turns.meet(sid, now)
        used = max(passage.was_seen or seen.last_seen, heard)
        before = lookup(seen.address) if seen.address else NOWHERE
        return Observation(  # by position: keywords of so many fields take eight times as long
            passage.request,
            passage.activity,
            passage.client_ip,
            now / 1000,
            network,
            self._device(passage),
            passage.agent_digest,
            present_on(record, before),
            is_login or pair not in seen.pairs,
            siblings,
            tuple([self.network_of(one.address) for one in siblings]) if siblings else (),
            NOWHERE if is_login else before,
            b"" if is_login else seen.agent,
            0.0 if is_login else used / 1000,
            is_login,
            passage.known_device,
            alternations,
            detection.population.crowd is not None,
            None,
            NOTHING_KNOWN,
            NOTHING_KNOWN,
            NO_SLOT,
            NO_SLOT,
            frozenset(),
            tuple([(lookup(address), at / 1000) for address, at in places]) if places else (),
        )

    async def _amid(self, seen: Observation, record: Record) -> Observation:
        """Add what was attacked with wrong passwords in the hour before a sign-in."""
        if "failed_logins" not in self.detection.needs:
            return seen
        from gatehound import guessing

        address = None if seen.network_unusable else seen.client_ip.address
        attacked = await guessing.attacks_on(self, address, record.alias)
        return replace(seen, failed_logins=attacked) if attacked else seen

    def _device(self, passage: Passage) -> Device:
        """What this request's browser claims to be, as far as its other headers agree."""
        request = passage.request
        hints, accept = request.header("sec-ch-ua"), request.header("accept")
        if len(hints) + len(accept) > MAX_AGENT:  # of no browser: not worth to be kept
            return unmasked(describe(request.agent), hints, accept)
        return claimed(request.agent[:MAX_AGENT], hints, accept)

    def _change(
        self, passage: Passage, record: Record, judgement: Judgement, network: Network, pair: bytes
    ) -> _Change:
        """What is written: the new seen part, unless suspicious; flags; events."""
        security, seen = record.security, record.seen
        before = flags = security.flags
        keep = judgement.keep_pair
        if judgement.flag or before & (FLAGGED | STEP_UP):
            keep &= not is_quarantined(record, judgement)
        if keep:
            seen = self._seen(passage, record, network, pair)
        # A step-up goes by a proof alone, and with it the flag: evidence that fades is none.
        if judgement.flag is False and not before & STEP_UP:
            flags &= ~(FLAGGED | NOTIFIED)
        flags = flags & ~WATCHED | flags_of(judgement)
        if flags != before:
            security = replace(security, flags=flags)
        return _Change(
            Record(record.alias, record.user_id, record.roles, security, seen),
            before,
            _clipped(passage.request.agent[:MAX_AGENT]) if keep else "",
            seen != record.seen,
            self._events_of(passage, record, judgement, flags),
        )

    def _write(
        self,
        record: Record,
        judgement: Judgement,
        change: _Change,
        memory: Memory,
        user_memory: Memory,
    ) -> Awaitable[Remembered]:
        before, flags = change.before, change.record.security.flags
        has_learned = judgement.user_memory != user_memory.data
        keeps = judgement.memory != memory.data or flags != before
        if not (has_learned or keeps or change.is_seen_new):
            return _nothing()
        return self.store.remember(
            record.alias,
            record.security.sid,
            record.security.secret_hash,
            # A flag goes with a version, or it would be lifted over evidence that came meanwhile.
            memory=Memory(judgement.memory, memory.version) if keeps else None,
            user_memory=Memory(judgement.user_memory, user_memory.version) if has_learned else None,
            seen=change.record.seen if change.is_seen_new else None,
            agent=change.agent,
            flags=before,
            set_flags=flags & ~before,
            clear_flags=before & ~flags,
            events=change.events,
        )

    async def prove(self, passage: Passage, record: Record, why: str) -> bool:
        """Unflag a session whose owner has just proved to be here; learn this context at once.

        Only this one: what was flagged may have been somebody else, whoever says otherwise.
        """
        network = self.network_of(passage.client_ip.address)
        agent = passage.request.agent
        seen = self._seen(passage, record, network, self.context(passage))
        device, now = self._device(passage), passage.now / 1000

        def learn(own: bytes, users: bytes) -> tuple[bytes, bytes]:
            return self.detection.confirm(
                own, users, network=network, device=device, now=now, agent=agent
            )

        return await self.clear(record, why, learn=learn, seen=seen, agent=clip_text(agent))

    def _reachable(self, judgement: Judgement, record: Record) -> Judgement:
        """Hold a step-up until it is answered; one that no page can answer is a notification."""
        action, is_held = judgement.verdict.action, record.security.flags & STEP_UP
        if action < _STEP_UP and not is_held:
            return judgement
        action = max(action, _STEP_UP if is_held else Action.ALLOW)
        if action is _STEP_UP and self.settings.web.step_up_url is None:
            action = Action.NOTIFY  # nobody is locked out
        if action is judgement.verdict.action:
            return judgement
        return replace(judgement, verdict=replace(judgement.verdict, action=action))

    def _seen(self, passage: Passage, record: Record, network: Network, pair: bytes) -> Seen:
        """The seen part with the present pair in front; an unresolved address changes none."""
        before = record.seen
        newest, older = before.pairs
        packed = passage.client_ip.packed
        return Seen(
            before.last_seen,
            before.address if packed is None else self.kept_address(packed),
            network.country or before.country,
            before.place if packed is None else network.place_id,
            passage.agent_digest,
            before.pairs if pair in before.pairs else (pair, newest or older),
        )

    def _events_of(
        self, passage: Passage, record: Record, judgement: Judgement, flags: int
    ) -> tuple[Event, ...]:
        verdict, before = judgement.verdict, record.security.flags
        if not judgement.fresh and flags & ~WATCHED == before & ~WATCHED:
            return ()
        # A flagged session is judged again and again: its findings are told once.
        events = []
        for signal in () if before & FLAGGED else judgement.fresh:
            name = EVENT_OF_DETECTOR.get(signal.detector)
            if name and signal.weight >= self.settings.policy.record:
                events.append(
                    self.event(name, passage, record, reason=signal.reason, detail=signal.detail)
                )
        new = flags & ~before & ~WATCHED
        if not new and before & FLAGGED == flags & FLAGGED:
            return tuple(events)
        detail: Detail = {
            "score": round(verdict.score, 2),
            "signals": ", ".join(signal.code for signal in verdict.signals),
        }
        why = _reasons(verdict.signals)
        if new & (FLAGGED | NOTIFIED):
            notify: Notify = "both" if new & NOTIFIED else ""
            detail = {**detail, **self.place_and_device(passage)}  # of who used it just now
            events.append(
                self.event(
                    "session_flagged", passage, record, reason=why, detail=detail, notify=notify
                )
            )
        elif before & FLAGGED and not flags & FLAGGED:
            events.append(self.event("session_cleared", passage, record, reason="evidence faded"))
        if new & STEP_UP:
            events.append(self.event("step_up_required", passage, record, reason=why))
        return tuple(events)

    async def _tell_more(self, passage: Passage, judgement: Judgement) -> None:
        """Tell of detectors that failed, and count what other modes would have done."""
        for detector, error in judgement.failures:
            if not self._events.admits("detector_failed"):
                continue
            detail = {"detector": detector, "error": error}
            await self.tell(self.event("detector_failed", passage, passage.record, detail=detail))
        for name in judgement.reached:
            await self.store.count("would", name, window=DAY)


async def _nothing() -> Remembered:
    """Write nothing."""
    return Remembered(done=True, now=0)


def _reasons(signals: tuple[Signal, ...]) -> str:
    """Join the reasons by "; ", which is in none of them: whoever reads it can split it again."""
    return "; ".join(dict.fromkeys(one.reason.replace("; ", ", ") for one in signals if one.reason))
