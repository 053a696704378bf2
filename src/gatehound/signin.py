"""What a sign-in changes: begin, login, logout, rotate, re-authenticate.

Functions over a Guard and a Passage; the Visit gives them to the app. A session is always
new after a login: an id that the client brought is looked up, and never adopted. Every
change of privilege changes the secret, and the old one dies at once.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from gatehound import anonymous, presession
from gatehound.cookies import REMEMBERED as COOKIE_REMEMBERED
from gatehound.cookies import Ticket
from gatehound.detection import describe, digest
from gatehound.errors import (
    FreshLoginRequired,
    LoginRefused,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from gatehound.guard import Guard
from gatehound.listing import UserId, user_text
from gatehound.model import EndReason, Event, Network, Verdict
from gatehound.passage import LoginAttempt, Passage
from gatehound.standing import is_suspicious
from gatehound.stores.answer import Created, NewSession, Refused, Standing
from gatehound.stores.record import (
    FLAGGED,
    NOTIFIED,
    REMEMBERED,
    STEP_UP,
    Record,
    Seen,
    methods_to_bits,
    secret_hash,
)
from gatehound.stores.rule import clip_text
from gatehound.transport import note_plain_http

REFUSALS: Final = {
    "limit": "this user has as many sessions as allowed; end one of them first",
    "disabled": "this user is disabled",
    "epoch": "all sessions of this user were ended while this login was under way; start again",
}
# Proofs that count as two factors by themselves (NIST 800-63B: multi-factor authenticators).
STRONG: Final = frozenset({"passkey", "certificate"})


async def begin(guard: Guard, passage: Passage, user_id: UserId) -> LoginAttempt:
    """Note what has to hold still while credentials are checked.

    What somebody typed may be no possible id: that is an attempt which no login will use.
    """
    try:
        user = user_text(user_id)
    except UsageError:
        if not isinstance(user_id, str):
            raise
        return LoginAttempt("", 0)
    await guard.ready()
    attempt = LoginAttempt(user, await guard.store.epoch(guard.alias(user)))
    passage.attempt = attempt
    return attempt


async def login(
    guard: Guard,
    passage: Passage,
    user_id: UserId,
    *,
    attempt: LoginAttempt | None,
    remember: bool,
    methods: tuple[str, ...],
    roles: tuple[str, ...],
    carry: tuple[str, ...],
) -> Record:
    """Create a session, put its cookie on the response, and end what it replaces."""
    _before_response(passage, "login")
    _check_names(methods, roles, carry)
    user = user_text(user_id)
    if not passage.checked:  # on ignore_paths: what the browser had must end all the same
        await guard.look(passage)
    elif passage.outage is not None and passage.ticket is not None:
        await guard.look(passage, judge=True)  # the store may be back, and know what has to end
    if attempt is not None and attempt.user_id != user:
        raise UsageError(
            f"login({user!r}) was given the attempt of another user ({attempt.user_id!r})"
        )
    previous, old_ticket = passage.record, passage.ticket
    taken = await anonymous.take(guard, passage, carry)
    await guard.ready()
    while True:
        new, secret = _new_session(guard, passage, user, attempt, remember, methods, roles)
        event = _created_event(guard, passage, new)
        result = await _create(guard, new, event)
        if not isinstance(result, Refused) or result.reason != "sid":
            break  # else a session of that name is there: mint another, once in 2**64
    passage.now = result.now
    if isinstance(result, Refused):
        await guard.tell(replace(event, name="login_refused", reason=result.reason, public_id=None))
        raise LoginRefused(_refusal(result), REFUSALS[result.reason])
    record = passage.record = result.record
    passage.is_new_login, passage.ended, passage.superseded = True, None, None
    passage.outage, passage.stale, passage.rotation_due = None, False, False
    _send_secret(guard, passage, record, secret)
    presession.end(guard, passage)
    note_plain_http(guard, passage)
    guard.announce(replace(event, at=result.now / 1000))
    guard.announce_ends(result.finished)
    if previous is not None and previous.alias != record.alias and old_ticket is not None:
        try:
            await _end(guard, passage, previous, EndReason.REPLACED)
        except StoreError:
            await undo_login(guard, passage)  # who is told that it failed must not be signed in
            passage.checked = False  # the one before is still there, for another try
            raise
    if taken is not None:
        await anonymous.give(guard, passage, record, taken)
    await guard.judge_or_note(passage, record)
    return record


async def logout(guard: Guard, passage: Passage) -> bool:
    """End the session on the server, then remove the cookie; False where nobody is in."""
    _before_response(passage, "logout")
    if not passage.checked:
        await guard.look(passage)
    if passage.outage is not None:
        raise passage.outage  # the session would live on, behind a cookie that looks gone
    record = passage.record or passage.superseded
    if record is not None:
        await _end(guard, passage, record, EndReason.LOGOUT)
    passage.clear_cookie(guard.cookies)
    passage.record = None
    return record is not None


async def undo_login(guard: Guard, passage: Passage) -> None:
    """End a session whose request failed after its login: the client never got the cookie."""
    record = passage.record
    if not passage.is_new_login or record is None:
        return
    passage.is_new_login, passage.record = False, None
    passage.unsend(guard.cookies, guard.presession_cookies)
    if passage.carried is not None:  # its visitor comes back for it
        passage.unsend(guard.anonymous_cookies)
        passage.carried = None
    try:
        await _end(guard, passage, record, EndReason.UNDONE)
    except StoreError as error:
        guard.note_outage(error)  # the cookie is not sent, so nobody holds the secret


async def rotate(guard: Guard, passage: Passage) -> None:
    """Give the session a new secret; the old one is refused from now on."""
    await _rotate(guard, passage, "session_rotated", None)


async def complete(guard: Guard, passage: Passage) -> None:
    """Do what waits for a response that carries cookies, in the moment before it begins."""
    await rotate_if_due(guard, passage)
    await anonymous.end_carried(guard, passage)


async def rotate_if_due(guard: Guard, passage: Passage) -> None:
    """Give the session a new secret with a response that can carry the cookie.

    Routine: the old secret stays valid until the new one is first presented. What goes wrong
    here costs nothing: the next page load tries again.
    """
    record, ticket = passage.record, passage.ticket
    if not passage.rotation_due or record is None or ticket is None:
        return
    passage.rotation_due = False
    secret = secrets.token_bytes(32)
    event = guard.event("session_rotated", passage, record, reason="rotate_every")
    change = functools.partial(
        guard.store.rotate,
        record.alias,
        record.sid,
        secret_hash(ticket.secret),
        secret_hash(secret),
        grace=int(guard.settings.session.rotation_grace * 1000),
        event=event,
    )
    try:
        try:
            answer = await change()
        except StoreUnavailable:
            answer = await change()  # idempotent on the new secret, so ask once more
    except StoreError as error:
        guard.note_outage(error)
        return
    if answer.standing is Standing.LIVE and answer.record is not None:
        passage.record = answer.record
        passage.set_cookie(guard.cookies, replace(ticket, secret=secret))
        guard.announce(event)
    else:
        guard.doubt(record.sid)


async def reauthenticate(guard: Guard, passage: Passage, methods: tuple[str, ...]) -> None:
    """The user proved again who they are: fresh, unflagged, with a new absolute end."""
    _check_names(methods)
    record = await _rotate(guard, passage, "step_up_passed", methods)
    if is_suspicious(record):
        await guard.prove(passage, record, "signed in again")
        flags = record.security.flags & ~(FLAGGED | STEP_UP | NOTIFIED)
        passage.record = replace(record, security=replace(record.security, flags=flags))
    passage.verdict = Verdict()


async def end_sessions(
    guard: Guard,
    passage: Passage,
    reason: EndReason,
    *,
    only: bytes | None = None,
    keep: bytes | None = None,
) -> int:
    """End sessions of the user who is signed in here; return how many ended."""
    record = passage.record
    if record is None:
        return 0
    event = guard.event("session_terminated", passage, record, reason=reason.value)
    if only is not None:
        guard.doubt(only)
    done = await guard.store.revoke(record.alias, only=only, keep=keep, reason=reason, event=event)
    attempt = passage.attempt
    if only is None and attempt is not None and attempt.user_id == record.user_id:
        attempt.epoch = done.epoch  # the login under way here is the one that ended them
    guard.announce_ends(done.finished, event)
    return len(done.finished)


def aal_of(methods: tuple[str, ...]) -> int:
    """Authenticator assurance level after NIST 800-63B: 2 for two factors, else 1."""
    return 2 if len(set(methods)) > 1 or STRONG & set(methods) else 1


def _created_event(guard: Guard, passage: Passage, new: NewSession) -> Event:
    """The event of a login, with what people want to know of it."""
    address = passage.client_ip.address
    detail = {
        "device": describe(passage.request.agent).label,
        "place": guard.networks.lookup(address).place if address is not None else "",
        "methods": ", ".join(new.methods),
    }
    event = guard.event("session_created", passage, detail=detail)
    return replace(event, user_id=new.user_id, public_id=new.sid.hex())


async def _create(guard: Guard, new: NewSession, event: Event) -> Created | Refused:
    try:
        return await guard.store.create(new, event)
    except StoreUnavailable:
        # The outcome is unknown: create is idempotent on its secret, so ask once more.
        return await guard.store.create(new, event)


async def _rotate(
    guard: Guard, passage: Passage, name: str, methods: tuple[str, ...] | None
) -> Record:
    _before_response(passage, name)
    if passage.outage is not None:
        raise passage.outage
    record, ticket = passage.record, passage.ticket
    if record is None or ticket is None:
        raise FreshLoginRequired(max_age=0.0, age=None)  # it may just have expired
    limits = guard.limits(record.roles, remembered=record.remembered)
    secret = secrets.token_bytes(32)
    event = guard.event(name, passage, record, reason=", ".join(methods or ()))
    change = functools.partial(
        guard.store.rotate,
        record.alias,
        record.sid,
        secret_hash(ticket.secret),
        secret_hash(secret),
        authenticated=methods is not None,
        methods=methods,
        aal=None if methods is None else aal_of(methods),
        absolute=None if methods is None else int(limits.absolute * 1000),
        event=event,
    )
    guard.doubt(record.sid)  # the old secret has to be dead, also where an answer gets lost
    try:
        answer = await change()
    except StoreUnavailable:
        answer = await change()  # idempotent on the new secret, so ask once more
    if answer.standing is not Standing.LIVE or answer.record is None:
        raise LoginRefused("superseded", "another request changed this session first; try again")
    passage.record, passage.now = answer.record, answer.now
    _send_secret(guard, passage, answer.record, secret)
    guard.announce(event)
    return answer.record


async def _end(guard: Guard, passage: Passage, record: Record, reason: EndReason) -> None:
    event = guard.event("session_terminated", passage, record, reason=reason.value)
    guard.doubt(record.sid)  # whatever comes of it: an answer may get lost
    done = await guard.store.revoke(record.alias, only=record.sid, reason=reason, event=event)
    guard.announce_ends(done.finished, event)


def _send_secret(guard: Guard, passage: Passage, record: Record, secret: bytes) -> None:
    passage.set_cookie(
        guard.cookies,
        Ticket(
            sid=record.sid,
            alias=record.alias,
            secret=secret,
            expires=min(record.security.expires // 1000, 0xFFFFFFFF),
            flags=COOKIE_REMEMBERED if record.remembered else 0,
            attributes=guard.cookies.shape.digest,
        ),
    )


def _new_session(
    guard: Guard,
    passage: Passage,
    user: str,
    attempt: LoginAttempt | None,
    remember: bool,
    methods: tuple[str, ...],
    roles: tuple[str, ...],
) -> tuple[NewSession, bytes]:
    limits = guard.limits(roles, remembered=remember)
    alias, secret = guard.alias(user), secrets.token_bytes(32)
    address = passage.client_ip.address
    network = guard.networks.lookup(address) if address is not None else Network()
    agent = passage.request.agent
    agent_digest = digest(agent)
    seen = Seen(
        last_seen=0,
        address=guard.kept_address(address),
        country=network.country,
        place=network.place_id,
        agent=agent_digest,
        pairs=(guard.detection.pair(passage.client_ip.packed, agent_digest), b""),
    )
    previous = passage.record
    new = NewSession(
        sid=secrets.token_bytes(8),
        alias=alias,
        user_id=user,
        secret_hash=secret_hash(secret),
        idle=int(limits.idle * 1000),
        absolute=int(limits.absolute * 1000),
        seen=seen,
        roles=roles,
        flags=REMEMBERED if remember else 0,
        aal=aal_of(methods),
        methods=methods,
        agent=clip_text(agent),
        limit=limits.max_per_user,
        on_limit=limits.on_limit,
        epoch=attempt.epoch if attempt is not None else None,
        replaces=previous.sid if previous is not None and previous.alias == alias else None,
    )
    return new, secret


def _check_names(
    methods: Sequence[str], roles: Sequence[str] = (), carry: Sequence[str] = ()
) -> None:
    """Refuse a bare text, whose letters would become names, and methods nobody knows."""
    for what, names in (("methods", methods), ("roles", roles), ("carry", carry)):
        if isinstance(names, str):
            raise UsageError(f"{what}: the text {names!r} given; write ({names!r},)")
    if not methods:
        raise UsageError("methods: none given; name at least one way in which the user signed in")
    try:
        methods_to_bits(methods)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _refusal(refused: Refused) -> str:
    return "superseded" if refused.reason == "epoch" else refused.reason


def _before_response(passage: Passage, what: str) -> None:
    if passage.started:
        raise UsageError(
            f"{what}() was called after the response had begun: its cookie cannot be sent "
            "any more; call it before the first byte of the response"
        )
