"""`gatehound ip`: explain an answer, check the options, refresh Cloudflare's list.

Reading order: arguments (what may be given), options (what holds), then a file a command.
Like every command, these import nothing but click until they run.
"""

from __future__ import annotations

import click

from gatehound.cli.ip.check import check
from gatehound.cli.ip.explain import explain
from gatehound.cli.ip.refresh import refresh


@click.group()
def ip() -> None:
    """Tell where the client's address comes from, and what to mend.

    The options are those of the environment (GATEHOUND_CLIENT_IP__MODE and so on). No other
    setting is read, and no connection is made.
    """


for _command in (explain, check, refresh):
    ip.add_command(_command)
