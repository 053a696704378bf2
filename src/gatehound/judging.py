"""The part of the guard that judges: when detectors look, and what is written of it.

An unchanged request costs one comparison. A new (network, agent) pair is judged whatever the
class of the request is, and written with its evidence, flags and events in one
compare-and-swap; who loses the race judges again on what the winner wrote.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import msgspec
from msgspec.structs import replace

from gatehound.acting import ATTEMPTS, Acting
from gatehound.admin import DAY
from gatehound.detection import Judgement, Observation, describe
from gatehound.detection.device import unmasked
from gatehound.errors import StoreError
from gatehound.model import Action, Detail, Device, Event, Network, Notify, Session, Verdict
from gatehound.passage import Passage
from gatehound.standing import flags_of, is_quarantined, is_suspicious, standing_action, with_flags
from gatehound.stores.answer import Memory, Remembered
from gatehound.stores.record import FLAGGED, NOTIFIED, STEP_UP, WATCHED, Record, Seen
from gatehound.stores.rule import clip_text

# Which finding of which built-in detector people know by an event of its own.
EVENT_OF_DETECTOR: Final = {
    "ip_shift": "session_ip_shift",
    "network_change": "session_ip_shift",
    "geo_anomaly": "session_geo_anomaly",
}
# In which proxies name their clients: where one is there and not read, a proxy is not declared.
FORWARDING: Final = ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip")
_NOTHING_STANDS: Final = Verdict()


class _Change(msgspec.Struct, frozen=True):
    """What a judgement does to a record, and what is told of it."""

    record: Record
    before: int
    agent: str
    is_seen_new: bool
    events: tuple[Event, ...]


class Judging(Acting):
    """Acting, and judging a request that belongs to a session."""

    async def judge_or_note(self, passage: Passage, record: Record) -> None:
        """Judge; where evidence cannot be written, the session that was loaded still stands."""
        try:
            await self.judge(passage, record)
        except StoreError as error:
            self.note_outage(error)

    def is_settled(self, passage: Passage, record: Record) -> bool:
        """Say what stands against a session; True where there is nothing new to look at."""
        if not self.detection.enabled:
            # What stands is shown, and stays.
            passage.verdict = Verdict(standing_action(record))
            return True
        pair, pairs, turns = self.context(passage), record.seen.pairs, self.detection.turns
        population = self.detection.population
        if passage.was_seen:
            self.note_active(passage, record)
        due = population.is_due
        if pair != pairs[0] or record.sid in turns:
            due |= self._is_turn(passage, record, pair)
        if is_suspicious(record):
            # It is looked at each time, so that its reasons can be shown.
            passage.verdict = Verdict(standing_action(record))
            return False
        passage.verdict = _NOTHING_STANDS
        if record.security.flags & WATCHED and not due:
            request = passage.request
            due = self.detection.policy.caution(request.method, request.path, record.roles) > 0
        if pair not in pairs or due:
            return False
        turns.hear(record.sid, passage.now)
        return True

    def _is_turn(self, passage: Passage, record: Record, pair: bytes) -> bool:
        """Note a turn; True where it is worth a look, and the other one is what was judged last."""
        turns, seen = self.detection.turns, record.seen
        if not turns.note(record.sid, pair, seen.pairs[0], passage.now):
            return False
        if self.detection.pair(seen.address or None, seen.agent) != pair:
            return True
        turns.put_off(record.sid)
        return False

    def note_active(self, passage: Passage, record: Record) -> None:
        """Count who is active from where: at each sign-in, new context and slide."""
        address = passage.client_ip.address
        prefix, now = self.networks.prefix(address), passage.now / 1000
        self.detection.population.note(record.alias, address, prefix, now)

    async def _tell_crowd(self, passage: Passage) -> None:
        """Tell that a proxy is set wrong: once a process, and of all processes once a day."""
        crowd = self.detection.population.tell()
        if crowd is None or await self.store.count("told", "proxy_misconfigured", window=DAY) > 1:
            return
        detail: Detail = {
            "users": crowd.users,
            "active": crowd.active,
            "networks": ", ".join(crowd.groups),
            "setting": "client_ip.trusted_proxies",
        }
        reason = (
            f"{crowd.users} of {crowd.active} active users have the address of "
            f"{crowd.address or 'nobody'} or its like: that of a proxy is taken for theirs, and "
            "networks are no evidence until that is mended. Set client_ip.mode to what the proxy "
            f"sends (it is {self.settings.client_ip.mode}{_sent(passage)}) and "
            "client_ip.trusted_proxies to its address; where users do share it, name it in "
            "detection.shared_networks"
        )
        event = Event("proxy_misconfigured", reason=reason, detail=detail, notify="admins")
        await self.tell(event)

    async def judge(self, passage: Passage, record: Record) -> None:
        """Weigh the evidence and write what follows from it, in one compare-and-swap."""
        if not self.detection.enabled:
            return
        pair = self.context(passage)
        network = self.network_of(passage.client_ip.address)
        self.note_active(passage, record)
        population = self.detection.population
        if population.is_due:
            await self._tell_crowd(passage)
        if population.crowd is not None:
            network = Network()
        seen = await self._observed(passage, record, network, pair)
        memory, user_memory = await self.store.recall(record.alias, record.sid)
        attempts = ATTEMPTS
        while True:
            judgement = await self.detection.judge(
                seen,
                memory=memory.data,
                user_memory=user_memory.data,
                flagged=bool(record.security.flags & FLAGGED),
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
        if result.gone:  # ended by somebody else in this very moment
            passage.record = None
            self.doubt(record.sid)
            return
        if result.done:
            passage.record = change.record
            for event in change.events:
                self.announce(event)
        await self._tell_more(passage, judgement)
        await self.act(passage, record, judgement)

    async def _observed(
        self, passage: Passage, record: Record, network: Network, pair: bytes
    ) -> Observation:
        """What detectors may look at, but for what is remembered."""
        session = self.present(record)
        is_login, seen, turns = passage.is_new_login, record.seen, self.detection.turns
        used = max(passage.was_seen or seen.last_seen, turns.heard(record.sid))
        turns.hear(record.sid, passage.now)
        before = None if is_login or not seen.address else ip_address(seen.address)
        siblings = await self._siblings(record)
        return Observation(
            request=passage.request,
            activity=passage.activity,
            client_ip=passage.client_ip,
            now=passage.now / 1000,
            network=network,
            device=self._device(passage),
            agent_digest=passage.agent_digest,
            session=session,
            is_new_context=is_login or pair not in seen.pairs,
            siblings=siblings,
            sibling_networks=tuple(self.network_of(one.address) for one in siblings),
            previous=self.network_of(before),
            previous_agent=b"" if is_login else seen.agent,
            last_used=0.0 if is_login else used / 1000,
            is_login=is_login,
            known_device=passage.known_device,
            alternations=turns.count(record.sid, passage.now),
            network_unusable=self.detection.population.crowd is not None,
        )

    def _device(self, passage: Passage) -> Device:
        """What this request's browser claims to be, as far as its other headers agree."""
        request = passage.request
        hints, accept = request.header("sec-ch-ua"), request.header("accept")
        return unmasked(describe(request.agent), hints, accept)

    def _change(
        self, passage: Passage, record: Record, judgement: Judgement, network: Network, pair: bytes
    ) -> _Change:
        """What is written: the new seen part, unless suspicious; flags; events."""
        keep = judgement.keep_pair and not is_quarantined(record, judgement)
        seen = self._seen(passage, record, network, pair) if keep else record.seen
        before = record.security.flags
        # A step-up goes by a proof alone, and with it the flag: evidence that fades is none.
        clears = judgement.flag is False and not before & STEP_UP
        flags = (before & ~(FLAGGED | NOTIFIED) if clears else before) & ~WATCHED
        flags |= flags_of(judgement)
        security = replace(record.security, flags=flags)
        return _Change(
            record=replace(record, security=security, seen=seen),
            before=before,
            agent=clip_text(passage.request.agent) if keep else "",
            is_seen_new=seen != record.seen,
            events=self._events_of(passage, record, judgement, flags),
        )

    async def _write(
        self,
        record: Record,
        judgement: Judgement,
        change: _Change,
        memory: Memory,
        user_memory: Memory,
    ) -> Remembered:
        flags = change.record.security.flags
        has_learned = judgement.user_memory != user_memory.data
        keeps = judgement.memory != memory.data or flags != change.before
        if not (has_learned or keeps or change.is_seen_new):
            return Remembered(done=True, now=0)
        return await self.store.remember(
            record.alias,
            record.sid,
            record.security.secret_hash,
            # A flag goes with a version, or it would be lifted over evidence that came meanwhile.
            memory=Memory(judgement.memory, memory.version) if keeps else None,
            user_memory=Memory(judgement.user_memory, user_memory.version) if has_learned else None,
            seen=change.record.seen if change.is_seen_new else None,
            agent=change.agent,
            flags=change.before,
            set_flags=flags & ~change.before,
            clear_flags=change.before & ~flags,
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
        held = Action.STEP_UP if record.security.flags & STEP_UP else Action.ALLOW
        action = max(judgement.verdict.action, held)
        if action is Action.STEP_UP and self.settings.web.step_up_url is None:
            action = Action.NOTIFY  # nobody is locked out
        return replace(judgement, verdict=replace(judgement.verdict, action=action))

    async def _siblings(self, record: Record) -> tuple[Session, ...]:
        """The user's other living sessions, where a detector wants them."""
        if "siblings" not in self.detection.needs:
            return ()
        listed = await self.store.sessions(record.alias)
        self.announce_ends(listed.finished)
        return tuple(self.present(r) for r in listed.records if r.sid != record.sid)

    def _seen(self, passage: Passage, record: Record, network: Network, pair: bytes) -> Seen:
        """The seen part with the present pair in front; an unresolved address changes none."""
        before = record.seen
        newest, older = before.pairs
        address = passage.client_ip.address
        return replace(
            before,
            address=before.address if address is None else self.kept_address(address),
            country=network.country or before.country,
            place=network.place_id if address is not None else before.place,
            agent=passage.agent_digest,
            pairs=before.pairs if pair in before.pairs else (pair, newest or older),
        )

    def _events_of(
        self, passage: Passage, record: Record, judgement: Judgement, flags: int
    ) -> tuple[Event, ...]:
        verdict, before = judgement.verdict, record.security.flags
        # A flagged session is judged again and again: its findings are told once.
        events = [
            self.event(name, passage, record, reason=signal.reason, detail=signal.detail)
            for signal in (() if before & FLAGGED else judgement.fresh)
            if (name := EVENT_OF_DETECTOR.get(signal.detector))
            and signal.weight >= self.settings.policy.record
        ]
        detail: Detail = {
            "score": round(verdict.score, 2),
            "signals": ", ".join(signal.code for signal in verdict.signals),
        }
        why = "; ".join(signal.reason for signal in verdict.signals)
        new = flags & ~before
        if new & (FLAGGED | NOTIFIED):
            notify: Notify = "both" if new & NOTIFIED else ""
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
            detail = {"detector": detector, "error": error}
            await self.tell(self.event("detector_failed", passage, passage.record, detail=detail))
        for name in judgement.reached:
            await self.store.count("would", name, window=DAY)


def _sent(passage: Passage) -> str:
    """Name the header in which this very request says who its client is, if there is one."""
    sent = [name for name in FORWARDING if passage.request.header(name)]
    return f", and requests carry {', '.join(sent)}" if sent else ""
