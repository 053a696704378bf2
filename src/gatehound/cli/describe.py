"""`gatehound describe`: the policy that the settings make, in words."""

from __future__ import annotations

import click

from gatehound.cli.opening import GuardCommand, Source, build, takes_settings
from gatehound.cli.output import AS_JSON, tell, tell_json


@click.command(cls=GuardCommand)
@takes_settings
@AS_JSON
def describe(source: Source, as_json: bool) -> None:
    """Say in words what the settings make of sessions, for documentation and audits.

    The store is not asked. Exits with 0, or with 2 where a setting is wrong.
    """
    lines = build(source).sync.describe().splitlines()
    if as_json:
        tell_json({"lines": lines})
    else:
        tell(lines)
