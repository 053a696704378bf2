"""`gatehound demo`: a small real app on loopback, and the same story told by itself.

Reading order: world (what is played), edge, app (what is real), browser, server, story.
Only click is imported here; the rest of the extra `demo` is looked for when the command runs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import click

NEEDED: Final = ("geoip2", "jinja2", "starlette", "user_agents", "uvicorn")


class Unable(click.ClickException):
    """The demo cannot start; exit code 1 is left to a check that failed."""

    exit_code = 2


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="A loopback address or localhost."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep sessions and keys in this folder; without it they are removed at the end.",
)
@click.option(
    "--check", is_flag=True, help="Play the story against itself, print it, and exit 0 or 1."
)
def demo(host: str, port: int, data: Path | None, check: bool) -> None:
    """Try gatehound in a browser, on this machine alone.

    It needs no network, no Redis and no geo database of yours. With --check it needs no browser
    either, finds a free port by itself, and tells what was sent and what was answered.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        raise Unable(f'the demo needs {names}, not installed here: pip install "gatehound[demo]"')
    if check:
        from gatehound.cli.demo.story import run_check

        raise SystemExit(run_check(click.echo))
    from gatehound.cli.demo.server import run_demo

    run_demo(host, port, data, click.echo, Unable)
