"""The part of the guard that judges: when detectors look, and what follows from it.

An unchanged request costs one comparison. A new (network, agent) pair is judged whatever the
class of the request is, and written with its evidence, flags and events in one
compare-and-swap; who loses the race judges again on what the winner wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from gatehound.admin import Admin
from gatehound.detection import Judgement, describe, digest
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
    Verdict,
)
from gatehound.passage import Passage
from gatehound.stores.answer import Memory, Remembered
from gatehound.stores.record import FLAGGED, STEP_UP, Record, Seen
from gatehound.stores.rule import clip_text

IPAddress: TypeAlias = IPv4Address | IPv6Address

# Which finding of which built-in detector people know by an event of its own.
EVENT_OF_DETECTOR: Final = {"ip_shift": "session_ip_shift", "geo_anomaly": "session_geo_anomaly"}
JUDGE_ATTEMPTS: Final = 3  # compare-and-swap: several processes judging one session at once


class Judging(Admin):
    """Admin, and judging a request that belongs to a session."""

    async def judge(self, passage: Passage, record: Record) -> None:
        """Let detectors look where something changed; otherwise say what stands."""
        passage.verdict = Verdict(standing_action(record))
        if not self.detection.enabled:
            return
        pair = self._pair(passage)
        changed = pair not in record.seen.pairs
        flagged = record.security.flags & (FLAGGED | STEP_UP)
        if changed or (flagged and passage.slid) or passage.is_new_login:
            await self._weigh(passage, record, pair)

    async def _weigh(self, passage: Passage, record: Record, pair: bytes) -> None:
        """Weigh the evidence and write what follows from it, in one compare-and-swap."""
        address = passage.client_ip.address
        network = self.networks.lookup(address) if address is not None else Network()
        claimed = describe(passage.request.agent)
        siblings = await self._siblings(record)
        seen = self._seen(passage, record, network, pair)
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
            judgement = self._reachable(judgement)
            events = self._events_of(passage, record, judgement)
            result = await self._write(
                passage, record, judgement, memory, user_memory, seen, events
            )
            attempts -= 1
            if result.done or result.gone or not attempts:
                break
            memory, user_memory = result.memory, result.user_memory
        passage.verdict = judgement.verdict
        if result.gone:  # ended by somebody else in this very moment
            passage.record = None
            return
        for event in events if result.done else ():
            self._events.emit(event)
        await self._tell_failures(passage, judgement)
        await self._act(passage, record, judgement)

    async def confirm(self, passage: Passage, record: Record, why: str) -> bool:
        """Unflag a session whose owner is here for certain, and learn this context at once.

        Only this one: what was flagged may have been somebody else, whoever says otherwise.
        """
        address = passage.client_ip.address
        network = self.networks.lookup(address) if address is not None else Network()
        agent = passage.request.agent
        pair = self._pair(passage)
        return await self.clear(
            record,
            why,
            network=network,
            device=describe(agent),
            agent=agent,
            seen=self._seen(passage, record, network, pair),
        )

    def is_known_context(self, passage: Passage, record: Record) -> bool:
        """True where this network and agent were seen before, and were not suspicious."""
        return self._pair(passage) in record.seen.pairs

    def _pair(self, passage: Passage) -> bytes:
        passage.agent_digest = digest(passage.request.agent)
        return self.detection.pair(passage.client_ip.address, passage.agent_digest)

    def _reachable(self, judgement: Judgement) -> Judgement:
        """Turn a step-up that no page can answer into a notification: nobody is locked out."""
        verdict = judgement.verdict
        if verdict.action is not Action.STEP_UP or self.settings.web.step_up_url is not None:
            return judgement
        return replace(judgement, verdict=replace(verdict, action=Action.NOTIFY))

    async def _write(
        self,
        passage: Passage,
        record: Record,
        judgement: Judgement,
        memory: Memory,
        user_memory: Memory,
        seen: Seen,
        events: Sequence[Event],
    ) -> Remembered:
        learned = judgement.user_memory != user_memory.data
        return await self.store.remember(
            record.alias,
            record.sid,
            record.security.secret_hash,
            memory=Memory(judgement.memory, memory.version),
            user_memory=Memory(judgement.user_memory, user_memory.version) if learned else None,
            seen=seen if judgement.keep_pair and not _is_quarantined(record, judgement) else None,
            agent=clip_text(passage.request.agent),
            set_flags=_flags_to_set(judgement),
            clear_flags=FLAGGED | STEP_UP if judgement.flag is False else 0,
            events=events,
        )

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
        self, passage: Passage, record: Record, judgement: Judgement
    ) -> tuple[Event, ...]:
        # A flagged session is judged again and again: its findings are told once.
        fresh = () if record.security.flags & FLAGGED else judgement.fresh
        events = [
            self.event(name, passage, record, reason=signal.reason, detail=signal.detail)
            for signal in fresh
            if (name := EVENT_OF_DETECTOR.get(signal.detector))
            and signal.weight >= self.settings.policy.record
        ]
        if judgement.flag is not None:
            name = "session_flagged" if judgement.flag else "session_cleared"
            why = "; ".join(signal.reason for signal in judgement.verdict.signals)
            detail: Detail = {
                "score": round(judgement.verdict.score, 2),
                "signals": ", ".join(signal.code for signal in judgement.verdict.signals),
            }
            events.append(
                self.event(
                    name,
                    passage,
                    record,
                    reason=why,
                    detail=detail,
                    notify="both" if judgement.verdict.action >= Action.NOTIFY else "",
                )
            )
        if judgement.verdict.action is Action.STEP_UP and not (record.security.flags & STEP_UP):
            events.append(self.event("step_up_required", passage, record))
        return tuple(events)

    async def _act(self, passage: Passage, record: Record, judgement: Judgement) -> None:
        """Do what cannot be left to the app: flag the sessions it stands against, or end it."""
        for signal in judgement.fresh:
            siblings = str(signal.detail.get("siblings") or "")
            if siblings and signal.weight >= self.settings.policy.flag:
                await self._flag_siblings(passage, record, siblings.split(","))
        if judgement.verdict.action is not Action.TERMINATE:
            return
        reason = EndReason.SUSPICIOUS
        event = self.event("session_terminated", passage, record, reason=reason.value)
        done = await self.store.revoke(record.alias, only=record.sid, reason=reason, event=event)
        self.announce_ends(done.finished, event)
        passage.record, passage.ended = None, Ended(reason, passage.now / 1000)

    async def _flag_siblings(
        self, passage: Passage, record: Record, public_ids: Sequence[str]
    ) -> None:
        for other in (await self.store.sessions(record.alias)).records:
            if other.public_id not in public_ids or other.security.flags & FLAGGED:
                continue
            event = self.event("session_flagged", passage, other, reason="concurrent countries")
            done = await self.store.remember(
                other.alias,
                other.sid,
                other.security.secret_hash,
                set_flags=FLAGGED,
                events=(event,),
            )
            if done.done:
                self._events.emit(event)

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

    async def _flood(self, passage: Passage, name: str, reason: str) -> None:
        """Tell of what strangers can cause, at most once a minute; it costs them no write."""
        event = self._events.flood(self.event(name, passage, reason=reason))
        if event is not None:
            self._events.emit(event)

    async def _tell_failures(self, passage: Passage, judgement: Judgement) -> None:
        for detector, error in judgement.failures:
            detail = {"detector": detector, "error": error}
            await self.tell(self.event("detector_failed", passage, passage.record, detail=detail))


def standing_action(record: Record) -> Action:
    """What the flags of a stored session ask for, before this request is looked at."""
    if record.security.flags & STEP_UP:
        return Action.STEP_UP
    return Action.FLAG if record.security.flags & FLAGGED else Action.ALLOW


def _is_quarantined(record: Record, judgement: Judgement) -> bool:
    """True while suspicious: a new context is not remembered, or it would be let in unjudged."""
    return judgement.flag is not False and bool(judgement.flag or record.security.flags & FLAGGED)


def _flags_to_set(judgement: Judgement) -> int:
    flags = FLAGGED if judgement.flag else 0
    return flags | STEP_UP if judgement.verdict.action is Action.STEP_UP else flags
