"""What becomes of an event: whom it is told, what is the same news again, what belongs together.

The rules, in their order:
  1. An event is for whom its `notify` names; users hear of nothing that a stranger can cause at
     will (gatehound.events.FLOODABLE), or a stranger would decide how much mail they get.
  2. The same news (fact.token_of) is told once in 24 hours, but for ends of a session, which are
     told each time.
  3. What happens to one recipient until their letter is sent joins it: one incident, one letter.
  4. So many letters an hour and in two days; the next waits until it may go, and says all
     that happened meanwhile. Nothing is lost, and nobody is flooded.
  5. What is urgent never waits behind what is routine: it counts by itself, and takes along what
     waits. For admins each kind of news counts by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from gatehound.events import FLOODABLE
from gatehound.model import EndReason, Event
from gatehound.notify.ledger import DAY, HOUR, MOST, REFS_EACH, Item, Ref, Track, Whom, digest

ALWAYS: Final = frozenset({"session_terminated"})
TWO_DAYS: Final = 2 * DAY
ADMINS: Final = b"admins"
# What somebody has to act on, or what somebody waits for an answer to. Each can be caused often,
# and so each has the cap of the settings by itself: six kinds, 18 letters an hour at the default.
# By name and reason, "" for any other one. Append only: the numbers are in the ledger.
URGENT: Final = {
    ("session_terminated", ""): 1,
    ("session_terminated", EndReason.REPORTED.value): 2,
    ("session_terminated", EndReason.SUSPICIOUS.value): 3,
    ("login_guessing", ""): 4,
    ("login_spray", ""): 5,
    ("proxy_misconfigured", ""): 6,
    ("sessions_moved", ""): 7,
}
# Letters an hour to the admins beyond which nothing routine goes: one in six minutes is read still,
# and three kinds of news find room in it. It counts all, and holds up nothing urgent.
ALL_ADMINS: Final = MOST


class Held(msgspec.Struct, frozen=True):
    """Until when something waits, because of `most` letters in `span` ms; 0 where it does not."""

    until: int = 0
    most: int = 0
    span: int = 0


def recipients(event: Event) -> Iterator[Whom]:
    """Yield who should have a letter about it."""
    if event.notify in ("user", "both") and event.user_id and event.name not in FLOODABLE:
        yield "user"
    if event.notify in ("admins", "both"):
        yield "admins"


def urgency(event: Event) -> int:
    """Return the number of this kind of urgent news, 0 where it is routine."""
    return URGENT.get((event.name, event.reason)) or URGENT.get((event.name, ""), 0)


def is_news(track: Track, event: Event, token: tuple[str, ...], secret: bytes) -> bool:
    """Say whether this was not told in the last day, and note that it is now."""
    now, key = round(event.at * 1000), digest(secret, *token)
    last = track.told.get(key)
    if event.name not in ALWAYS and last is not None and now - last < DAY:
        return False
    track.told[key] = now
    return True


def add_letter(track: Track, event: Event, whom: Whom, secret: bytes, *, settle: int) -> None:
    """Put an event into the letter that waits for its recipient, or begin one."""
    who = ADMINS if whom == "admins" else digest(secret, event.user_id or "")
    ref = Ref.of(event, urgency(event))
    for item in track.items:
        if item.who == who and not item.since:
            _join(item, ref)
            item.due = min(item.due, ref.at + settle)  # one that is held may go for this one
            return
    track.items.append(_item(ref, whom, who, secret, settle))


def add_notice(track: Track, event: Event, secret: bytes) -> None:
    """Put an event into the line of a channel to a program."""
    track.items.append(_item(Ref.of(event), "", b"", secret, 0))


def held(track: Track, item: Item, *, per_hour: int, per_two_days: int) -> Held:
    """Say until when a letter waits. What may go first takes along all that waits with it."""
    own = ((per_hour, HOUR), (per_two_days, TWO_DAYS))
    kinds = {_key(item, ref): ref for ref in item.refs}
    found = [_held(track, item, ref, own) for ref in kinds.values()]
    return min(found, key=_until, default=Held())


def note_sent(track: Track, item: Item, now: int) -> None:
    """Count a letter that goes now."""
    for key in {item.who, *(_key(item, ref) for ref in item.refs)}:
        track.sent.setdefault(key, []).append(now)


def _held(track: Track, item: Item, ref: Ref, own: tuple[tuple[int, int], ...]) -> Held:
    """Say until when one event would wait; of several caps the last counts."""
    caps = [(_key(item, ref), most, span) for most, span in own]
    if item.whom == "admins" and not ref.urgent:
        caps.append((item.who, ALL_ADMINS, HOUR))
    found = [Held()]
    for key, most, span in caps:
        times = track.sent.get(key, [])
        if len(times) >= most:
            found.append(Held(times[-most] + span, most, span))
    return max(found, key=_until)


def _key(item: Item, ref: Ref) -> bytes:
    """Return under what an event counts: for a user all that is routine is one thing."""
    if item.whom == "admins":
        return digest(item.who, str(ref.urgent) if ref.urgent else f"routine {ref.name}")
    return digest(item.who, "end") if ref.urgent else item.who


def _until(one: Held) -> int:
    return one.until


def _join(item: Item, ref: Ref) -> None:
    """Add an event to a letter; where that is full, urgent news takes the place of routine."""
    if len(item.refs) < REFS_EACH:
        item.refs.append(ref)
        return
    item.more += 1
    routine = next((one for one in reversed(item.refs) if not one.urgent), None)
    if ref.urgent and routine is not None:
        item.refs.remove(routine)
        item.refs.append(ref)


def _item(ref: Ref, whom: Whom, who: bytes, secret: bytes, settle: int) -> Item:
    key = digest(secret, ref.id, ref.name, str(ref.at), who.hex(), size=12)
    return Item(key, whom, who, [ref], ref.at + settle)
