"""All that an operator should know of settings, files and the store's place.

What belongs here: which parts are asked, and what concerns detection and outages. What is wrong
is refused when the settings are read (`_rules`); what the store finds in itself it adds.
"""

from __future__ import annotations

from collections.abc import Iterator

from gatehound.audit.keys import key_findings
from gatehound.audit.notices import notice_findings
from gatehound.audit.pages import cookie_findings, csrf_findings, page_findings
from gatehound.audit.places import development_findings, store_findings
from gatehound.audit.roles import role_findings
from gatehound.audit.sessions import session_findings
from gatehound.audit.spans import span
from gatehound.clientip.check import Finding
from gatehound.detection import Detection, Networks
from gatehound.settings import Settings
from gatehound.stores.base import Store


def findings(settings: Settings, detection: Detection, store: Store) -> list[Finding]:
    """Return what an operator should know of these; empty: nothing.

    `store` is the one that is used, of which only the kind is looked at. In development mode keys
    and store are not looked at.
    """
    return [
        *_where_it_runs(settings, store),
        *cookie_findings(settings),
        *settings.resolver().check(),
        *session_findings(settings),
        *_detection_findings(settings, detection.networks),
        *_file_findings(detection),
        *_policy_findings(settings),
        *role_findings(settings),
        *page_findings(settings),
        *csrf_findings(settings),
        *notice_findings(settings),
        *_outage_findings(settings),
    ]


def _where_it_runs(settings: Settings, store: Store) -> Iterator[Finding]:
    if settings.development:
        yield from development_findings(settings)
        return
    yield from key_findings(settings)
    yield from store_findings(settings, store)


def _detection_findings(settings: Settings, networks: Networks) -> Iterator[Finding]:
    if settings.detection.mode == "off":
        yield Finding(
            "warning", "detection-off", "A stolen cookie is not noticed.", "use detection.mode flag"
        )
    elif networks.failures:
        yield Finding(
            "warning",
            "geo-database-damaged",
            f"{networks.failures} look-ups in the geo databases failed: they are no evidence.",
            "replace the files named in detection.city_database and detection.asn_database",
        )
    else:
        yield from _missing_data(networks)


def _file_findings(detection: Detection) -> Iterator[Finding]:
    """Say which databases and lists changed into something that cannot be used."""
    for line in detection.findings():
        yield Finding(
            "warning", "database-unusable", line, "replace the file by renaming a whole one"
        )


def _policy_findings(settings: Settings) -> Iterator[Finding]:
    """Say which settings of the policy do nothing."""
    detection, policy = settings.detection, settings.policy
    if policy.terminate is not None and detection.mode not in ("step-up", "strict"):
        yield Finding(
            "warning",
            "terminate-without-effect",
            f"policy.terminate is set, and detection.mode {detection.mode} ends nothing.",
            "set detection.mode to step-up or strict",
        )
    if policy.malicious == "terminate" and not detection.reputation.malicious:
        yield Finding(
            "warning",
            "malicious-without-list",
            "policy.malicious is terminate, and no list says which addresses are meant.",
            "set detection.reputation.malicious",
        )


def _outage_findings(settings: Settings) -> Iterator[Finding]:
    outage = settings.outage
    if outage.policy == "anonymous":
        yield Finding(
            "note",
            "outage-anonymous",
            "While the store is down the app is told that nobody is signed in: what it shows "
            "strangers it shows its users.",
            "set outage.policy to deny, unless every page is right for a stranger",
        )
    if outage.policy == "stale_ok":
        yield Finding(
            "note",
            "outage-stale",
            f"While the store is down a session that ended elsewhere is shown for up to "
            f"{span(outage.stale_for)} (a deviation from OWASP ASVS 5.0, 7.4.1).",
            "set outage.policy to deny, or write down why",
        )


def _missing_data(networks: Networks) -> Iterator[Finding]:
    """Say what a database would add."""
    if not networks.has_city:
        yield Finding(
            "note",
            "no-city-database",
            "Without a city database no country is known: a thief abroad looks like one next door.",
            "set detection.city_database to a GeoLite2-City file",
        )
    if not networks.has_asn:
        yield Finding(
            "note",
            "no-asn-database",
            "Without an ASN database no provider is known: only prefixes tell networks apart.",
            "set detection.asn_database to a GeoLite2-ASN file",
        )
    if not networks.has_kinds:
        yield Finding(
            "note",
            "no-network-kinds",
            "Tor, VPNs, relays, servers and phones cannot be told from home lines.",
            "set detection.anonymous_database, detection.connection_database or "
            "detection.network_lists",
        )
