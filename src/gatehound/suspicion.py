"""From where flagged sessions were used, out of the log; loaded when an admin asks.

The record of a flagged session keeps the address of its owner, so that no search by address finds
it where it matters: from where a thief used it is in the events alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from gatehound.listing import UserId
from gatehound.model import Event, Session

if TYPE_CHECKING:
    from gatehound.admin import Admin

# What is written of the request that made a session suspicious, with its address.
MARKS: Final = ("session_flagged", "session_ip_shift", "session_geo_anomaly", "step_up_required")
MOST_EVENTS: Final = 100
MOST_USERS: Final = 20  # each is a trip to the store
MOST_PAGES: Final = 5  # a page may be short, and not the last

Owner: TypeAlias = tuple[str, str]  # user id and public id


async def marks_of(
    admin: Admin,
    *,
    user_id: UserId | None = None,
    public_id: str | None = None,
    network: str | None = None,
) -> dict[Owner, Event]:
    """Return the newest event with an address that stands against each session, the newest first.

    ValueError where the network cannot be read.
    """
    found: dict[Owner, Event] = {}
    cursor, room = "", MOST_EVENTS
    for _ in range(MOST_PAGES):
        page = await admin.events(
            user_id=user_id,
            public_id=public_id,
            names=MARKS,
            network=network,
            cursor=cursor,
            limit=room,
        )
        for event in page.events:
            if event.user_id is not None and event.public_id is not None and event.address:
                found.setdefault((event.user_id, event.public_id), event)
        cursor, room = page.cursor, room - len(page.events)
        if not cursor or room < 1:
            break
    return found


async def flagged_from(admin: Admin, network: str) -> list[tuple[Session, Event]]:
    """Return flagged sessions that live, each with what tells that it was used from a network.

    Of at most MOST_USERS users, who were last flagged from there, the newest first.
    """
    marks = await marks_of(admin, network=network)
    users = list(dict.fromkeys(user for user, _ in marks))[:MOST_USERS]
    living = {
        (user, session.public_id): session
        for user in users
        for session in await admin.sessions_of(user)
        if session.flagged
    }
    return [(living[owner], mark) for owner, mark in marks.items() if owner in living]
