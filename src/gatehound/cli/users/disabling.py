"""`gatehound users disable` and `enable`: who may sign in."""

from __future__ import annotations

import click

from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json
from gatehound.cli.sessions.acting import Act
from gatehound.cli.users.argument import takes_users


@click.command(cls=GuardCommand)
@takes_users
@click.option("--yes", is_flag=True, help="Do it; without it their sessions are counted.")
@takes_settings
@AS_JSON
def disable(ids: tuple[str, ...], yes: bool, source: Source, as_json: bool) -> None:
    """End all sessions of users, and refuse new ones; without --yes count them.

    Exits with 0, 2 where something given is wrong, and 3 where the store does not answer: what
    was done before stays done, and doing it again does no harm.
    """
    with opened(source) as guard:
        admin, act = guard.sync, Act(guard, is_done=yes)
        counts = {}
        for user in ids:
            with act.noted("disabled a user", of_user=user):
                counts[user] = (
                    admin.disable_user(user, by=act.by) if yes else len(admin.sessions_of(user))
                )
    if as_json:
        tell_json({"dry_run": not yes, "users": counts, "count": sum(counts.values())})
        return
    would = "is disabled" if yes else "would be disabled"
    tell(f"{user!a} {would}: {_sessions(many, yes)}." for user, many in counts.items())
    if not yes:
        tell(("Nothing was done: add --yes to do it.",))


@click.command(cls=GuardCommand)
@takes_users
@takes_settings
@AS_JSON
def enable(ids: tuple[str, ...], source: Source, as_json: bool) -> None:
    """Let disabled users sign in again.

    Exits with 0, 1 where none of them was disabled, 2 where something given is wrong, and 3
    where the store does not answer.
    """
    with opened(source) as guard:
        admin, act = guard.sync, Act(guard, is_done=True)
        enabled = {}
        for user in ids:
            with act.noted("enabled a user", of_user=user):
                enabled[user] = admin.enable_user(user, by=act.by)
    if as_json:
        tell_json({"users": enabled})
    else:
        tell(
            f"{user!a} {'may sign in again' if was else 'was not disabled'}."
            for user, was in enabled.items()
        )
    raise SystemExit(0 if any(enabled.values()) else 1)


def _sessions(many: int, is_done: bool) -> str:
    plural = "" if many == 1 else "s"
    return f"{many:,} session{plural} {'ended' if is_done else 'would end'}"
