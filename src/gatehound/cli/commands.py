"""The `gatehound` command and its list of commands.

A command is a file or a package of its own; it is added in the list below and nowhere else.
What a command needs beyond click it imports when it runs, so that `gatehound --help` is quick
and works with any set of extras.
"""

from __future__ import annotations

import click

from gatehound import __version__
from gatehound.cli.check import check
from gatehound.cli.demo import demo
from gatehound.cli.describe import describe
from gatehound.cli.events import events
from gatehound.cli.ip import ip
from gatehound.cli.keygen import keygen
from gatehound.cli.notify import notify
from gatehound.cli.sessions import sessions
from gatehound.cli.status import status
from gatehound.cli.users import users


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version=__version__, prog_name="gatehound")
def gatehound() -> None:
    """Session security for any WSGI or ASGI app."""


for _command in (check, demo, describe, events, ip, keygen, notify, sessions, status, users):
    gatehound.add_command(_command)
