"""The part of the guard that judges: when detectors look, and what follows from it.

An unchanged request costs one comparison. A new (network, agent) pair is judged whatever the
class of the request is, and written with its evidence, flags and events in one
compare-and-swap; who loses the race judges again on what the winner wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from gatehound.admin import Admin
from gatehound.detection import Judgement, describe
from gatehound.errors import GatehoundError, StoreError
from gatehound.events import coarse
from gatehound.listing import present
from gatehound.model import (
    NOTHING,
    Action,
    Detail,
    Ended,
    EndReason,
    Event,
    Network,
    Notify,
    Session,
    Signal,
    Verdict,
)
from gatehound.passage import Passage
from gatehound.standing import flags_of, is_quarantined, is_suspicious, standing_action
from gatehound.stores.answer import Memory, Remembered
from gatehound.stores.record import FLAGGED, NOTIFIED, STEP_UP, Record, Seen
from gatehound.stores.rule import clip_text

IPAddress: TypeAlias = IPv4Address | IPv6Address

# Which finding of which built-in detector people know by an event of its own.
EVENT_OF_DETECTOR: Final = {"ip_shift": "session_ip_shift", "geo_anomaly": "session_geo_anomaly"}
_NOTHING_STANDS: Final = Verdict()
JUDGE_ATTEMPTS: Final = 3  # compare-and-swap: several processes judging one session at once


# Over the flag threshold of every profile (3.5 to 5.5), under that for asking for a proof (6.5).
REUSE_WEIGHT: Final = 6.0


class _Change(msgspec.Struct, frozen=True):
    """What a judgement does to a record, and what is told of it."""

    record: Record
    before: int
    agent: str
    is_seen_new: bool
    events: tuple[Event, ...]


class Judging(Admin):
    """Admin, and judging a request that belongs to a session."""

    def note_outage(self, error: GatehoundError) -> None:
        """Tell once that the store is down."""
        raise NotImplementedError

    async def judge_or_note(self, passage: Passage, record: Record) -> None:
        """Judge; where evidence cannot be written, the session that was loaded still stands."""
        try:
            await self.judge(passage, record)
        except StoreError as error:
            self.note_outage(error)

    async def judge(self, passage: Passage, record: Record) -> None:
        """Let detectors look where something changed; otherwise say what stands."""
        if not self.is_settled(passage, record):
            await self._weigh(passage, record, self._pair(passage))

    def is_settled(self, passage: Passage, record: Record) -> bool:
        """Say what stands against a session; True where there is nothing new to look at."""
        if is_suspicious(record):
            # It is looked at each time, so that its reasons can be shown.
            passage.verdict = Verdict(standing_action(record))
            return not self.detection.enabled
        passage.verdict = _NOTHING_STANDS
        if not self.detection.enabled:
            return True
        return not passage.is_new_login and self._pair(passage) in record.seen.pairs

    async def _weigh(self, passage: Passage, record: Record, pair: bytes) -> None:
        """Weigh the evidence and write what follows from it, in one compare-and-swap."""
        address = passage.client_ip.address
        network = self.networks.lookup(address) if address is not None else Network()
        claimed = describe(passage.request.agent)
        siblings = await self._siblings(record)
        memory, user_memory = await self.store.recall(record.alias, record.sid)
        attempts = JUDGE_ATTEMPTS
        while True:
            judgement = await self.detection.judge(
                request=passage.request,
                activity=passage.activity,
                client_ip=passage.client_ip,
                network=network,
                device=claimed,
                session=self.present(record),
                is_new_context=passage.is_new_login or pair not in record.seen.pairs,
                siblings=siblings,
                memory=memory.data,
                user_memory=user_memory.data,
                flagged=bool(record.security.flags & FLAGGED),
                now=passage.now / 1000,
            )
            judgement = self._reachable(judgement, record)
            passage.verdict = judgement.verdict
            change = self._change(passage, record, judgement, network, pair)
            try:
                result = await self._write(record, judgement, change, memory, user_memory)
            except StoreError:
                # A full store takes no evidence, and still ends: who fills it gains nothing.
                await self._end_if_due(passage, record, judgement)
                raise
            attempts -= 1
            if result.done or result.gone or not attempts:
                break
            memory, user_memory = result.memory, result.user_memory
        if result.gone:  # ended by somebody else in this very moment
            passage.record = None
            self.doubt(record.sid)
            return
        if result.done:
            passage.record = change.record
            for event in change.events:
                self.announce(event)
        await self._tell_failures(passage, judgement)
        await self._act(passage, record, judgement)

    def _change(
        self, passage: Passage, record: Record, judgement: Judgement, network: Network, pair: bytes
    ) -> _Change:
        """What is written: the new seen part, unless suspicious; flags; events."""
        keep = judgement.keep_pair and not is_quarantined(record, judgement)
        seen = self._seen(passage, record, network, pair) if keep else record.seen
        before = record.security.flags
        # A step-up goes by a proof alone, and with it the flag: evidence that fades is none.
        clears = judgement.flag is False and not before & STEP_UP
        flags = (before & ~(FLAGGED | NOTIFIED) if clears else before) | flags_of(judgement)
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
        has_changed = judgement.memory != memory.data
        if not (has_learned or has_changed or change.is_seen_new or flags != change.before):
            return Remembered(done=True, now=0)
        return await self.store.remember(
            record.alias,
            record.sid,
            record.security.secret_hash,
            memory=Memory(judgement.memory, memory.version) if has_changed else None,
            user_memory=Memory(judgement.user_memory, user_memory.version) if has_learned else None,
            seen=change.record.seen if change.is_seen_new else None,
            agent=change.agent,
            set_flags=flags & ~change.before,
            clear_flags=change.before & ~flags,
            events=change.events,
        )

    async def prove(self, passage: Passage, record: Record, why: str) -> bool:
        """Unflag a session whose owner has just proved to be here; learn this context at once.

        Only this one: what was flagged may have been somebody else, whoever says otherwise.
        """
        address = passage.client_ip.address
        network = self.networks.lookup(address) if address is not None else Network()
        agent = passage.request.agent
        seen = self._seen(passage, record, network, self._pair(passage))
        now = passage.now / 1000

        def learn(own: bytes, users: bytes) -> tuple[bytes, bytes]:
            return self.detection.confirm(
                own, users, network=network, device=describe(agent), now=now, agent=agent
            )

        return await self.clear(record, why, learn=learn, seen=seen, agent=clip_text(agent))

    def is_known_context(self, passage: Passage, record: Record) -> bool:
        """True where this network and agent were seen before, and were not suspicious."""
        return self._pair(passage) in record.seen.pairs

    def _pair(self, passage: Passage) -> bytes:
        agent, packed = passage.request.agent, passage.client_ip.packed
        passage.agent_digest, pair = self.detection.context(packed, agent)
        return pair

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

    def present(self, record: Record) -> Session:
        """What detectors and the app see of a record."""
        return present(record, self.networks)

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

    def kept_address(self, address: IPAddress | None) -> bytes:
        """What the privacy settings allow to be stored of an address."""
        if address is None:
            return b""
        text = coarse(str(address), self.settings.privacy.address_precision)
        return ip_address(text).packed if text else b""

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

    async def _act(self, passage: Passage, record: Record, judgement: Judgement) -> None:
        """Do what cannot be left to the app: end it, or flag the sessions it stands against."""
        await self._end_if_due(passage, record, judgement)
        for signal in judgement.fresh:
            siblings = str(signal.detail.get("siblings") or "")
            if siblings and signal.detector == "geo_anomaly":
                await self._flag_siblings(passage, record, siblings.split(","), signal)

    async def _end_if_due(self, passage: Passage, record: Record, judgement: Judgement) -> None:
        """End the session where policy says so; where that fails, nobody is shown it."""
        if judgement.verdict.action is not Action.TERMINATE:
            return
        reason = EndReason.SUSPICIOUS
        event = self.event("session_terminated", passage, record, reason=reason.value)
        passage.record = None
        self.doubt(record.sid)
        try:
            done = await self.store.revoke(
                record.alias, only=record.sid, reason=reason, event=event
            )
        except StoreError as error:
            passage.outage = error
            raise
        self.announce_ends(done.finished, event)
        passage.ended = Ended(reason, passage.now / 1000)

    async def _flag_siblings(
        self, passage: Passage, record: Record, public_ids: Sequence[str], signal: Signal
    ) -> None:
        """Flag the other sessions that a strict geo anomaly names."""
        listed = await self.store.sessions(record.alias)
        self.announce_ends(listed.finished)
        for other in listed.records:
            if other.public_id in public_ids:
                await self._flag(passage, other, signal)

    async def note_reuse(self, passage: Passage, record: Record, reuse: str) -> None:
        """An old secret came back too late: its holder and the present one may differ."""
        if self._events.admits("session_reuse"):
            await self.tell(self.event("session_reuse", passage, record, reason=reuse))
        if reuse == "orphan" and self.is_known_context(passage, record):
            return  # the answer that carried the new secret got lost on its way to the owner
        reason = "An old copy of this session's cookie was used"
        signal = Signal("secret_reused", REUSE_WEIGHT, reason, detector="reuse")
        await self._flag(passage, record, signal)

    async def _flag(self, passage: Passage, record: Record, signal: Signal) -> None:
        """Flag a session for something that no detector of its own requests found."""
        if self.detection.policy.cap < Action.FLAG or record.security.flags & FLAGGED:
            return
        memory, _ = await self.store.recall(record.alias, record.sid)
        noted = self.detection.note(memory.data, signal, passage.now / 1000)
        event = self.event("session_flagged", passage, record, reason=signal.reason)
        done = await self.store.remember(
            record.alias,
            record.sid,
            record.security.secret_hash,
            memory=Memory(noted, memory.version),
            set_flags=FLAGGED,
            events=(event,),
        )
        if done.done:
            self.announce(event)
        elif done.gone:
            self.doubt(record.sid)

    # --- telling ---

    def event(
        self,
        name: str,
        passage: Passage,
        record: Record | None = None,
        *,
        reason: str = "",
        detail: Detail = NOTHING,
        notify: Notify = "",
    ) -> Event:
        """Make an event of this request, redacted as the settings say."""
        address = passage.client_ip.address
        ticket = passage.ticket
        public_id = record.public_id if record else ticket.sid.hex() if ticket else None
        return self._events.redacted(
            Event(
                name=name,
                user_id=record.user_id if record else None,
                public_id=public_id,
                reason=reason,
                address="" if address is None else str(address),
                detail=detail,
                notify=notify,
                at=passage.now / 1000,
            )
        )

    async def _tell_failures(self, passage: Passage, judgement: Judgement) -> None:
        for detector, error in judgement.failures:
            detail = {"detector": detector, "error": error}
            await self.tell(self.event("detector_failed", passage, passage.record, detail=detail))
