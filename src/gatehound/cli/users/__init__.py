"""`gatehound users`: what is known of one user, who may sign in, and what is erased."""

from __future__ import annotations

import click

from gatehound.cli.users.data import export, forget
from gatehound.cli.users.disabling import disable, enable
from gatehound.cli.users.show import show


@click.group()
def users() -> None:
    """Show, disable, export and forget users, by their ids.

    The settings are those of your app: of the environment (GATEHOUND_*), of --config or of
    --guard. The store has to be one that other processes reach: SQLite or Redis.
    """


for _command in (show, disable, enable, export, forget):
    users.add_command(_command)
