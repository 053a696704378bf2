"""How a login travelled: what an operator has to know of it at once."""

from __future__ import annotations

import logging

from gatehound.guard import Guard
from gatehound.model import is_loopback
from gatehound.passage import Passage

log = logging.getLogger("gatehound")


def note_plain_http(guard: Guard, passage: Passage) -> None:
    """Tell loudly of a login over plain HTTP, whose Secure cookie a browser drops.

    One that sends a cookie of ours has kept it: then a proxy ends TLS, and does not say so in
    a header that is declared. A request without a Host is no browser's.
    """
    request, cookie = passage.request, guard.settings.cookie
    scheme = passage.client_ip.scheme or request.scheme
    host = passage.client_ip.host or request.host
    if not cookie.secure or scheme in ("https", "wss") or cookie.name in request.cookie:
        return
    if not host or is_own_host(host):
        return
    if not guard.has_warned("login_over_http"):
        log.warning(
            "a login came over plain HTTP (host %r), where browsers drop the cookie %s, so that "
            "nobody stays signed in: serve HTTPS; where a proxy ends TLS, name its header in "
            "client_ip.scheme_header; on your own machine use localhost",
            host[:100],
            cookie.name,
        )
    if guard.admits("login_over_http"):
        reason = "browsers drop a Secure cookie that comes over plain HTTP"
        guard.announce(guard.event("login_over_http", passage, reason=reason))


def is_own_host(host: str) -> bool:
    """True for a Host header for which browsers keep Secure cookies over plain HTTP too."""
    name, _, port = host.rpartition(":")
    return is_loopback((name if name and port.isdigit() else host).strip("[]"))
