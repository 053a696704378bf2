"""The command line: `gatehound demo`, `gatehound ip`, `gatehound keygen`.

Belongs here: nothing but the way in. Click is an extra, so it is imported inside `main`, and
its absence is a sentence to the person who typed the command, never a traceback.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the `gatehound` command; exits with its code, 2 where click is not installed."""
    try:
        from gatehound.cli.commands import gatehound
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "click":
            raise
        sys.stderr.write('gatehound: the command line needs click: pip install "gatehound[cli]"\n')
        raise SystemExit(2) from None
    gatehound(prog_name="gatehound")
