"""Where a command writes: standard output, or a file that appears when it is whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from gatehound.cli.output import Unable

takes_target = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Write to this file, which appears when it is whole; without it to standard output.",
)


def named(output: Path | None) -> Path | None:
    """Take - for standard output."""
    return None if output is None or str(output) == "-" else output


@contextlib.contextmanager
def writing(output: Path | None) -> Iterator[IO[str]]:
    """Open where to write; a file is put in its place when all is written."""
    if output is None:
        yield sys.stdout
        return
    target = _real(output)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        # For its owner alone: it says who was where and when.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        raise Unable(
            f"-o: {str(output)!r} cannot be written: {error.strerror or error}; nothing was "
            "changed; choose another path"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _real(output: Path) -> Path:
    """Follow links; refuse to put a file in the place of a device."""
    try:
        target = output.resolve()
        with contextlib.suppress(FileNotFoundError):
            target.stat()  # since Python 3.13 `resolve` says nothing of a link that turns round
    except (OSError, RuntimeError, ValueError) as error:  # such a link, a null byte
        raise Unable(f"-o: {str(output)!r} leads nowhere: {error}; choose another path") from None
    if target.exists() and not target.is_file():
        raise Unable(
            f"-o: {str(output)!r} is no ordinary file; choose another path, or leave it out"
        )
    return target
