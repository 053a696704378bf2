"""What becomes of an event: whom it is told, what is the same news again, what belongs together.

The rules, in their order:
  1. An event is for whom its `notify` names; users hear of nothing that a stranger can cause at
     will (gatehound.events.FLOODABLE), or a stranger would decide how much mail they get.
  2. The same news (fact.token_of) is told once in 24 hours, but for ends of a session, which are
     told each time.
  3. What happens to one recipient until their letter is sent joins it: one incident, one letter.
  4. So many letters an hour and in two days; the next waits until it may go, and says all
     that happened meanwhile. Nothing is lost, and nobody is flooded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gatehound.events import FLOODABLE
from gatehound.model import Event
from gatehound.notify.ledger import DAY, HOUR, REFS_EACH, Item, Ref, Track, Whom, digest

ALWAYS: Final = frozenset({"session_terminated"})
TWO_DAYS: Final = 2 * DAY
ADMINS: Final = b"admins"


def recipients(event: Event) -> Iterator[Whom]:
    """Yield who should have a letter about it."""
    if event.notify in ("user", "both") and event.user_id and event.name not in FLOODABLE:
        yield "user"
    if event.notify in ("admins", "both"):
        yield "admins"


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
    ref = Ref.of(event)
    for item in track.items:
        if item.who == who and not item.since:
            if len(item.refs) < REFS_EACH:
                item.refs.append(ref)
            else:
                item.more += 1
            return
    track.items.append(_item(ref, whom, who, secret, settle))


def add_notice(track: Track, event: Event, secret: bytes) -> None:
    """Put an event into the line of a channel to a program."""
    track.items.append(_item(Ref.of(event), "", b"", secret, 0))


def free_at(track: Track, who: bytes, *, per_hour: int, per_two_days: int) -> int:
    """Return from when on one more letter may go to somebody; 0 where it may always."""
    times = track.sent.get(who, [])
    free = 0
    for most, span in ((per_hour, HOUR), (per_two_days, TWO_DAYS)):
        if len(times) >= most:
            free = max(free, times[-most] + span)
    return free


def _item(ref: Ref, whom: Whom, who: bytes, secret: bytes, settle: int) -> Item:
    key = digest(secret, ref.id, ref.name, str(ref.at), who.hex(), size=12)
    return Item(key, whom, who, [ref], ref.at + settle)
