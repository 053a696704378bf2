"""What a sign-in changes: begin, login, logout, rotate, re-authenticate.

Functions over a Guard and a Passage; the Visit gives them to the app. A session is always
new after a login: an id that the client brought is looked up, and never adopted. Every
change of privilege changes the secret, and the old one dies at once.
"""

from __future__ import annotations

import functools
import secrets
from typing import Final

from msgspec.structs import replace

from gatehound import anonymous, presession
from gatehound.cookies import REMEMBERED as COOKIE_REMEMBERED
from gatehound.cookies import Ticket
from gatehound.creation import aal_of, check_names, create
from gatehound.errors import (
    FreshLoginRequired,
    LoginRefused,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from gatehound.guard import Guard
from gatehound.listing import UserId, user_text
from gatehound.model import Action, EndReason, Verdict
from gatehound.passage import LoginAttempt, Passage
from gatehound.standing import is_suspicious, with_flags
from gatehound.stores.answer import Standing
from gatehound.stores.record import Record, secret_hash
from gatehound.transport import note_plain_http

NEW_DEVICE: Final = "signed_in_on_new_device"  # what the detector new_device calls it


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
    check_names(methods, roles, carry)
    user = user_text(user_id)
    await _look_first(guard, passage)
    if attempt is not None and attempt.user_id != user:
        raise UsageError(
            f"login({user!r}) was given the attempt of another user ({attempt.user_id!r})"
        )
    previous, old_ticket = passage.record, passage.ticket
    taken = await anonymous.take(guard, passage, carry)
    await guard.ready()
    created, secret, event = await create(
        guard, passage, user, attempt=attempt, remember=remember, methods=methods, roles=roles
    )
    record = passage.record = created.record
    passage.is_new_login, passage.ended, passage.superseded = True, None, None
    passage.outage, passage.stale, passage.rotation_due = None, False, False
    _send_secret(guard, passage, record, secret)
    presession.end(guard, passage)
    note_plain_http(guard, passage)
    guard.announce(event)
    guard.announce_ends(created.finished)
    if previous is not None and previous.alias != record.alias and old_ticket is not None:
        await _end_previous(guard, passage, previous)
    if taken is not None:
        await anonymous.give(guard, passage, record, taken)
    await _judge_login(guard, passage, record)
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
    _give_back(guard, passage)
    try:
        await _end(guard, passage, record, EndReason.UNDONE)
    except StoreError as error:
        guard.note_outage(error)  # the cookie is not sent, so nobody holds the secret


def _give_back(guard: Guard, passage: Passage) -> None:
    """Leave the visitor as before the login: the data that it would have carried, no device."""
    guard.device_cookies.unsend(passage)
    if passage.carried is not None:
        passage.unsend(guard.anonymous_cookies)
        passage.carried = None


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
    check_names(methods)
    record = await _rotate(guard, passage, "step_up_passed", methods)
    was_suspicious = is_suspicious(record)
    if guard.detection.enabled or was_suspicious:  # a proof forgives and teaches, flagged or not
        await guard.prove(passage, record, "signed in again")
        passage.record = with_flags(record, 0)
    # The login of a suspicious session left no cookie: nobody had proved that it was theirs.
    if was_suspicious and _knows_devices(guard):
        device = guard.device_cookies.recognise(passage, record.alias)
        guard.device_cookies.leave(passage, record.alias, device)
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


async def _look_first(guard: Guard, passage: Passage) -> None:
    """Know what session the browser had, which has to end with a login."""
    if not passage.checked:  # on ignore_paths: it must end all the same
        await guard.look(passage)
    elif passage.outage is not None and passage.ticket is not None:
        await guard.look(passage, judge=True)  # the store may be back, and know what has to end


async def _end_previous(guard: Guard, passage: Passage, previous: Record) -> None:
    """End the session of another user that the browser had; where that fails, so does the login."""
    try:
        await _end(guard, passage, previous, EndReason.REPLACED)
    except StoreError:
        await undo_login(guard, passage)  # who is told that it failed must not be signed in
        passage.checked = False  # the one before is still there, for another try
        raise


async def _judge_login(guard: Guard, passage: Passage, record: Record) -> None:
    """Judge a login by the device it came from, and leave the cookie that makes it known.

    Not where something stands against it, or where that could not be found out: who signs in
    with a stolen password would have to do so twice, and be known the second time. LoginRefused
    where policy has ended the session at once.
    """
    knows = _knows_devices(guard)
    device = guard.device_cookies.recognise(passage, record.alias) if knows else None
    passage.known_device, passage.verdict = device is not None, Verdict()
    try:
        await guard.judge(passage, record)
    except StoreError as error:  # the session that was created still stands
        guard.note_outage(error)
        knows = False
        if passage.verdict.action is Action.TERMINATE:  # it has to end, and nobody may hold it
            passage.record = record
            await undo_login(guard, passage)
            raise
    await _tell_new_device(guard, passage, record)
    if passage.ended is not None:
        await _refuse_ended(guard, passage, record)
    judged, is_calm = passage.record, passage.verdict.action < Action.FLAG
    if knows and is_calm and judged is not None and not is_suspicious(judged):
        guard.device_cookies.leave(passage, record.alias, device)


async def _refuse_ended(guard: Guard, passage: Passage, record: Record) -> None:
    """Refuse a login whose session policy has ended already: nobody may believe to be in."""
    passage.is_new_login, passage.ticket = False, None
    passage.unsend(guard.cookies)
    _give_back(guard, passage)
    event = guard.event("login_refused", passage, record, reason="suspicious")
    await guard.tell(replace(event, public_id=None))
    raise LoginRefused("suspicious", "this sign-in looked as if it was somebody else's")


async def _tell_new_device(guard: Guard, passage: Passage, record: Record) -> None:
    """Tell of a login on a new device; the user hears of it where the country is new too."""
    found = next((one for one in passage.verdict.signals if one.code == NEW_DEVICE), None)
    if found is None or found.weight < guard.settings.policy.record:
        return
    tells = found.detail.get("country_is_new") and guard.detection.policy.cap >= Action.FLAG
    event = guard.event(
        "login_new_device",
        passage,
        record,
        reason=found.reason,
        detail=guard.place_and_device(passage),
        notify="user" if tells else "",
    )
    await guard.tell(event)


def _knows_devices(guard: Guard) -> bool:
    """False where nothing would look at the cookie: then it is neither read nor sent."""
    return guard.settings.session.known_devices and guard.detection.enabled


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


def _before_response(passage: Passage, what: str) -> None:
    if passage.started:
        raise UsageError(
            f"{what}() was called after the response had begun: its cookie cannot be sent "
            "any more; call it before the first byte of the response"
        )
