"""`gatehound users show`: whether a user may sign in, their sessions and latest events."""

from __future__ import annotations

import time
from typing import Final

import click

from gatehound.cli.events.line import in_words
from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json
from gatehound.cli.sessions.listing import tree_of
from gatehound.cli.table import tell_pairs, tell_sessions
from gatehound.cli.users.argument import takes_user

EVENTS: Final = 10


@click.command(cls=GuardCommand)
@takes_user
@takes_settings
@AS_JSON
def show(user: str, source: Source, as_json: bool) -> None:
    """Show whether a user is disabled, their sessions, and their latest events.

    Exits with 0, 1 where nothing is known of such a user, 2 where something given is wrong, and 3
    where the store does not answer.
    """
    from gatehound import exporting

    with opened(source) as guard:
        admin = guard.sync
        disabled, sessions = admin.is_disabled(user), admin.sessions_of(user)
        events = admin.events(user_id=user, limit=EVENTS).events
        # A text is looked up by `users.find`, which may mean others by it.
        describe = guard.users.describe
        name = describe([user]).get(user, ("", ""))[0] if describe else ""
    if as_json:
        told = {"user_id": user, "user_name": name, "disabled": disabled}
        listed = {"sessions": [tree_of(one) for one in sessions]}
        tell_json({**told, **listed, "events": [exporting.tree_of(one) for one in events]})
    else:
        many = f"{len(sessions):,}" if sessions else "none"
        shown = f"{user} ({name})" if name else user
        may = "no: disabled" if disabled else "yes"
        tell_pairs((("user", shown), ("may sign in", may), ("sessions", many)))
        if sessions:
            tell(("",))
            tell_sessions(sessions, time.time())
        if events:
            tell(("", "Latest events:", *map(in_words, events)))
    raise SystemExit(0 if disabled or sessions or events else 1)
