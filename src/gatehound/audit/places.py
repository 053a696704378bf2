"""Find where a store is, and whether others reach it: by its URL, with nothing connected."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from gatehound.clientip.check import Finding
from gatehound.model import is_loopback
from gatehound.settings import Settings
from gatehound.stores import REDIS_SCHEMES
from gatehound.stores.base import Store


def store_findings(settings: Settings, store: Store) -> Iterator[Finding]:
    """Look at the store that is used; a URL counts only where it is the one that was opened."""
    if store.kind == "memory":
        yield Finding(
            "danger",
            "store-in-memory",
            "Sessions are in the memory of one process: a restart signs everybody out, and "
            "workers do not share them, so that an ended session lives on in another.",
            "set store to sqlite:///… on one machine, or to redis://… on several",
        )
    if store.kind == "redis":
        yield from _redis_findings(settings.store_url)


def development_findings(settings: Settings) -> Iterator[Finding]:
    """Say that this is no server for people, the louder where it looks like one."""
    signs = [*_signs_of_production(settings)]
    if signs:
        yield Finding(
            "warning",
            "development-exposed",
            f"Development mode is on, and {', '.join(signs)}: it refuses whatever is not loopback.",
            "set development to false, and give secret_keys and identity_key",
        )
    else:
        yield Finding(
            "note",
            "development",
            "Development mode is on: it answers this machine alone.",
            "set development to false where others are to use the app",
        )


def _signs_of_production(settings: Settings) -> Iterator[str]:
    if settings.client_ip.mode != "remote-addr":
        yield f"client_ip.mode is {settings.client_ip.mode}"
    if settings.cookie.domain is not None:
        yield "cookie.domain is set"
    if far_hosts(settings.store_url):
        yield "the store is on another machine"


def _redis_findings(url: str) -> Iterator[Finding]:
    far = far_hosts(url)
    if not far or url.startswith("rediss"):
        return
    has_password = _has_password(url)
    yield Finding(
        "note" if has_password else "warning",
        "store-not-encrypted",
        f"What goes to {', '.join(far)} is not encrypted"
        f"{'' if has_password else ', and no password is asked for'}: who is on the way reads "
        "app data and events, and ends sessions or makes them.",
        "use rediss:// and a user with a password, or a network that is yours alone",
    )


def far_hosts(url: str) -> list[str]:
    """Return the hosts of a Redis URL that are not this machine."""
    scheme, _, rest = url.partition("://")
    if scheme not in REDIS_SCHEMES or scheme == "unix":
        return []
    places = urlsplit(f"//{rest}").netloc.rpartition("@")[2].split(",")
    hosts = [urlsplit(f"//{place}").hostname or "localhost" for place in places]
    return [host for host in hosts if not is_loopback(host)]


def _has_password(url: str) -> bool:
    parts = urlsplit(f"//{url.partition('://')[2]}")
    user = parts.netloc.rpartition("@")[0]
    return bool(user.partition(":")[2] or parse_qs(parts.query).get("password"))
