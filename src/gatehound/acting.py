"""The part of the guard that acts on a judgement: what ends, what else is flagged, who is told.

Nothing ends on evidence alone unless `policy.terminate` or `policy.malicious` says so.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from msgspec.structs import replace

from gatehound.admin import DAY, Admin
from gatehound.detection import Judgement, Reuse, describe
from gatehound.errors import GatehoundError, StoreError, UsageError
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
from gatehound.standing import with_flags
from gatehound.stores.answer import Memory
from gatehound.stores.record import FLAGGED, STEP_UP, Record
from gatehound.tokens import NoticeTokens

IPAddress: TypeAlias = IPv4Address | IPv6Address
# What an app does about a session that is taken for stolen: force a new password, check the mail
# address. It is given the session as it was, and why.
Hijacked: TypeAlias = Callable[[Session, Verdict], Awaitable[None] | None]

# Compare-and-swap: several processes judging one session at once. Who loses so often has lost to as
# many others who judged it too; nothing is written then, and the next request is judged again. A
# flag without its evidence would be lifted by the owner's next request.
ATTEMPTS: Final = 8
NOWHERE: Final = Network()
_REUSE: Final = Reuse()
# In Python 3.11 a member of an enum takes longer to look up than a function to call.
_STEP_UP: Final = Action.STEP_UP
_TERMINATE: Final = Action.TERMINATE
REPORTED: Final = "reported_by_user"
# In which proxies name their clients: where one is there and not read, a proxy is not declared.
FORWARDING: Final = ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip")

log: Final = logging.getLogger("gatehound")


class Acting(Admin):
    """Admin, and what follows from a judgement."""

    on_hijack: Hijacked | None = None
    notices: NoticeTokens

    def notice_path(self, session: Session, at: str | None = None) -> str:
        """Return the path of the page on which its user says "this was not me" of a session.

        Put the site before it, and send it to that user alone: whoever has it can end the session.
        It opens for seven days. `at` is where the pages are mounted; None is `web.path`.
        UsageError where that is not set.
        """
        base = self.settings.web.path if at is None else at.rstrip("/")
        if base is None:
            raise UsageError(
                "notice_path() was called without `at`, and web.path is not set: give the path "
                "under which Pages are mounted, or set web.path"
            )
        alias = self.alias(session.user_id)
        return f"{base}/notice/{self.notices.make(alias, bytes.fromhex(session.public_id))}"

    def note_outage(self, error: GatehoundError) -> None:
        """Tell once that the store is down."""
        raise NotImplementedError

    async def act(self, passage: Passage, record: Record, judgement: Judgement) -> None:
        """Do what cannot be left to the app: end it, or flag the sessions it stands against."""
        action = judgement.verdict.action
        if action is _TERMINATE:
            await self.end_if_due(passage, record, judgement)
        for signal in judgement.fresh:
            if signal.detector == "geo_anomaly" and (named := signal.detail.get("siblings")):
                await self._mark(passage, record, signal, FLAGGED, str(named).split(","))
            if signal.code == "moved_with_others" and self._events.admits("sessions_moved"):
                detail, reason = signal.detail, signal.reason
                moved = self.event("sessions_moved", passage, record, reason=reason, detail=detail)
                await self.tell(replace(moved, notify="admins"))
        if action >= _STEP_UP and self._is_hijack(record, judgement):
            await self._tell_app(self.present(record), judgement.verdict)

    async def end_if_due(self, passage: Passage, record: Record, judgement: Judgement) -> None:
        """End the session where policy says so; where that fails, nobody is shown it."""
        if judgement.verdict.action is not Action.TERMINATE:
            return
        reason = EndReason.SUSPICIOUS
        event = self.event(
            "session_terminated",
            passage,
            record,
            reason=reason.value,
            detail=self.place_and_device(passage),  # of who used it, and not of the sign-in
            notify="both",
        )
        passage.record = None
        self.doubt(record.sid)
        how = self.settings.policy.on_terminate
        only = None if how == "all" else record.sid
        try:
            done = await self.store.revoke(record.alias, only=only, reason=reason, event=event)
        except StoreError as error:
            passage.outage = error
            raise
        self.announce_ends(done.finished, event)
        passage.ended = Ended(reason, passage.now / 1000)
        if how == "reauthenticate":
            asks = self.detection.policy.cap >= Action.STEP_UP and self.settings.web.step_up_url
            flags = FLAGGED | STEP_UP if asks else FLAGGED
            # What asks for a proof stays by itself, and MUST NOT end the others too; a mark alone
            # would go with their next request.
            weight = self.settings.policy.record if asks else self.detection.policy.enter()
            why = "Another session of this account was ended as suspicious"
            signal = Signal("sibling_ended", weight, why, detector="policy")
            await self._mark(passage, record, signal, flags)

    async def report(self, passage: Passage, alias: bytes, sid: bytes, *, everywhere: bool) -> bool:
        """End a session of which somebody said that it is not theirs; False where it is over.

        With `everywhere` all sessions of the user end with it. Who says so was told of it by us:
        see gatehound.tokens.
        """
        listed = await self.store.sessions(alias)
        self.announce_ends(listed.finished)
        record = next((one for one in listed.records if one.sid == sid), None)
        if record is None:
            return False
        session, *_ = await self._shown([record])  # with its device, for whom the app tells
        reason = EndReason.REPORTED
        event = self.event(
            "session_terminated",
            passage,
            record,
            reason=reason.value,
            notify="both",
        )
        self.doubt(sid)
        only = None if everywhere else sid
        done = await self.store.revoke(alias, only=only, reason=reason, event=event)
        self.announce_ends(done.finished, event)
        if all(one.record.sid != sid for one in done.finished):
            return False  # somebody else was quicker, and told the app
        here = passage.record
        if here is not None and here.alias == alias and (everywhere or here.sid == sid):
            passage.record = None  # the page says so, and the next request why
        signal = Signal(REPORTED, self.detection.policy.enter(), "Its user said: this was not me")
        await self._tell_app(session, Verdict(Action.TERMINATE, signal.weight, (signal,)))
        return True

    async def tell_crowd(self, passage: Passage) -> None:
        """Tell that a proxy is set wrong: once a process, and of all processes once a day."""
        crowd = self.detection.population.tell()
        if crowd is None:
            return
        try:
            if await self.store.count("told", "proxy_misconfigured", window=DAY) > 1:
                return
        except StoreError as error:  # once too often is better than never
            self.note_outage(error)
        detail: Detail = {
            "users": crowd.users,
            "active": crowd.active,
            "networks": ", ".join(crowd.groups),
            "setting": "client_ip.trusted_proxies",
        }
        mode = self.settings.client_ip.mode
        whose = f"the address of {crowd.address} or its like" if crowd.address else "no address"
        reason = (
            f"{crowd.users} of {crowd.active} active users have {whose}: a proxy is not set right, "
            "and networks are no evidence until that is mended. Set client_ip.mode to what the "
            f"proxy sends (it is {mode}{_sent(passage)}) and client_ip.trusted_proxies to the "
            "addresses of all proxies on the way; where users do share a network, name it in "
            "detection.shared_networks"
        )
        event = Event("proxy_misconfigured", reason=reason, detail=detail, notify="admins")
        await self.tell(event)

    def _is_hijack(self, record: Record, judgement: Judgement) -> bool:
        """True once for each time that a proof is asked for, and where the session ends."""
        action = judgement.verdict.action
        asked = bool(record.security.flags & STEP_UP)
        is_new = action is _STEP_UP and not (asked or judgement.is_here)
        return action is _TERMINATE or is_new

    async def _tell_app(self, session: Session, verdict: Verdict) -> None:
        """Call the app's hook; what it raises is logged, and changes nothing."""
        if self.on_hijack is None:
            return
        try:
            answer = self.on_hijack(session, verdict)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            log.exception("on_hijack failed for session %s", session.public_id)

    async def _mark(
        self,
        passage: Passage,
        record: Record,
        signal: Signal,
        flags: int,
        public_ids: Collection[str] | None = None,
    ) -> None:
        """Mark the user's other sessions: those that are named, or all."""
        listed = await self.store.sessions(record.alias)
        self.announce_ends(listed.finished)
        for other in listed.records:
            named = public_ids is None or other.public_id in public_ids
            if named and other.sid != record.sid:
                await self._flag(passage, other, signal, flags)

    async def note_reuse(self, passage: Passage, record: Record, reuse: str) -> None:
        """An old secret came back too late: its holder and the present one may differ."""
        if self._events.admits("session_reuse"):
            await self.tell(self.event("session_reuse", passage, record, reason=reuse))
        if not any(one.name == _REUSE.name for one in self.detection.detectors):
            return
        if _is_answered(record, reuse):
            return
        signal = _REUSE.found(reuse, known_context=self.is_known_context(passage, record))
        if signal is not None:
            await self._flag(passage, record, signal)

    async def _flag(
        self, passage: Passage, record: Record, signal: Signal, flags: int = FLAGGED
    ) -> None:
        """Mark a session for something that no detector of its own requests found."""
        if self.detection.policy.cap < Action.FLAG or not flags & ~record.security.flags:
            return
        memory, _ = await self.store.recall(record.alias, record.sid)
        for _attempt in range(ATTEMPTS):
            new = flags & ~record.security.flags
            if not new:  # somebody else was quicker
                return
            events = tuple(
                self.event(name, passage, record, reason=signal.reason)
                for flag, name in ((FLAGGED, "session_flagged"), (STEP_UP, "step_up_required"))
                if new & flag
            )
            noted = self.detection.note(memory.data, signal, passage.now / 1000)
            done = await self.store.remember(
                record.alias,
                record.sid,
                record.security.secret_hash,
                memory=Memory(noted, memory.version),
                flags=record.security.flags,
                set_flags=new,
                events=events,
            )
            if done.done:
                for event in events:
                    self.announce(event)
                return
            if done.gone:
                self.doubt(record.sid)
                return
            memory, record = done.memory, with_flags(record, done.flags)

    def is_known_context(self, passage: Passage, record: Record) -> bool:
        """True where this network and agent were seen before, and were not suspicious."""
        return self.context(passage) in record.seen.pairs

    def context(self, passage: Passage) -> bytes:
        """Return what stands for the network and agent of this request."""
        agent, packed = passage.request.agent, passage.client_ip.packed
        if self.detection.population.crowd is not None:
            packed = None  # nobody's own: when it is, it is new, and its network is learned
        passage.agent_digest, pair = self.detection.context(packed, agent)
        return pair

    def place_and_device(self, passage: Passage) -> Detail:
        """Say for people where a request came from, and in which browser."""
        return {
            "device": describe(passage.request.agent).label,
            "place": self.network_of(passage.client_ip.address).place,
        }

    def network_of(self, address: IPAddress | None) -> Network:
        """Look an address up; an empty network for None."""
        return NOWHERE if address is None else self.networks.lookup(address)

    def present(self, record: Record) -> Session:
        """What detectors and the app see of a record."""
        return present(record, self.networks)

    def kept_address(self, packed: bytes | None) -> bytes:
        """What the privacy settings allow to be stored of an address of 4 or 16 bytes."""
        if packed is None:
            return b""
        if self.settings.privacy.address_precision == "full":
            return packed
        text = coarse(str(ip_address(packed)), self.settings.privacy.address_precision)
        return ip_address(text).packed if text else b""

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
        ticket = passage.ticket
        public_id = record.public_id if record else ticket.sid.hex() if ticket else None
        return self._events.redacted(
            Event(  # by position, as an Observation is made
                name,
                record.user_id if record else None,
                public_id,
                reason,
                passage.client_ip.text,
                detail,
                notify,
                passage.now / 1000,
            )
        )


def _is_answered(record: Record, reuse: str) -> bool:
    """True where a proof may have come after the secret that was presented.

    The copies that a proof made worthless go on knocking; who has proved to be here MUST NOT be
    asked for it by each of them again. A stale secret may be from before the proof or after it.
    """
    security = record.security
    if security.authenticated <= security.created:
        return False
    return reuse == "stale" or security.rotated <= security.authenticated


def _sent(passage: Passage) -> str:
    """Name the header in which this very request says who its client is, if there is one."""
    sent = [name for name in FORWARDING if passage.request.header(name)]
    return f", and requests carry {', '.join(sent)}" if sent else ""
