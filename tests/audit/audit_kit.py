"""What the tests of audits share: a configuration in which nothing is to be found, and changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # netaddr ships no types

from gatehound import Guard
from gatehound.profiles import merged

SECRET = "vJ3xq0Zb-7eKfWm2RtYuPs9LdAhGcN1o"
OLDER = "m5KcXz1uVhTqYw8Fg-2JbNdR7sPeL0aS"
IDENTITY = "Q8nTz5_yXkV4bMwHj6CrEaDi0FpUgS2l"

RECORDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "city_database": ("GeoLite2-City", {"country": {"iso_code": "DE"}}),
    "asn_database": ("GeoLite2-ASN", {"autonomous_system_number": 64496}),
    "anonymous_database": ("GeoIP2-Anonymous-IP", {"is_anonymous_vpn": True}),
}


def databases(folder: Path) -> dict[str, str]:
    """Write the databases that a site in production has; the settings that name them."""
    made = {}
    for setting, (kind, record) in RECORDS.items():
        writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind)
        writer.insert_network(IPSet(["192.0.2.0/24"]), record)
        path = folder / f"{setting}.mmdb"
        writer.to_db_file(str(path))
        made[setting] = str(path)
    return made


def production(folder: Path) -> dict[str, Any]:
    """A site behind its own proxy, with pages, forms, an admin, and everything that it needs."""
    return {
        "profile": ["nist-aal2"],
        "secret_keys": [SECRET, OLDER],
        "identity_key": IDENTITY,
        "store": f"sqlite:///{folder}/sessions.db",
        "ignore_paths": ["/static/", "/health"],
        "client_ip": {"mode": "x-forwarded-for", "trusted_proxies": ["10.20.0.0/28"]},
        "session": {"rotate_every": "1h"},
        "roles": {
            "admin": {"profile": "admin"},
            "administrator": {"profile": "admin"},
            "user:42": {"max_per_user": 2},
        },
        "detection": {"mode": "step-up", **databases(folder)},
        "policy": {"sensitive_paths": ["/pay/*"], "fresh_paths": ["POST /password"]},
        "web": {
            "path": "/account/sessions",
            "admin_path": "/staff/sessions",
            "sign_in_url": "/sign-in",
            "step_up_url": "/sign-in/again",
        },
        "csrf": {"protect": True, "exempt": ["POST /hooks/payment"]},
    }


def guard_of(base: Mapping[str, Any], *changes: Mapping[str, Any]) -> Guard:
    """Build a guard that reaches for no store, with groups of settings laid over a base."""
    tree: Mapping[str, Any] = base
    for change in (*changes, {"check_store_at_start": False}):
        tree = merged(tree, change)
    return Guard(tree)
