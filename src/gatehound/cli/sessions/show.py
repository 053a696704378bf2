"""`gatehound sessions show`: everything of one session."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from gatehound.cli.events.line import in_words
from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, Nothing, tell, tell_json
from gatehound.cli.sessions.listing import tree_of
from gatehound.cli.table import exact, named, tell_pairs

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.model import Event, Session

EVENTS: Final = 10


@click.command(cls=GuardCommand)
@click.argument("public_id")
@click.option(
    "--user", metavar="ID", help="Whose session it is; without it, whom the log of events names."
)
@takes_settings
@AS_JSON
def show(public_id: str, user: str | None, source: Source, as_json: bool) -> None:
    """Show one session, why it is flagged, and its latest events.

    Of a session that is over the events are shown, which say why. Exits with 0, 1 where the
    session is not there (any more), 2 where something given is wrong, and 3 where the store does
    not answer.
    """
    with opened(source) as guard:
        admin = guard.sync
        user = user or _owner(admin, public_id)
        listed = admin.sessions_of(user)
        found = next((one for one in listed if one.public_id == public_id), None)
        events = admin.events(user_id=user, public_id=public_id, limit=EVENTS).events
    if as_json:
        tell_json(_tree(found, events))
    else:
        _tell(public_id, found, events)
    raise SystemExit(0 if found else 1)


def _owner(admin: SyncAdmin, public_id: str) -> str:
    """Return whose session it is, by the log: no store finds a session by its public id."""
    for event in admin.events(public_id=public_id, limit=EVENTS).events:
        if event.user_id:
            return event.user_id
    raise Nothing(
        f"no event names the session {public_id!a} and its user; add --user ID, or look for it "
        "with `gatehound sessions list`"
    )


def _tell(public_id: str, session: Session | None, events: Collection[Event]) -> None:
    if session is None:
        tell((f"The session {public_id!a} of this user is not there (any more).",))
    else:
        tell_pairs(_pairs(session))
    if events:
        tell(("", "Latest events:", *map(in_words, events)))


def _pairs(one: Session) -> Iterator[tuple[str, str]]:
    yield "session", one.public_id
    yield "user", named(one)
    yield "roles", ", ".join(one.roles) or "none"
    yield "device", one.device
    yield "agent", one.agent or "not known"
    yield "address", "not known" if one.address is None else str(one.address)
    yield "place", one.place or one.country or "not known"
    yield "created", exact(one.created)
    yield "authenticated", f"{exact(one.authenticated_at)} by {', '.join(one.methods)}"
    yield "assurance", f"level {one.aal}"
    yield "last seen", exact(one.last_seen)
    yield "ends if idle", exact(one.idle_expires)
    yield "ends", f"{exact(one.expires)}{', remembered' if one.remembered else ''}"
    yield "flagged", "yes" if one.flagged else "no"
    for reason in one.reasons:
        yield "", reason


def _tree(session: Session | None, events: Collection[Event]) -> dict[str, Any]:
    from gatehound import exporting

    return {
        "session": None if session is None else tree_of(session),
        "events": [exporting.tree_of(event) for event in events],
    }
