"""`gatehound sessions`: list, show, clear and end sessions, sweep and copy the store.

Reading order: scan (how a whole store is gone through), then a file a command.
"""

from __future__ import annotations

import click

from gatehound.cli.sessions.clear import clear
from gatehound.cli.sessions.copying import copy
from gatehound.cli.sessions.end import end
from gatehound.cli.sessions.listing import list_sessions
from gatehound.cli.sessions.show import show
from gatehound.cli.sessions.sweep import sweep


@click.group()
def sessions() -> None:
    """See and end the sessions of your users.

    The settings are those of your app: of the environment (GATEHOUND_*), of --config or of
    --guard. The store has to be one that other processes reach: SQLite or Redis.
    """


for _command in (list_sessions, show, clear, end, sweep, copy):
    sessions.add_command(_command)
