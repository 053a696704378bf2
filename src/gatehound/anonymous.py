"""Data of visitors: a session of a class of its own, with its own cookie, that signs nobody in.

Nothing is asked of the store, and nothing is created, unless the app uses it: the first write
creates, so that visitors and robots who only look cost nothing. It has no user: its alias is
random, its user id is "", which no user can have, and neither address nor agent is kept. A
login never turns one into a signed-in session, because whoever planted its cookie would then
be signed in too: it makes a new one, and copies what the app names.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from gatehound.cookies import ANONYMOUS as COOKIE_ANONYMOUS
from gatehound.cookies import REMEMBERED as COOKIE_REMEMBERED
from gatehound.cookies import Ticket
from gatehound.data import Data, Purpose
from gatehound.errors import StoreError, StoreUnavailable, UsageError
from gatehound.guard import Guard
from gatehound.model import EndReason
from gatehound.passage import Passage
from gatehound.stores.answer import NewSession, Refused, Standing
from gatehound.stores.record import ALIAS_BYTES, ANONYMOUS, SID_BYTES, Record, Seen, secret_hash

NOBODY: Final = ""  # `user_text` refuses it, so it is nobody's id


class AnonymousData(Data):
    """App data of a visitor; the first write makes a session for it, and sends its cookie."""

    async def _owner(self, purpose: Purpose) -> Record | None:
        record = await find(self._guard, self._passage)
        if record is None and purpose == "write":
            record = await _make(self._guard, self._passage)
        return record


async def find(guard: Guard, passage: Passage) -> Record | None:
    """Return the anonymous session of this request, or None; asked of the store once."""
    if passage.looked:
        return passage.anonymous
    ticket = guard.open(passage, guard.anonymous_cookies)
    if ticket is not None:
        passage.anonymous = await _load(guard, passage, ticket)
    passage.looked = True
    return passage.anonymous


async def take(guard: Guard, passage: Passage, names: Sequence[str]) -> dict[str, bytes] | None:
    """Return what a login is to carry over; None where there is nothing to end after it.

    A store that fails here and in `give` costs the copy and not the login: the visitor keeps
    data and cookie as they were, and the app may copy later.
    """
    try:
        record = await find(guard, passage) if names else None
        if record is None:
            return None
        return await guard.store.data_get(record.alias, record.sid, list(names))
    except StoreError as error:
        guard.note_outage(error)
        return None


async def give(guard: Guard, passage: Passage, owner: Record, taken: dict[str, bytes]) -> None:
    """Put what was taken into the session of a login, and leave the rest to end.

    That session and its cookie are there already: raising would tell the app that they are not.
    """
    try:
        if await guard.store.data_set(owner.alias, owner.sid, taken):
            _leave(guard, passage)
    except StoreError as error:
        guard.note_outage(error)


def _leave(guard: Guard, passage: Passage) -> None:
    """Its data is in the new session: remove the cookie, and end it once the response begins.

    Not yet, because a login whose response fails is undone, and the visitor comes back for it.
    """
    passage.carried, passage.anonymous, passage.newcomer = passage.anonymous, None, None
    passage.clear(guard.anonymous_cookies)


async def end_carried(guard: Guard, passage: Passage) -> None:
    """End the session whose data a login took; one that stays meets its timeout."""
    record, passage.carried = passage.carried, None
    if record is None:
        return
    try:
        await guard.store.revoke(record.alias, only=record.sid, reason=EndReason.REPLACED)
    except StoreError as error:
        guard.note_outage(error)


async def _load(guard: Guard, passage: Passage, ticket: Ticket) -> Record | None:
    answer = await guard.ask(passage, ticket)
    record = answer.record
    if record is None or answer.standing is not Standing.LIVE:
        return None
    if not record.security.flags & ANONYMOUS:
        return None  # somebody's session, whatever opened it
    life = int(guard.settings.session.anonymous_timeout * 1000)
    if answer.now >= record.security.created + life:  # the setting was tightened since
        await guard.store.revoke(record.alias, only=record.sid, reason=EndReason.ABSOLUTE)
        return None
    codec = guard.anonymous_cookies
    if ticket.attributes != codec.shape.digest and not passage.started:
        passage.send(codec, ticket, now=answer.now / 1000)
    return record


async def _make(guard: Guard, passage: Passage) -> Record:
    if passage.started:
        raise UsageError(
            "the first write to visit.anonymous came after the response had begun: its cookie "
            "cannot be sent any more; write before the first byte of the response"
        )
    if passage.newcomer is None:
        passage.newcomer = _newcomer(guard)
    new, secret = passage.newcomer  # two writes at the same time in one request make one session
    await guard.ready()
    try:
        result = await guard.store.create(new)
    except StoreUnavailable:
        result = await guard.store.create(new)  # idempotent on its secret, so ask once more
    if isinstance(result, Refused):
        passage.newcomer = None
        raise StoreUnavailable(f"an anonymous session was refused: {result.reason}")
    ticket = Ticket(
        sid=new.sid,
        alias=new.alias,
        secret=secret,
        expires=min(result.record.security.expires // 1000, 0xFFFFFFFF),
        flags=COOKIE_REMEMBERED | COOKIE_ANONYMOUS,
        attributes=guard.anonymous_cookies.shape.digest,
    )
    passage.send(guard.anonymous_cookies, ticket, now=result.now / 1000)
    passage.anonymous = result.record
    return result.record


def _newcomer(guard: Guard) -> tuple[NewSession, bytes]:
    secret = secrets.token_bytes(32)
    life = int(guard.settings.session.anonymous_timeout * 1000)
    new = NewSession(
        sid=secrets.token_bytes(SID_BYTES),
        alias=secrets.token_bytes(ALIAS_BYTES),
        user_id=NOBODY,
        secret_hash=secret_hash(secret),
        idle=life,
        absolute=life,
        seen=Seen(last_seen=0),
        flags=ANONYMOUS,
        methods=(),
        limit=None,  # a user's limit is no limit of visitors
    )
    return new, secret
