"""`gatehound sessions list`: who is signed in, newest first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gatehound.cli.filters import SessionFilter, takes_sessions
from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_aside, tell_json
from gatehound.cli.table import tell_sessions

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.cli.sessions.scan import Run
    from gatehound.model import Session

MOST = 100_000
"""What a table of one run may hold; for more there is the cursor."""


@click.command("list", cls=GuardCommand)
@takes_sessions
@click.option("--visitors", is_flag=True, help="Those of visitors who have not signed in.")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=50,
    show_default=True,
    metavar="N",
    help="How many to find.",
)
@click.option("--cursor", default="", metavar="C", help="Go on where the run before ended.")
@takes_settings
@AS_JSON
def list_sessions(
    wanted: SessionFilter, visitors: bool, limit: int, cursor: str, source: Source, as_json: bool
) -> None:
    """List sessions, newest first.

    The conditions all have to hold. Redis has no index by flag, country, network or last use: it
    looks at every session until N are found. Ctrl-C stops that and shows what was found. Exits
    with 0, 1 where nothing matches, 2 where something given is wrong, 3 where the store does not
    answer, and 130 where it was stopped.
    """
    from gatehound.cli.sessions.scan import look

    with opened(source) as guard:
        admin = guard.sync
        conditions = {**wanted.conditions(admin), "anonymous": visitors}
        run = look(admin, conditions, cursor=cursor, limit=limit)
        if as_json:
            tell_json(_tree(run))
        else:
            _tell(run)
        if wanted.network is not None and run.is_over and not visitors:
            _hint(admin, conditions["user_id"], wanted.network, run)
    run.finish()


def _hint(admin: SyncAdmin, user_id: str | None, network: str, run: Run) -> None:
    """Say how many were flagged from a network: they keep their owners' addresses."""
    listed = {one.public_id for one in run.sessions}
    count = sum(
        one.public_id not in listed and user_id in (None, one.user_id)
        for one in admin.flagged_from(network)
    )
    if count:
        many = "1 session that was" if count == 1 else f"{count:,} sessions that were"
        tell_aside(
            f"Not listed: {many} flagged from there, and found by the address of the owner. See: "
            f"gatehound events tail --name session_flagged --network {network}"
        )


def _tell(run: Run) -> None:
    if run.sessions:
        tell_sessions(run.sessions, time.time())
    elif run.is_over:
        tell(("No session matches.",))
    notes = []
    if run.looked_at > run.count:
        notes.append(f"Looked at {run.looked_at:,} sessions and found {run.count:,}.")
    if run.is_over and run.cursor:
        notes.append(f"There may be more: add --cursor {run.cursor}")
    if notes:
        tell(("", *notes))


def _tree(run: Run) -> dict[str, Any]:
    return {
        "sessions": [tree_of(one) for one in run.sessions],
        "cursor": run.cursor,
        "looked_at": run.looked_at,
        "stopped": not run.is_over,
    }


def tree_of(session: Session) -> dict[str, Any]:
    """Return a session as JSON holds it."""
    return {
        "public_id": session.public_id,
        "user_id": session.user_id,
        "user_name": session.user_name,
        "roles": list(session.roles),
        "created": session.created,
        "authenticated_at": session.authenticated_at,
        "last_seen": session.last_seen,
        "expires": session.expires,
        "idle_expires": session.idle_expires,
        "methods": list(session.methods),
        "aal": session.aal,
        "remembered": session.remembered,
        "address": None if session.address is None else str(session.address),
        "country": session.country,
        "place": session.place,
        "agent": session.agent,
        "device": session.device,
        "flagged": session.flagged,
        "reasons": list(session.reasons),
    }
