"""`gatehound events`: follow the log of the store, or write it to a file."""

from __future__ import annotations

import click

from gatehound.cli.events.export import export
from gatehound.cli.events.tail import tail


@click.group()
def events() -> None:
    """Read what happened: sign-ins, ends, suspicion, admins.

    The settings are those of your app: of the environment (GATEHOUND_*), of --config or of
    --guard. The store has to be one that other processes reach: SQLite or Redis.
    """


for _command in (tail, export):
    events.add_command(_command)
