"""The command line: one file or package for each command of `gatehound`.

Belongs here: nothing but the way in. Click is an extra, so it is imported inside `main`, and
its absence is a sentence to the person who typed the command, never a traceback.
"""

from __future__ import annotations

import signal
import sys
from typing import Final

STOPPED: Final = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


def main() -> None:
    """Run the `gatehound` command; exits with its code, 2 where click is not installed."""
    try:
        from gatehound.cli.commands import gatehound
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "click":
            raise
        sys.stderr.write('gatehound: the command line needs click: pip install "gatehound[cli]"\n')
        raise SystemExit(2) from None
    try:
        gatehound(prog_name="gatehound")
    except SystemExit as left:
        if left.code == STOPPED:  # one Ctrl-C more must not end it otherwise on its last steps
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise
