"""`gatehound ip refresh`: a newer list of Cloudflare's networks, from files fetched before.

It makes no connection: who fetches the lists decides whom he asks, through which proxy, and
when. What is written is read back by clientip/cloudflare.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatehound.cli.ip.arguments import takes_options
from gatehound.cli.output import AS_JSON, Unable, fold, tell, tell_json

if TYPE_CHECKING:
    from gatehound.clientip.cloudflare import Ranges


@dataclass(frozen=True, slots=True)
class Difference:
    """A list beside the one in force; `beside` names its file, "" the bundled list."""

    new: Ranges
    added: tuple[str, ...]
    removed: tuple[str, ...]
    old: Ranges
    beside: str


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Write the list here; without it to cloudflare_ranges, if that is set.",
)
@click.option(
    "--published",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The day of the list; without it the day that is in the files, or that of the files.",
)
@click.option(
    "--shrink",
    is_flag=True,
    help="Take a list that lacks more than a quarter of the networks in force.",
)
@takes_options
@AS_JSON
def refresh(
    files: tuple[Path, ...],
    output: Path | None,
    published: datetime | None,
    shrink: bool,
    config: Path | None,
    pairs: dict[str, str],
    as_json: bool,
) -> None:
    """Renew the list of Cloudflare's networks from files.

    FILE... are what you fetched: https://www.cloudflare.com/ips-v4 and /ips-v6, or the answer of
    https://api.cloudflare.com/client/v4/ips. No connection is made. Exits with 0, or with 2
    where the command line, an option or a list is wrong; then nothing is written.
    """
    from gatehound.cli.ip.options import read_options
    from gatehound.clientip import cloudflare

    setting = read_options(config, pairs).cloudflare_ranges
    target = output or (Path(setting) if setting else None)
    if target is not None:  # first of all: to read a device can take for ever
        _check_target(target, files)
    try:
        new = cloudflare.join(files)
    except ValueError as error:
        raise Unable(str(error)) from None
    if published is not None:
        new = new._replace(published=published.date().isoformat())
    difference = _compare(new, setting)
    _check_date(difference)
    _check_loss(difference, shrink=shrink)
    if target is not None:
        _write(target, new)
    if as_json:
        tell_json(_tree(difference, target))
    else:
        tell(_told(difference, target, setting))


def _compare(new: Ranges, setting: str | None) -> Difference:
    from gatehound.clientip import cloudflare

    old, beside = cloudflare.BUNDLED, ""
    if setting:
        try:
            old, beside = cloudflare.load(setting), setting
        except ValueError as error:
            if Path(setting).exists():  # it is what is to be mended, as else to be made
                click.echo(fold(f"The list in force is left out: {error}"), err=True)
    ours, theirs = ({ip_network(entry) for entry in one.networks} for one in (new, old))
    added = tuple(n for n in new.networks if ip_network(n) not in theirs)
    removed = tuple(n for n in old.networks if ip_network(n) not in ours)
    return Difference(new, added, removed, old, beside)


def _check_date(difference: Difference) -> None:
    """Refuse an older list, which lacks newer edges, and a date that hides how old it gets."""
    new, old = difference.new.published, difference.old.published
    if new < old:
        raise Unable(
            f"the list is of {new}, and the one in force is newer, of {old}; fetch the lists "
            "again, or, if the date of the files is wrong, give the right one with --published"
        )
    # A day more: it may be tomorrow where the list comes from.
    if date.fromisoformat(new) > datetime.now(UTC).date() + timedelta(days=1):
        raise Unable(f"the list is of {new}, which is to come; give its day with --published")


def _check_target(target: Path, files: tuple[Path, ...]) -> None:
    """Refuse to replace what is no list: a device, a link that turns round, a file to read."""
    try:
        real = target.resolve()
        is_ordinary = stat.S_ISREG(real.stat().st_mode)
    except FileNotFoundError:
        return
    # RuntimeError is what Python before 3.13 makes of a link that turns round.
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise Unable(
            f"{str(target)!r} leads nowhere: {why}; choose another path with --output"
        ) from None
    if not is_ordinary:
        raise Unable(f"{str(target)!r} is no ordinary file; choose another path with --output")
    if any(real == file.resolve() for file in files):
        raise Unable(
            f"{str(target)!r} is one of the files to read; choose another path with --output"
        )


def _check_loss(difference: Difference, *, shrink: bool) -> None:
    """Refuse what looks like a piece of a list: an edge that is missing is a stranger."""
    lost, had = len(difference.removed), len(difference.old.networks)
    if lost * 4 > had and not shrink:
        raise Unable(
            f"{lost} of the {had} networks in force are gone; fetch both lists again, or add "
            "--shrink if Cloudflare has announced it"
        )


def _write(target: Path, ranges: Ranges) -> None:
    """Replace a file by the list, or leave it as it is."""
    from gatehound.clientip import cloudflare

    tree = {
        "source": cloudflare.SOURCE,
        "published": str(ranges.published),
        "networks": ranges.networks,
    }
    try:
        _replace(target.resolve(), f"{json.dumps(tree, indent=2)}\n".encode("ascii"))
    except OSError as error:
        raise Unable(
            f"{str(target)!r} cannot be written: {error.strerror or error}; nothing was changed; "
            "choose another path with --output"
        ) from None


def _replace(target: Path, content: bytes) -> None:
    """Write beside the target and rename, so that readers find the old or the new, whole."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    # Readable for all, as the umask allows: the list is public, and the server is another user.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _take_owner(file.fileno(), target)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _take_owner(descriptor: int, target: Path) -> None:
    """Give the new file the owner and mode of the old one, where there is one."""
    with contextlib.suppress(FileNotFoundError):
        old = target.stat()
        with contextlib.suppress(PermissionError):  # only root gives files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _tree(difference: Difference, target: Path | None) -> dict[str, Any]:
    return {
        "published": str(difference.new.published),
        "count": len(difference.new.networks),
        "added": difference.added,
        "removed": difference.removed,
        "written": None if target is None else str(target),
    }


def _told(difference: Difference, target: Path | None, setting: str | None) -> Iterator[str]:
    new, old = difference.new, difference.old
    yield f"The list of {new.published} has {len(new.networks)} networks."
    yield (
        f"Beside {difference.beside or 'the bundled list'}, of {old.published}: "
        f"{len(difference.added)} new, {len(difference.removed)} gone."
    )
    yield from (f"  new   {network}" for network in difference.added)
    yield from (f"  gone  {network}" for network in difference.removed)
    yield ""
    if target is None:
        yield (
            "Nothing was written. To write the list, add --output PATH; to use it, set "
            "GATEHOUND_CLIENT_IP__CLOUDFLARE_RANGES (client_ip.cloudflare_ranges) to that path."
        )
        return
    yield f"Written to {target}."
    if not _is_in_force(target, setting):
        yield (
            "To use it, set GATEHOUND_CLIENT_IP__CLOUDFLARE_RANGES (client_ip.cloudflare_ranges) "
            "to that path, and restart every process of your app."
        )
    else:
        yield "Restart every process of your app: the list is read when one starts."


def _is_in_force(target: Path, setting: str | None) -> bool:
    with contextlib.suppress(OSError, ValueError):  # the setting may name no file, or no path
        return setting is not None and target.samefile(setting)
    return False
