"""Networks that providers publish for their connections to your server, with date and source.

What belongs here: lists that are short, stable for months and published as addresses; the
presets (presets.py) hand them on. Cloudflare's list is in cloudflare.py. What must not: a
list that its provider tells you not to copy (AzureFrontDoor.Backend), or that changes week
by week (CloudFront), or that nobody publishes (Fly, Heroku, Kinsta); there the operator
lists the networks. To renew one, copy the published list and set its date;
tests/clientip pins the count.
"""

from __future__ import annotations

from typing import Final

FASTLY_SOURCE: Final = "https://api.fastly.com/public-ip-list"
FASTLY_PUBLISHED: Final = "2026-07-06"
"""The day of a daily mirror of the list; the list itself last changed on 2026-06-18.

"This list is exhaustive and includes all Fastly-owned IP ranges", and changes are announced:
https://www.fastly.com/documentation/reference/api/utils/public-ip-list/
"""

FASTLY: Final = (
    "23.235.32.0/20",
    "43.249.72.0/22",
    "103.244.50.0/24",
    "103.245.222.0/23",
    "103.245.224.0/24",
    "104.156.80.0/20",
    "140.248.64.0/18",
    "140.248.128.0/17",
    "146.75.0.0/17",
    "151.101.0.0/16",
    "157.52.64.0/18",
    "167.82.0.0/17",
    "167.82.128.0/20",
    "167.82.160.0/20",
    "167.82.224.0/20",
    "172.111.64.0/18",
    "185.31.16.0/22",
    "199.27.72.0/21",
    "199.232.0.0/16",
    "2a04:4e40::/32",
    "2a04:4e42::/32",
)

GOOGLE_FRONT_ENDS_SOURCE: Final = "https://docs.cloud.google.com/load-balancing/docs/https"
GOOGLE_FRONT_ENDS_PUBLISHED: Final = "2026-04-15"
"""The day of the copy that was read, of the table "Request source ranges" in that page."""

GOOGLE_FRONT_ENDS: Final = (
    "35.191.0.0/16",
    "130.211.0.0/22",
    # For IPv6 traffic to the backends. 2600:2d00:1:b029::/64 stands beside it in the table,
    # but for health checks alone, which carry no client.
    "2600:2d00:1:1::/64",
)
"""Where a global load balancer's requests to instance groups and zonal NEGs come from.

Not 34.96.0.0/20 and 34.127.192.0/18, for internet NEGs: any Google customer's load balancer
reaches any server on the internet from those.
"""
