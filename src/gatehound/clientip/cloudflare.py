"""Cloudflare's published address ranges, as data with their date and source.

What belongs here: facts about Cloudflare's network. To renew them, copy the two published
lists and set `PUBLISHED`; tests/clientip pins the count and the merged size.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime
from os import PathLike
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

SOURCE: Final = "https://www.cloudflare.com/ips"
PUBLISHED: Final = date(2025, 10, 1)
MAX_AGE_DAYS: Final = 180
"""Cloudflare changes the lists about once in two years, and announces it weeks before."""

WIDEST: Final = {4: 10, 6: 24}
"""The shortest prefix in a list that is believed; Cloudflare's own are /13 and /29."""

RANGES: Final = (
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
)

WORKER: Final = bytes.fromhex("2a0698c0360000000000000000000103")
"""2a06:98c0:3600::103, the client address of every Worker's subrequest.

It lies inside Cloudflare's own range, but whoever rents a Worker writes the
X-Forwarded-For left of it: it MUST NOT be trusted as a proxy, whatever the list says.
"""

_log = logging.getLogger("gatehound.clientip")
_warned: dict[date, object] = {}


class Ranges(NamedTuple):
    """A list of Cloudflare's networks, and the day on which it was published or fetched."""

    networks: tuple[str, ...]
    published: date

    def age(self, today: date | None = None) -> int:
        """Count the days since then."""
        return ((today or datetime.now(UTC).date()) - self.published).days


BUNDLED: Final = Ranges(RANGES, PUBLISHED)


def warn_if_stale(ranges: Ranges, today: date | None = None) -> None:
    """Log one warning in a process for a list that is over `MAX_AGE_DAYS` old."""
    age = ranges.age(today)
    if age <= MAX_AGE_DAYS:
        return
    mine = object()
    # setdefault is atomic: of several threads exactly one finds its own mark.
    if _warned.setdefault(ranges.published, mine) is mine:
        _log.warning(
            "The list of Cloudflare's ranges is of %s, %d days old: an edge that is newer than "
            "the list is not recognised. %s",
            ranges.published,
            age,
            RENEW,
        )


RENEW: Final = (
    f"Fetch the lists from {SOURCE}, run `gatehound ip refresh`, and name its output in "
    "cloudflare_ranges"
)


def load(path: str | PathLike[str]) -> Ranges:
    """Read a list from a file: what `gatehound ip refresh` wrote, or a list as published.

    Understood are lines of networks, the JSON of Cloudflare's API, and JSON with `networks`
    and `published`. Without a date inside, the file's own is taken. ValueError says what is
    wrong with it: an edge list that is too wide would let everyone choose his address.
    """
    return join([path])


def join(paths: Sequence[str | PathLike[str]]) -> Ranges:
    """Read one list that lies in several files, each in a form that `load` understands.

    It is of the day of the oldest file: an edge that is newer than that may be missing.
    """
    from pathlib import Path  # only who names a file pays for it

    pieces = [_piece(Path(path)) for path in paths]
    networks = tuple(dict.fromkeys(entry for piece in pieces for entry in piece.networks))
    try:
        _check_versions(networks)
    except ValueError as error:
        raise ValueError(f"{', '.join(repr(str(path)) for path in paths)}: {error}") from None
    return Ranges(networks, min(piece.published for piece in pieces))


def _piece(file: Path) -> Ranges:
    """Read one file, whose networks may all be of one IP version."""
    try:
        text = file.read_text(encoding="utf-8")
        published = datetime.fromtimestamp(file.stat().st_mtime, UTC).date()
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(file)!r} cannot be read: {error}") from None
    try:
        networks, said = _entries(text)
        _check_entries(networks)
    except ValueError as error:
        raise ValueError(f"{str(file)!r}: {error}") from None
    return Ranges(tuple(networks), said or published)


def _entries(text: str) -> tuple[list[str], date | None]:
    """Take the networks out of the three forms, and the date where one is inside."""
    if not text.lstrip().startswith("{"):
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        return [line for line in lines if line], None
    import json

    tree = json.loads(text)
    result = tree.get("result", tree)
    if not isinstance(result, dict):
        shown = type(result).__name__
        raise ValueError(f"'result' is a {shown}; an object is expected")  # noqa: TRY004 - the file is wrong, not the caller
    networks: list[str] = []
    for key in ("networks", "ipv4_cidrs", "ipv6_cidrs"):
        piece = result.get(key, [])
        if not isinstance(piece, list) or not all(isinstance(entry, str) for entry in piece):
            raise ValueError(f"{key} has to be a list of texts")
        networks += piece
    said = tree.get("published")
    return networks, date.fromisoformat(said) if isinstance(said, str) else None


def _check_entries(networks: list[str]) -> None:
    """Refuse an entry that cannot be Cloudflare's: no network, too wide, or not public."""
    from ipaddress import ip_network

    for entry in networks:
        try:
            network = ip_network(entry)
        except ValueError as error:
            raise ValueError(f"{entry!r} is no network: {error}") from None
        widest = WIDEST[network.version]
        if network.prefixlen < widest or not network.is_global:
            raise ValueError(
                f"{entry!r} is no network of Cloudflare's: expected are public networks of at "
                f"least /{widest}; fetch the list again from {SOURCE}"
            )


def _check_versions(networks: tuple[str, ...]) -> None:
    """Refuse half a list: with no v6 networks, every edge that connects over v6 is a stranger."""
    from ipaddress import ip_network

    if {ip_network(entry).version for entry in networks} != {4, 6}:
        raise ValueError(
            "IPv4 and IPv6 networks are needed, and Cloudflare publishes them as two lists; "
            "give both to `gatehound ip refresh`"
        )
