"""What is known of an event when it is told: the session, the device, the place, the link.

Belongs here: questions to the store and to what the app gave. An event says what was written with
it; the rest is asked for when somebody is told, and left out where it is gone.
"""

from __future__ import annotations

import unicodedata
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import msgspec

from gatehound.errors import StoreCorrupt
from gatehound.listing import shown
from gatehound.model import EndReason, Event, Network, Session
from gatehound.notify.ledger import Ref
from gatehound.stores.answer import EventQuery, Query

if TYPE_CHECKING:
    from gatehound.guard import Guard

LONGEST: Final = 120  # characters of what comes from outside; a reason may have more
LONGEST_REASON: Final = 400
SIGN_INS: Final = frozenset({"session_created", "login_new_device"})
PAGES: Final = 20  # of events of one moment, which are fewer


class Fact(msgspec.Struct, frozen=True):
    """One event, and what is known of it; "" where nothing is.

    Texts are one printable line each. `address`, `place` and `browser` are those of whoever did it,
    which may be a thief; `began_on`, `began_in` and `began_at` (seconds since 1970) are those of
    the sign-in. `link` is where the user says "this was not me", None where nobody can say it.
    """

    event: Event
    address: str = ""
    place: str = ""
    browser: str = ""
    began_on: str = ""
    began_in: str = ""
    began_at: float | None = None
    is_over: bool = False
    reasons: tuple[str, ...] = ()
    link: str | None = None
    user_name: str = ""


async def fact_of(guard: Guard, event: Event) -> Fact:
    """Find out what is known of an event."""
    session, is_over = await _session_of(guard, event)
    signed_in = await _sign_in_of(guard, event)
    began = {} if signed_in is None else {k: str(v or "") for k, v in signed_in.detail.items()}
    address, place, browser = _where(guard, event)
    return Fact(
        event,
        address=plain(address),
        place=plain(place),
        browser=plain(browser),
        began_on=plain(began.get("device") or (session.device if session else "")),
        began_in=plain(began.get("place", "")),
        began_at=session.created if session else signed_in.at if signed_in else None,
        is_over=is_over,
        reasons=() if event.name == "session_terminated" else reasons_of(event),
        link=None if session is None else link_of(guard, session),
        user_name=plain(name_of(guard, event.user_id)),
    )


async def found(guard: Guard, ref: Ref) -> Event | None:
    """Read an event of the log again; None where it was erased."""
    query = EventQuery(names=(ref.name,), since=ref.at, until=ref.at + 1)
    for _page in range(PAGES):
        page = await guard.store.events(query)
        for event in page.events:
            if event.id == ref.id:
                return event
        if not page.cursor:
            break
        query = msgspec.structs.replace(query, cursor=page.cursor)
    return None


def token_of(guard: Guard, event: Event) -> tuple[str, ...]:
    """Return what makes two events the same news: who, what, from which network, on what."""
    network = str(event.detail.get("networks") or "")
    if event.address:
        network = network_of(guard, event.address).prefix or event.address
    return event.name, event.user_id or "", network, str(event.detail.get("device") or "")


def network_of(guard: Guard, address: str) -> Network:
    """Look up the address of an event; an empty network where it is none."""
    try:
        return guard.networks.lookup(ip_address(address))
    except ValueError:
        return Network()


def link_of(guard: Guard, session: Session) -> str | None:
    """Return the URL on which the user says that it was not them; None where there are no pages."""
    site = guard.settings.notify.site_url
    if site is None or guard.settings.web.path is None:
        return None
    return f"{site}{guard.notice_path(session)}"


def name_of(guard: Guard, user_id: str | None) -> str:
    """Return what the app calls a user; "" where it does not say."""
    if user_id is None or guard.users.describe is None:
        return ""
    return guard.users.describe([user_id]).get(user_id, ("", ""))[0]


def reasons_of(event: Event) -> tuple[str, ...]:
    """Return the reasons of an event, a sentence each, and each once; see judging._reasons."""
    found = (plain(one, LONGEST_REASON) for one in event.reason.split("; "))
    return tuple(dict.fromkeys(one for one in found if one))


def plain(text: str, longest: int = LONGEST) -> str:
    """Make one printable line of what comes from outside.

    No line breaks, no control characters, nothing that turns the direction of writing, and no
    "://", of which mail programs make links by themselves.
    """
    kept = "".join(one if unicodedata.category(one)[0] not in "CZ" else " " for one in text)
    line = " ".join(kept.replace("://", ": ").split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _where(guard: Guard, event: Event) -> tuple[str, str, str]:
    """Return the address, place and browser of whoever did it."""
    if event.reason == EndReason.REPORTED:
        return "", "", ""  # they are those of the user who reported it, and of no interest to them
    said = {key: str(event.detail.get(key) or "") for key in ("place", "device")}
    place = said["place"] or network_of(guard, event.address).place
    return event.address, place, said["device"]


async def _session_of(guard: Guard, event: Event) -> tuple[Session | None, bool]:
    """Return the living session that it is about; and True where there was one, which is over."""
    if event.user_id is None or event.public_id is None:
        return None, False
    if event.name == "session_terminated":
        return None, True
    try:
        # Not guard.sessions_of, which ends what has expired and announces it: the app's sinks are
        # called by requests, and not from the notifier's thread.
        page = await guard.store.search(Query(guard.alias(event.user_id), limit=1000))
        records = [one for one in page.records if one.sid.hex() == event.public_id]
        sessions = await shown(guard.store, guard.detection, guard.users, records)
    except StoreCorrupt:  # a record that nobody can read: the rest can be told all the same
        return None, False
    session = next(iter(sessions), None)
    return session, session is None


async def _sign_in_of(guard: Guard, event: Event) -> Event | None:
    """Return the sign-in of a session: where and on what it began."""
    if event.public_id is None or event.name in SIGN_INS:
        return None  # itself
    query = EventQuery(public_id=event.public_id, names=("session_created",), limit=1)
    page = await guard.store.events(query)
    return next(iter(page.events), None)
