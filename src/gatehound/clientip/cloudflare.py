"""Cloudflare's published address ranges, as data with their date and source.

What belongs here: facts about Cloudflare's network. To renew them, copy the two published
lists and set `PUBLISHED`; tests/clientip pins the count and the merged size.
"""

# Annotations are no texts here: NamedTuple compiles those, which is a tenth of the import.

import re
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

SOURCE: Final = "https://www.cloudflare.com/ips"
PUBLISHED: Final = "2026-07-02"
"""The day of a daily mirror of the two lists that holds these 22 networks; one of 2026-08-26
counts as many networks and v4 addresses."""

MAX_AGE_DAYS: Final = 180
"""Cloudflare changes the lists about once in two years, and announces it weeks before."""

MOST: Final = {4: 2**23, 6: 2**103}
"""The most addresses in a list that is believed: about five times what Cloudflare has."""

_CIDR: Final = r"[0-9a-fA-F:.]+/[0-9]{1,3}"

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

_warned: dict[str, object] = {}


class Ranges(NamedTuple):
    """A list of Cloudflare's networks, and the day on which it was published or fetched."""

    networks: tuple[str, ...]
    published: str  # as 2026-07-02

    def age(self, today: "date | None" = None) -> int:
        """Count the days since then."""
        from datetime import UTC, date, datetime  # only who uses the list pays for it

        return ((today or datetime.now(UTC).date()) - date.fromisoformat(self.published)).days


BUNDLED: Final = Ranges(RANGES, PUBLISHED)


def warn_if_stale(ranges: Ranges, today: "date | None" = None) -> None:
    """Log one warning in a process for a list that is over `MAX_AGE_DAYS` old."""
    age = ranges.age(today)
    if age <= MAX_AGE_DAYS:
        return
    mine = object()
    # setdefault is atomic: of several threads exactly one finds its own mark.
    if _warned.setdefault(ranges.published, mine) is mine:
        import logging  # 4 ms to load, for a warning that is hardly ever due

        logging.getLogger("gatehound.clientip").warning(
            "The list of Cloudflare's ranges is of %s, %d days old: an edge that is newer than "
            "the list is not recognised; %s",
            ranges.published,
            age,
            RENEW,
        )


RENEW: Final = (
    f"fetch the lists from {SOURCE}, run `gatehound ip refresh`, and name its output in "
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


def _piece(file: "Path") -> Ranges:
    """Read one file, whose networks may all be of one IP version."""
    from datetime import UTC, datetime

    try:
        text = file.read_text(encoding="utf-8-sig")
        published = datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ValueError(f"{str(file)!r} cannot be read: {why}") from None
    try:
        networks, said = _entries(text)
        _check_entries(networks)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(file)!r}: {error}") from None
    return Ranges(tuple(networks), said or published)


def _entries(text: str) -> tuple[list[str], str | None]:
    """Take the networks out of the three forms, and the date where one is inside."""
    if not text.lstrip().startswith(("{", "[")):
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        return [line for line in lines if line], None
    import json
    from datetime import UTC, date, datetime, timedelta

    tree = json.loads(text)
    result = tree.get("result", tree) if isinstance(tree, dict) else tree
    if not isinstance(result, dict):
        shown = type(result).__name__
        raise ValueError(f"'result' is a {shown}; an object is expected")  # noqa: TRY004 - the file is wrong, not the caller
    networks: list[str] = []
    for key in ("networks", "ipv4_cidrs", "ipv6_cidrs"):
        piece = result.get(key, [])
        if not isinstance(piece, list) or not all(isinstance(entry, str) for entry in piece):
            raise ValueError(f"{key} has to be a list of texts")
        networks += piece
    if tree.get("success", True) is not True:
        raise ValueError("it says that the list could not be fetched; fetch it again")
    said = tree.get("published")
    if said is None:
        return networks, None
    if not isinstance(said, str):
        raise ValueError("published has to be a text such as '2026-11-02'")  # noqa: TRY004 - the file is wrong, not the caller
    published = date.fromisoformat(said)
    if published > datetime.now(UTC).date() + timedelta(days=1):  # it may be tomorrow there
        raise ValueError(f"it is of {published}, which is to come")
    return networks, published.isoformat()


def _check_entries(networks: list[str]) -> None:
    """Refuse an entry that cannot be Cloudflare's: no network, too wide, or not public."""
    from ipaddress import ip_network

    size = {4: 0, 6: 0}
    for at, entry in enumerate(networks, 1):
        try:
            network = ip_network(entry if re.fullmatch(_CIDR, entry) else "")
        except ValueError:  # not shown: a path that is wrong can name any file
            raise ValueError(
                f"entry {at} of it is no network; expected are lines such as {RANGES[0]}"
            ) from None
        widest = WIDEST[network.version]
        if network.prefixlen < widest or not network.is_global:
            raise ValueError(
                f"{entry!r} is no network of Cloudflare's: expected are public networks of at "
                f"least /{widest}; fetch the list again from {SOURCE}"
            )
        size[network.version] += network.num_addresses
    if size[4] > MOST[4] or size[6] > MOST[6]:
        raise ValueError(
            f"it covers many times what Cloudflare has; fetch the list again from {SOURCE}"
        )


def _check_versions(networks: tuple[str, ...]) -> None:
    """Refuse half a list: with no v6 networks, every edge that connects over v6 is a stranger."""
    from ipaddress import ip_network

    if {ip_network(entry).version for entry in networks} != {4, 6}:
        raise ValueError(
            "IPv4 and IPv6 networks are needed, and Cloudflare publishes them as two lists; "
            "give both to `gatehound ip refresh`"
        )
