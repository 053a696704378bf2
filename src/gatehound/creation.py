"""What a login asks the store to create: the session, and the event that tells of it.

Whether its credentials were right, the app has decided; whether it is refused, the store does.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from gatehound.errors import LoginRefused, StoreUnavailable, UsageError
from gatehound.guard import Guard
from gatehound.model import Event, Network
from gatehound.passage import LoginAttempt, Passage
from gatehound.stores.answer import Created, NewSession, Refused
from gatehound.stores.record import REMEMBERED, Seen, methods_to_bits, secret_hash
from gatehound.stores.rule import clip_text

REFUSALS: Final = {
    "limit": "this user has as many sessions as allowed; end one of them first",
    "disabled": "this user is disabled",
    "epoch": "all sessions of this user were ended while this login was under way; start again",
}
# Proofs that count as two factors by themselves (NIST 800-63B: multi-factor authenticators).
STRONG: Final = frozenset({"passkey", "certificate"})


async def create(
    guard: Guard,
    passage: Passage,
    user: str,
    *,
    attempt: LoginAttempt | None,
    remember: bool,
    methods: tuple[str, ...],
    roles: tuple[str, ...],
) -> tuple[Created, bytes, Event]:
    """Return the new session, its secret, and what the sinks have to hear of it.

    LoginRefused, which has been told then, where the store refuses it.
    """
    while True:
        new, secret = _new_session(guard, passage, user, attempt, remember, methods, roles)
        event = _created_event(guard, passage, new)
        result = await _ask(guard, new, event)
        if not isinstance(result, Refused) or result.reason != "sid":
            break  # else a session of that name is there: mint another, once in 2**64
    passage.now = result.now
    if isinstance(result, Refused):
        await guard.tell(replace(event, name="login_refused", reason=result.reason, public_id=None))
        raise LoginRefused(_refusal(result), REFUSALS[result.reason])
    return result, secret, replace(event, at=result.now / 1000)


def aal_of(methods: tuple[str, ...]) -> int:
    """Authenticator assurance level after NIST 800-63B: 2 for two factors, else 1."""
    return 2 if len(set(methods)) > 1 or STRONG & set(methods) else 1


def check_names(
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


def _created_event(guard: Guard, passage: Passage, new: NewSession) -> Event:
    """The event of a login, with what people want to know of it."""
    detail = {**guard.place_and_device(passage), "methods": ", ".join(new.methods)}
    event = guard.event("session_created", passage, detail=detail)
    return replace(event, user_id=new.user_id, public_id=new.sid.hex())


async def _ask(guard: Guard, new: NewSession, event: Event) -> Created | Refused:
    try:
        return await guard.store.create(new, event)
    except StoreUnavailable:
        # The outcome is unknown: create is idempotent on its secret, so ask once more.
        return await guard.store.create(new, event)


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
    pair = guard.context(passage)
    seen = Seen(
        last_seen=0,
        address=guard.kept_address(passage.client_ip.packed),
        country=network.country,
        place=network.place_id,
        agent=passage.agent_digest,
        pairs=(pair, b""),
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


def _refusal(refused: Refused) -> str:
    return "superseded" if refused.reason == "epoch" else refused.reason
