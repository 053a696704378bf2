"""Say the active policy in words, and find what an operator should know of.

OWASP ASVS 5.0 (7.1.1, 7.1.2) asks that timeouts, limits and deviations are documented:
`describe` writes that text from the settings, so that it cannot be out of date.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gatehound.clientip.check import Finding
from gatehound.detection import Detection, Networks, Policy
from gatehound.settings import Settings


def describe(settings: Settings) -> str:
    """Return the active policy, one sentence a line."""
    session, privacy = settings.session, settings.privacy
    lines = [
        _timeouts("A session", session.idle_timeout, session.absolute_timeout),
        _timeouts("A remembered session", session.remember_idle_timeout, session.remember_timeout),
        _limit(settings),
        f"A sign-in counts as fresh for {_span(session.fresh_for)}.",
        *_detection(settings),
        f"The client's address comes from {settings.client_ip.mode!r}.",
        f"While the store does not answer, reading a session {_outage(settings)}.",
        f"Events keep {privacy.address_precision} addresses for {_span(privacy.event_retention)}.",
    ]
    for name, role in settings.roles.items():
        changes = [
            f"{key} {_span(value) if isinstance(value, float) else value}"
            for key, value in ((f, getattr(role, f)) for f in role.__struct_fields__)
            if value is not None
        ]
        lines.append(f"For the role {name!r}: {', '.join(changes) or 'no difference'}.")
    return "\n".join(lines)


_ENDS: Final = {
    "session": "a session ends",
    "all": "all sessions of its user end",
    "reauthenticate": "a session ends, and all others of its user have to prove themselves",
}
_MODES: Final = {
    "off": "Nothing is looked at.",
    "observe": "Findings are recorded, and nothing is done.",
    "flag": "Sessions are marked, and people are told.",
    "step-up": "A suspicious session has to prove itself before it goes on.",
    "strict": "A suspicious session has to prove itself before it goes on.",
}


def _detection(settings: Settings) -> Iterator[str]:
    detection, policy = settings.detection, settings.policy
    yield f"Detection is in mode {detection.mode!r}. {_MODES[detection.mode]}"
    if detection.mode == "off":
        return
    flag = Policy(policy, detection.mode).enter()
    asks = detection.mode in ("step-up", "strict") and settings.web.step_up_url is not None
    if detection.mode != "observe":
        proof = f", and has to prove itself at {policy.step_up:g}" if asks else ""
        yield f"A session is flagged at {flag:g} points{proof}."
        if policy.terminate is not None and detection.mode in ("step-up", "strict"):
            yield f"At {policy.terminate:g} points {_ENDS[policy.on_terminate]}."
        if policy.malicious == "terminate":
            yield "A session that is used from an address known for attacks ends."
    yield from _cautions(settings)
    for name in ("ip_shift", "geo_anomaly"):
        if getattr(detection, name) == "strict" and name not in detection.disable:
            yield f"{name} is strict: it flags every change alone."
    if detection.disable:
        yield f"Switched off: {', '.join(detection.disable)}."
    yield _sources(settings)


def _cautions(settings: Settings) -> Iterator[str]:
    """Say who and what is watched more closely, or less."""
    policy = settings.policy
    points = f"{policy.sensitive_discount:g} points"
    for kind, when in (("sensitive", "sooner"), ("relaxed", "later")):
        roles, paths = getattr(policy, f"{kind}_roles"), getattr(policy, f"{kind}_paths")
        named = [*(f"the role {role!r}" for role in roles), *paths]
        if named:
            yield f"Every threshold is reached {points} {when} for {', '.join(named)}."
    if policy.fresh_paths:
        yield f"A recent sign-in is needed for {', '.join(policy.fresh_paths)}."


def _sources(settings: Settings) -> str:
    detection = settings.detection
    databases = [
        name
        for name in ("city", "asn", "anonymous", "connection")
        if getattr(detection, f"{name}_database")
    ]
    lists = [
        name
        for name in detection.network_lists.__struct_fields__
        if getattr(detection.network_lists, name)
    ]
    bad = [name for name in ("risky", "malicious") if getattr(detection.reputation, name)]
    told = [
        *(f"the {name} database" for name in databases),
        *(f"a list of {name} networks" for name in lists),
        *(f"a list of {name} addresses" for name in bad),
    ]
    return f"What is known of networks comes from: {', '.join(told) or 'their prefixes alone'}."


def _outage(settings: Settings) -> str:
    if settings.outage.policy == "stale_ok":
        age = _span(settings.outage.stale_for)
        return f"shows what was valid up to {age} ago to requests that only read, or answers 503"
    return "answers 503" if settings.outage.policy == "deny" else "says that nobody is signed in"


def _timeouts(what: str, idle: float, absolute: float) -> str:
    return (
        f"{what} ends after {_span(idle)} without a person's activity, and "
        f"{_span(absolute)} after sign-in."
    )


def _limit(settings: Settings) -> str:
    session = settings.session
    if session.max_per_user is None:
        return "A user may have any number of sessions at once."
    end = "ends the oldest" if session.on_limit == "oldest" else "is refused"
    return f"A user may have {session.max_per_user} sessions at once; one more {end}."


def findings(settings: Settings, detection: Detection) -> list[Finding]:
    """Return what an operator should know of these settings and files; empty: nothing."""
    return [
        *_cookie_findings(settings),
        *settings.resolver().check(),
        *_session_findings(settings, detection.networks),
        *_file_findings(detection),
        *_policy_findings(settings),
        *_page_findings(settings),
    ]


def _cookie_findings(settings: Settings) -> Iterator[Finding]:
    cookie = settings.cookie
    if not cookie.secure:
        yield Finding(
            "note" if settings.development else "danger",
            "cookie-not-secure",
            "The session cookie also travels over plain HTTP, where anybody on the way reads it.",
            "remove cookie.secure and serve the app over HTTPS",
        )
    elif not cookie.name.startswith("__Host-"):
        yield Finding(
            "warning",
            "cookie-no-host-prefix",
            "A subdomain can set a cookie of this name for the whole site.",
            "use cookie.name __Host-gatehound with no cookie.domain",
        )


def _session_findings(settings: Settings, networks: Networks) -> Iterator[Finding]:
    session = settings.session
    if not 300 <= session.idle_timeout <= 86400:
        yield Finding(
            "warning",
            "idle-timeout-unusual",
            f"session.idle_timeout is {_span(session.idle_timeout)}.",
            "use 5 minutes to 24 hours",
        )
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
    asks = detection.mode in ("step-up", "strict")
    if asks and settings.web.step_up_url is None:
        yield Finding(
            "warning",
            "no-step-up-page",
            f"detection.mode is {detection.mode}, and nobody can be asked for a proof.",
            "set web.step_up_url",
        )
    if policy.terminate is not None and not asks:
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


def _page_findings(settings: Settings) -> Iterator[Finding]:
    web = settings.web
    if web.path is None:
        return
    if web.require_fresh and web.step_up_url is None:
        yield Finding(
            "warning",
            "no-way-to-be-fresh",
            f"{_span(settings.session.fresh_for)} after signing in nobody sees their sessions on "
            "the pages without signing in anew.",
            "set web.step_up_url, or web.require_fresh to false",
        )
    if web.sign_in_url is None:
        yield Finding(
            "note",
            "no-sign-in-url",
            "Who is signed out is told so on the pages, and not where to sign in.",
            "set web.sign_in_url",
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


def _span(seconds: float) -> str:
    """Write a duration as people say it: 3600 -> "1 hour"."""
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{seconds:g} seconds"
