"""What may be given to `gatehound ip` on its command lines, and the header lines of a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import click

from gatehound.cli.output import Unable

F = TypeVar("F", bound=Callable[..., Any])
Lines = tuple[tuple[bytes, bytes], ...]

# RFC 9112 section 5: a token, the colon at once, and a value on the same line. A server refuses
# a blank before the colon, because proxies disagree on what it means.
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ \S+ HTTP/[0-9.]+")


def _read_pairs(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise Unable(f"-o: {text!a} given; allowed is NAME=VALUE, such as -o mode=nginx")
        if name in pairs:
            raise Unable(
                f"-o: {name!a} is given twice; give it once, with commas between several values"
            )
        pairs[name] = value
    return pairs


def _read_headers(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> Lines:
    # The bytes that were typed, as a server would get them.
    return tuple(_header(text.encode("utf-8", "surrogateescape"), "--header") for text in given)


def _read_pasted(_ctx: click.Context, _param: click.Parameter, given: IO[bytes] | None) -> Lines:
    """Read a request as people copy it: `curl -v`, a log, indented, with its request line."""
    lines = given.read().splitlines() if given else []
    if any(line.startswith(b"> ") for line in lines):  # curl -v: the rest is not what was sent
        lines = [line[1:] if line.startswith(b">") else b"" for line in lines]
    return tuple(
        _header(line, f"--headers-file, line {number}") for number, line in _header_lines(lines)
    )


def _header_lines(lines: list[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        # HTTP/2 and 3 have `:path: /` and its like in the place of a request line.
        if text and not text.startswith(b":") and not _REQUEST_LINE.fullmatch(text):
            yield number, text


def _header(line: bytes, where: str) -> tuple[bytes, bytes]:
    found = _LINE.fullmatch(line)
    if found:
        return found[1], found[2]
    shown = ascii(line[:64].decode("latin-1"))
    raise Unable(
        f"{where}: {shown} given; allowed is 'Name: value' on one line, such as "
        "'X-Forwarded-For: 203.0.113.7'; the name has no blanks in or after it"
    )


def takes_options(command: F) -> F:
    """Add where the options come from."""
    for option in (
        click.option(
            "-o",
            "--option",
            "pairs",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_read_pairs,
            help="One option, written as in the environment; it wins over the rest. Repeatable. "
            "An empty VALUE stands for the default.",
        ),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Read the options from a .toml or .json file instead of the environment.",
        ),
    ):
        command = option(command)
    return command


def takes_request(*, required: bool) -> Callable[[F], F]:
    """Add the socket peer and header lines of a request."""

    def add(command: F) -> F:
        for option in (
            click.option(
                "--headers-file",
                "pasted",
                type=click.File("rb"),
                metavar="FILE",
                callback=_read_pasted,
                help="Read header lines as `curl -v` prints them; - is the standard input.",
            ),
            click.option(
                "--header",
                "headers",
                multiple=True,
                metavar="'NAME: VALUE'",
                callback=_read_headers,
                help="One header line that the server got. Repeatable; the order counts.",
            ),
            click.option(
                "--peer",
                required=required,
                metavar="ADDRESS",
                help="Who connects to the server, as it reports it; unix for a unix socket.",
            ),
        ):
            command = option(command)
        return command

    return add


def is_unix(peer: str) -> bool:
    """Tell whether a unix socket is meant."""
    return peer in ("", "unix")
