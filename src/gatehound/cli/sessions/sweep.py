"""`gatehound sessions sweep`: end what has run out of time."""

from __future__ import annotations

import click

from gatehound.cli.opening import GuardCommand, Source, opened, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json
from gatehound.cli.progress import progress


@click.command(cls=GuardCommand)
@takes_settings
@AS_JSON
def sweep(source: Source, as_json: bool) -> None:
    """End sessions whose time is over, and drop what has no more use.

    Nothing depends on it: a session that is over lets nobody in. Exits with 0, 2 where something
    given is wrong, 3 where the store does not answer, and 130 where it was stopped.
    """
    with opened(source) as guard, progress("Sweeping"):
        count = guard.sync.sweep()
    if as_json:
        tell_json({"count": count})
    else:
        tell((f"{count:,} session{' was' if count == 1 else 's were'} over.",))
