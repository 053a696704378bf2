"""What people and programs read: folded lines, JSON objects, errors and their exit codes.

Whatever is printed here may hold what a stranger sent or a file holds, so that nothing of it
can move the cursor, and no piece of it can stand where a line of ours begins.
"""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

import click

from gatehound._text import printable

WIDEST: Final = 100
"""Longer lines are hard to follow, however wide the terminal is."""

NARROWEST: Final = 40

HANG: Final = "    "

AS_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else."
)

_QUOTED: Final = re.compile(r"""(?<!\S)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_HELD: Final = "\x00"  # stands for a blank that must stay; `printable` lets none through


class Told(click.ClickException):
    """An error of ours, told in folded lines on standard error."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print each line of the message by itself, folded."""
        for line in f"Error: {self.message}".splitlines():
            click.echo(fold(line), file=file, err=file is None)


class Nothing(Told):
    """Nothing is there that the command could act on: an answer, and no fault."""

    exit_code = 1


class Unable(Told):
    """What was given cannot be used; exit code 1 is left to an answer that people can act on."""

    exit_code = 2


class Silent(Told):
    """The store does not answer."""

    exit_code = 3


def fold(line: str) -> str:
    """Break a line to the terminal's width; what follows the first break is set in.

    A quoted text keeps its blanks, and is cut where it is longer than a line: were it left to
    the terminal to break, a header could be as long as it takes to begin a line of its own.
    """
    columns = shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.wrap(
            _QUOTED.sub(lambda found: found[0].replace(" ", _HELD), printable(line)),
            width=min(max(columns, NARROWEST), WIDEST),
            subsequent_indent=f"{_indent(line)}{HANG}",
            break_on_hyphens=False,
        )
    ).replace(_HELD, " ")


def tell(lines: Iterable[str]) -> None:
    """Print lines, folded; an empty one stays empty."""
    for line in lines:
        click.echo(fold(line))


def tell_aside(line: str) -> None:
    """Print a line on standard error, folded: what is no part of the answer."""
    click.echo(fold(line), err=True)


def tell_json(tree: Mapping[str, Any]) -> None:
    """Print one JSON object, all ASCII."""
    click.echo(json.dumps(tree, indent=2))


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]
