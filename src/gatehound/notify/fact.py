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
from gatehound.model import EndReason, Event, Network, Session
from gatehound.notify.ledger import Ref
from gatehound.stores.answer import EventQuery

if TYPE_CHECKING:
    from gatehound.guard import Guard

LONGEST: Final = 120  # characters of what comes from outside; a reason may have more
LONGEST_REASON: Final = 400
PAGES: Final = 20  # of events of one moment, which are fewer


class Fact(msgspec.Struct, frozen=True):
    """One event, and what is known of it; "" where nothing is.

    Texts are one printable line each. `address` and `place` are those of whoever did it, and
    `link` is where the user says "this was not me", None where the session is over.
    """

    event: Event
    device: str = ""
    place: str = ""
    address: str = ""
    reasons: tuple[str, ...] = ()
    link: str | None = None
    user_name: str = ""


async def fact_of(guard: Guard, event: Event) -> Fact:
    """Find out what is known of an event."""
    session = await _session_of(guard, event)
    signed_in = None if session is not None else await _sign_in_of(guard, event)
    said = {key: str(value or "") for key, value in event.detail.items()}
    told = {} if signed_in is None else {k: str(v or "") for k, v in signed_in.detail.items()}
    device = said.get("device") or (session.device if session else told.get("device", ""))
    if event.reason == EndReason.REPORTED:
        # The address is that of the user who reported it, and of no interest to them.
        address, place = "", session.place if session else told.get("place", "")
    else:
        address, place = event.address, said.get("place") or network_of(guard, event.address).place
    return Fact(
        event,
        device=plain(device),
        place=plain(place),
        address=plain(address),
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
    """Return the reasons of an event, a sentence each."""
    return tuple(plain(one, LONGEST_REASON) for one in event.reason.split("; ") if one.strip())


def plain(text: str, longest: int = LONGEST) -> str:
    """Make one printable line of what comes from outside.

    No line breaks, no control characters, nothing that turns the direction of writing, and no
    "://", of which mail programs make links by themselves.
    """
    kept = "".join(one if unicodedata.category(one)[0] not in "CZ" else " " for one in text)
    line = " ".join(kept.replace("://", ": ").split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


async def _session_of(guard: Guard, event: Event) -> Session | None:
    if event.user_id is None or event.public_id is None or event.name == "session_terminated":
        return None
    try:
        listed = await guard.sessions_of(event.user_id)
    except StoreCorrupt:  # a record that nobody can read: the rest can be told all the same
        return None
    return next((one for one in listed if one.public_id == event.public_id), None)


async def _sign_in_of(guard: Guard, event: Event) -> Event | None:
    """Return the sign-in of a session that is over: where and on what it began."""
    if event.public_id is None:
        return None
    query = EventQuery(public_id=event.public_id, names=("session_created",), limit=1)
    page = await guard.store.events(query)
    return next(iter(page.events), None)
