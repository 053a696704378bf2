"""Cloudflare's published address ranges, as data with their date and source.

What belongs here: facts about Cloudflare's network. To renew them, copy the two published
lists and set `PUBLISHED`; tests/clientip pins the count and the merged size.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import Final

SOURCE: Final = "https://www.cloudflare.com/ips"
PUBLISHED: Final = date(2025, 10, 1)
MAX_AGE_DAYS: Final = 180
"""Cloudflare changes the lists about once in two years, and announces it weeks before."""

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
_warned: dict[str, object] = {}


def warn_if_stale(today: date | None = None) -> None:
    """Log one warning in a process when the bundled list is over `MAX_AGE_DAYS` old."""
    age = ((today or datetime.now(UTC).date()) - PUBLISHED).days
    if age <= MAX_AGE_DAYS:
        return
    mine = object()
    # setdefault is atomic: of several threads exactly one finds its own mark.
    if _warned.setdefault("stale", mine) is mine:
        _log.warning(
            "The bundled list of Cloudflare's ranges is of %s, %d days old: an edge that is "
            "newer than the list is not recognised. Update gatehound, or compare it with %s.",
            PUBLISHED,
            age,
            SOURCE,
        )
