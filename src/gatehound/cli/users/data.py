"""`gatehound users export` and `forget`: what is stored of a user, for them, and erased."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json
from gatehound.cli.sessions.acting import Act
from gatehound.cli.target import named, takes_target, writing
from gatehound.cli.users.argument import takes_user


@click.command(cls=GuardCommand)
@takes_user
@takes_target
@takes_settings
def export(user: str, output: Path | None, source: Source) -> None:
    """Write all that is stored of a user, as one JSON object.

    Exits with 0, also where nothing is stored of such a user, 2 where something given is wrong,
    and 3 where the store does not answer.
    """
    with opened(source) as guard, Act(guard, is_done=True).noted("exported a user", of_user=user):
        tree = guard.sync.export_user(user)
    with writing(named(output)) as file:
        file.write(f"{json.dumps(tree, indent=2)}\n")


@click.command(cls=GuardCommand)
@takes_user
@click.option("--yes", is_flag=True, help="Do it; without it their sessions are counted.")
@takes_settings
@AS_JSON
def forget(user: str, yes: bool, source: Source, as_json: bool) -> None:
    """Erase all that is stored of a user, events too; without --yes count their sessions.

    That a user is disabled stays: it would let them in again. Exits with 0, 2 where something
    given is wrong, and 3 where the store does not answer.
    """
    with opened(source) as guard:
        admin = guard.sync
        with Act(guard, is_done=yes).noted("erased a user"):  # whom, would not be erased
            count = admin.forget_user(user) if yes else len(admin.sessions_of(user))
    if as_json:
        tell_json({"dry_run": not yes, "user_id": user, "count": count})
        return
    many = f"{count:,} session{'' if count == 1 else 's'}"
    if yes:
        tell((f"What was stored of {user!a} is erased, with {many}.",))
    else:
        tell((f"All of {user!a} would be erased, with {many}. Nothing was: add --yes to do it.",))
