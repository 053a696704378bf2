"""`gatehound sessions clear`: say that a flagged session is fine."""

from __future__ import annotations

import click

from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json
from gatehound.cli.sessions.acting import Act


@click.command(cls=GuardCommand)
@click.argument("public_id")
@click.option("--user", required=True, metavar="ID", help="Whose session it is.")
@takes_settings
@AS_JSON
def clear(public_id: str, user: str, source: Source, as_json: bool) -> None:
    """Take the flag off a session, and what stood against it; nothing is learned from it.

    Exits with 0, 1 where the session is not there (any more), 2 where something given is wrong,
    and 3 where the store does not answer.
    """
    with opened(source) as guard:
        act = Act(guard, is_done=True)
        with act.noted("cleared a flag", of_user=user, of_session=public_id):
            is_done = guard.sync.clear_flag(user, public_id, by=act.by)
    if as_json:
        tell_json({"public_id": public_id, "cleared": is_done})
    elif is_done:
        tell((f"The session {public_id!a} is not flagged (any more).",))
    else:
        tell((f"The session {public_id!a} of this user is not there (any more).",))
    raise SystemExit(0 if is_done else 1)
