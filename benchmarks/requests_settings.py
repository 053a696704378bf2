"""What the apps of requests.py are told: where their store is, and gatehound's settings."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

SECRET: Final = "benchmark-key-of-over-32-characters!"  # noqa: S105 - it guards nothing


class Stores(NamedTuple):
    """The stores that belong to one participant: a database of the Redis server, and a file."""

    redis: str
    sqlite: str


def gatehound_settings(store: str) -> dict[str, Any]:
    """Return the settings: what has to be given, and a proxy on loopback; all else is default.

    All users come from one network, as from an office: unless it is named, that is taken for a
    proxy that is set wrong, where many sessions are measured.
    """
    return {
        "secret_keys": [SECRET],
        "identity_key": "another-benchmark-key-of-32-characters",
        "namespace": "benchmark",
        "store": store,
        "client_ip": {"mode": "x-forwarded-for", "trusted_proxies": ["127.0.0.0/8"]},
        "detection": {"shared_networks": ["203.0.113.0/24"]},
    }
