"""Whether a request comes from a page of this site, by what browsers write themselves."""

from __future__ import annotations

from typing import Final

from gatehound.clientip import ClientIPResolver
from gatehound.model import Request

_PORTS: Final = {"http": "80", "https": "443"}  # which browsers leave out, and some proxies do not


def names_host(request: Request, resolver: ClientIPResolver) -> bool:
    """True where the header Origin names the host that was asked; "null" names none.

    The host is that of the header Host, or what a trusted proxy says of it. Not the scheme: behind
    a proxy nobody here knows that.
    """
    scheme, _, where = request.header("origin").lower().partition("://")
    if not (scheme and where):
        return False
    names = (where, f"{where}:{_PORTS.get(scheme)}")
    if request.host.lower() in names:
        return True
    told = request.locate(resolver).host
    return told is not None and told.lower() in names
