"""What follows from failed credentials that the app reports: a line, and at times an alarm.

The app is told nothing and nobody is locked out, whatever the counts say (gatehound.guessing).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from msgspec.structs import replace

from gatehound import guessing
from gatehound.errors import SettingsError, StoreError, UsageError
from gatehound.guard import Guard
from gatehound.guessing import MORE, Attack
from gatehound.listing import UserId, user_text
from gatehound.model import Detail, Event
from gatehound.passage import Passage
from gatehound.stores.rule import clip_text

Address: TypeAlias = IPv4Address | IPv6Address


async def login_failed(guard: Guard, passage: Passage, user_id: UserId | None, reason: str) -> None:
    """Count it, write its line unless there are too many, and tell admins of an attack."""
    shown = None if user_id is None else clip_text(str(user_id)[:200]) or None
    found: tuple[Attack, ...] = ()
    is_down = False
    if guard.detection.enabled:
        try:
            await guard.ready()
            found = await guessing.count(guard, counted_address(guard, passage), _name(user_id))
        except (StoreError, SettingsError):  # the latter: a foreign or moved file
            is_down = True
    if guard.admits("login_failed"):
        event = guard.event("login_failed", passage, reason=clip_text(reason[:200]))
        event = replace(event, user_id=shown)
        if is_down:  # the line, and no second try
            guard.announce(event)
        else:
            await guard.tell(event)
    elif not is_down:
        await guard.tell_held()  # of other names, and of nothing in most cases
    for attack in found:
        if guard.admits(f"login_{'spray' if attack.on == 'network' else 'guessing'}"):
            await guard.tell(_alarm(guard, passage, attack, shown))


def counted_address(guard: Guard, passage: Passage) -> Address | None:
    """Return the address of a client; None while all seem to have that of a proxy."""
    return None if guard.detection.population.crowd else passage.client_ip.address


def _name(user_id: UserId | None) -> str | None:
    """Return the id as a login would take it; what can be none is counted as it is shown."""
    if user_id is None:
        return None
    try:
        return user_text(user_id)
    except UsageError:
        return clip_text(str(user_id)[:200]) or None


def _alarm(guard: Guard, passage: Passage, attack: Attack, user: str | None) -> Event:
    """Make the event of an attack. Never for the user: anybody could fill their mailbox."""
    if attack.name == MORE:
        return _overflow(guard, passage, attack)
    if attack.on == "user":
        reason = f"{attack.attempts} sign-ins of one user failed within the hour"
        detail = {"attempts": attack.attempts, "networks": attack.others}
        event = guard.event(
            "login_guessing", passage, reason=reason, detail=detail, notify="admins"
        )
        return replace(event, public_id=None, user_id=user)
    reason = f"sign-ins of {attack.others} users failed from one network within the hour"
    network = guard.network_of(passage.client_ip.address)
    where: Detail = {
        "network": attack.name if "/" in attack.name else "",
        "attempts": attack.attempts,
        "users": attack.others,
        "country": network.country,
        "organisation": network.organisation,
    }
    event = guard.event("login_spray", passage, reason=reason, detail=where, notify="admins")
    return replace(event, public_id=None)


def _overflow(guard: Guard, passage: Passage, attack: Attack) -> Event:
    """Make the event of more users or networks than are told apart: whose they are is not known."""
    name = "login_guessing" if attack.on == "user" else "login_spray"
    reason = (
        f"sign-ins of more than {attack.others:,} {attack.on}s failed within the hour: "
        "the others are not told apart, and attacks on them not named"
    )
    detail = {f"{attack.on}s": attack.others}
    event = guard.event(name, passage, reason=reason, detail=detail, notify="admins")
    return replace(event, public_id=None, user_id=None)
