"""`gatehound sessions copy`: into another store, without signing anyone out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gatehound.cli import STOPPED
from gatehound.cli.opening import GuardCommand, Source, opened, place_of, takes_settings
from gatehound.cli.output import AS_JSON, Unable, tell, tell_aside, tell_json
from gatehound.cli.progress import progress

if TYPE_CHECKING:
    from gatehound.admin import SyncAdmin
    from gatehound.stores.copying import Copied


@click.command(cls=GuardCommand)
@click.argument("url")
@takes_settings
@AS_JSON
def copy(url: str, source: Source, as_json: bool) -> None:
    """Copy all users and sessions into another store.

    Nobody is signed out. URL is written as the setting store; - reads it from the first line of
    standard input, because every user of the machine can read a command line. What is stored
    there of the same users is replaced, and nobody should be using it. Events are not copied.
    Exits with 0, 2 where something given is wrong, 3 where a store does not answer, and 130 where
    it was stopped.
    """
    target = sys.stdin.readline().strip() if url == "-" else url
    if not target:
        raise Unable("URL: nothing given; write the store to copy to, such as redis://host:6379/0")
    with opened(source) as guard:
        done = _copy(guard.sync, target)
    if as_json:
        tell_json({"users": done.users, "sessions": done.sessions, "to": place_of(target)})
        return
    tell((f"{done.users:,} users and {done.sessions:,} sessions are in {place_of(target)} now.",))


def _copy(admin: SyncAdmin, url: str) -> Copied:
    so_far = 0
    try:
        with progress("Users copied") as advance:

            def note(users: int) -> None:
                nonlocal so_far
                advance(users - so_far)
                so_far = users

            return admin.copy_to(url, progress=note)
    except KeyboardInterrupt:
        tell_aside(
            f"Stopped: {so_far:,} users were copied, each whole; repeat the command to copy all."
        )
        raise SystemExit(STOPPED) from None
