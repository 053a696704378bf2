"""`gatehound sessions end`: end one session, all of a user, all that match, or everybody's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from gatehound.cli.filters import SessionFilter, takes_sessions
from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, Unable, tell, tell_json
from gatehound.cli.sessions.acting import Act

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.cli.sessions.scan import Run


@click.command(cls=GuardCommand)
@click.argument("public_id", required=False)
@takes_sessions
@click.option("--all", "all_of_user", is_flag=True, help="All sessions of the user.")
@click.option("--everyone", is_flag=True, help="All sessions of all users.")
@click.option("--yes", is_flag=True, help="End them; without it they are counted.")
@click.option("--cursor", default="", metavar="C", help="Go on where a run was stopped.")
@takes_settings
@AS_JSON
def end(
    public_id: str | None,
    wanted: SessionFilter,
    all_of_user: bool,
    everyone: bool,
    yes: bool,
    cursor: str,
    source: Source,
    as_json: bool,
) -> None:
    """End sessions; without --yes count them.

    Give PUBLIC_ID with --user for one session, --user with --all for all of a user and the
    sign-ins that are under way, conditions for all that match, or --everyone. Ctrl-C stops
    between two slices and says how to go on. Exits with 0, 1 where nothing matches, 2 where
    something given is wrong, 3 where the store does not answer, and 130 where it was stopped.
    """
    _check(public_id, wanted, all_of_user=all_of_user, everyone=everyone, cursor=cursor)
    with opened(source) as guard:
        admin = guard.sync
        act = Act(guard, is_done=yes)
        if public_id is not None:
            run = _end_one(admin, wanted, public_id, act)
        elif all_of_user:
            run = _end_user(admin, wanted, act)
        elif everyone:
            run = _end_everyone(admin, act)
        else:
            run = _end_matching(admin, wanted, cursor, act)
        if as_json:
            tell_json(_tree(run, dry_run=not yes))
        else:
            tell((_sentence(run, dry_run=not yes),))
    run.finish()


def _check(
    public_id: str | None,
    wanted: SessionFilter,
    *,
    all_of_user: bool,
    everyone: bool,
    cursor: str,
) -> None:
    """Refuse what could mean two things, before anything is looked at."""
    ways = {"PUBLIC_ID": public_id is not None, "--all": all_of_user, "--everyone": everyone}
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise Unable(f"{' and '.join(given)} given; they are ways of their own: give one of them")
    if given and (wanted.narrows or cursor):
        raise Unable(f"{given[0]} given beside conditions or --cursor; leave one of them out")
    if given == ["--everyone"] and wanted.names_user:
        raise Unable("--everyone given beside a user; write --all for all sessions of the user")
    if given and not everyone and not wanted.names_user:
        raise Unable(f"{given[0]} given without a user; add --user ID")
    if not given and not wanted.narrows:
        raise Unable(
            "nothing says which sessions: give PUBLIC_ID or --all with --user, conditions such as "
            "--flagged, or --everyone"
        )


def _end_one(admin: SyncAdmin, wanted: SessionFilter, public_id: str, act: Act) -> Run:
    user = wanted.user_id(admin) or ""
    if act.is_done:
        end = partial(admin.terminate, user, public_id, by=act.by)
        return act.done(
            "ended a session",
            lambda: _whole(lambda: int(end())),
            of_user=user,
            of_session=public_id,
        )
    return _whole(lambda: [one.public_id for one in admin.sessions_of(user)].count(public_id))


def _end_user(admin: SyncAdmin, wanted: SessionFilter, act: Act) -> Run:
    user = wanted.user_id(admin) or ""
    if not act.is_done:
        return _whole(lambda: len(admin.sessions_of(user)))
    end = partial(admin.terminate_user, user, by=act.by)
    return act.done("ended all sessions of a user", lambda: _whole(end), of_user=user)


def _end_everyone(admin: SyncAdmin, act: Act) -> Run:
    if not act.is_done:
        return _whole(admin.living)
    return act.done("ended all sessions of the site", lambda: _whole(admin.terminate_everyone))


def _end_matching(admin: SyncAdmin, wanted: SessionFilter, cursor: str, act: Act) -> Run:
    from gatehound.cli.sessions.scan import end_matching

    end = partial(end_matching, admin, wanted.conditions(admin), cursor=cursor, by=act.by)
    if not act.is_done:
        return end(dry_run=True)
    named = ", ".join(f"{name}={value}" for name, value in wanted.given.items())
    return act.done("ended sessions that match", lambda: end(dry_run=False), filter=named)


def _whole(count: Callable[[], int]) -> Run:
    """Do in one step what is no scan."""
    from gatehound.cli.sessions.scan import Run

    found = count()
    return Run("", found, found, is_over=True)


def _sentence(run: Run, *, dry_run: bool) -> str:
    many = f"{run.count:,} session{'' if run.count == 1 else 's'}"
    if not run.is_over:
        return f"{many} {'matched' if dry_run else 'ended'} so far."
    if not run.count:
        return "No session matches."
    if dry_run:
        return f"{many} would end. Nothing was ended: add --yes to do it."
    return f"{many} ended."


def _tree(run: Run, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "count": run.count,
        "looked_at": run.looked_at,
        "cursor": run.cursor,
        "stopped": not run.is_over,
    }
