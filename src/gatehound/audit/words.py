"""The active policy in words, one sentence a line, for documentation and people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gatehound.audit.spans import span
from gatehound.audit.standards import (
    AAL2,
    HIGH_VALUE,
    LOW_RISK,
    Life,
    all_lives,
    beyond,
    level_of,
    lives_of,
)
from gatehound.detection import Policy
from gatehound.settings import RoleSettings, Settings


def describe(settings: Settings) -> str:
    """Return the active policy, one sentence a line."""
    privacy = settings.privacy
    lines = [
        *_profiles(settings),
        *_sessions(settings),
        *_cookie(settings),
        *_detection(settings),
        f"The client's address comes from {settings.client_ip.mode!r}.",
        *_forms(settings),
        *_pages(settings),
        *_notices(settings),
        f"While the store does not answer, reading a session {_outage(settings)}.",
        f"Events keep {privacy.address_precision} addresses for {span(privacy.event_retention)}.",
        *(line for name, role in settings.roles.items() for line in _role(settings, name, role)),
    ]
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


def _profiles(settings: Settings) -> Iterator[str]:
    if settings.profile:
        which = f"profile{'s' if len(settings.profile) > 1 else ''} {', '.join(settings.profile)}"
        yield f"What is not set comes from the {which}, and else from the defaults."


def _sessions(settings: Settings) -> Iterator[str]:
    session = settings.session
    yield _timeouts("A session", session.idle_timeout, session.absolute_timeout)
    yield _timeouts("A remembered session", session.remember_idle_timeout, session.remember_timeout)
    yield from _standards(settings)
    yield _limit(settings)
    every = session.rotate_every
    yield (
        "The secret of a session changes at sign-in and at each proof of who the user is"
        f"{f', and at a page load once it is {span(every)} old' if every else ''}."
    )
    yield f"A sign-in counts as fresh for {span(session.fresh_for)}."


def _timeouts(what: str, idle: float, absolute: float) -> str:
    return (
        f"{what} ends after {span(idle)} without a person's activity, and "
        f"{span(absolute)} after sign-in."
    )


def _standards(settings: Settings) -> Iterator[str]:
    """Say which level is met, and what is beyond the next (OWASP ASVS 5.0, 7.1.1)."""
    plain, remembered = lives_of(settings)
    yield (
        f"The timeouts of a session satisfy {_met(plain)} of NIST SP 800-63B-4, those of a "
        f"remembered session {_met(remembered)}."
    )
    over = [
        f"{name} with {span(value)} (at most {span(most)})"
        for name, value, most in beyond(all_lives(settings), AAL2)
    ]
    if over:
        yield f"Over what {AAL2.name} asks are {', '.join(over)}."
    yield f"The idle timeout is {_class_of(plain.idle)} in OWASP's Session Management Cheat Sheet."


def _met(*lives: Life) -> str:
    level = level_of(*lives)
    return "no level" if level is None else f"{level.name} ({level.section})"


def _class_of(idle: float) -> str:
    if idle <= HIGH_VALUE:
        return "that of high-value applications (up to 5 minutes)"
    if idle <= LOW_RISK:
        return "that of low-risk applications (up to 30 minutes)"
    return "longer than that of low-risk applications (up to 30 minutes)"


def _limit(settings: Settings) -> str:
    session = settings.session
    if session.max_per_user is None:
        return "A user may have any number of sessions at once."
    end = "ends the oldest" if session.on_limit == "oldest" else "is refused"
    many = "1 session" if session.max_per_user == 1 else f"{session.max_per_user} sessions"
    return f"A user may have {many} at once; one more {end}."


def _cookie(settings: Settings) -> Iterator[str]:
    cookie = settings.cookie
    where = "this host alone" if cookie.domain is None else f"{cookie.domain} and all hosts below"
    yield (
        f"The cookie {cookie.name!r} is {'Secure, ' if cookie.secure else ''}HttpOnly and "
        f"SameSite={cookie.samesite.title()}, and goes to {where}."
    )


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


def _forms(settings: Settings) -> Iterator[str]:
    csrf = settings.csrf
    if not csrf.protect:
        yield "What another site makes a browser send is left to SameSite and to the app's tokens."
        return
    yield "What another site makes a browser send is refused."
    if csrf.trusted_origins:
        yield f"Pages of {', '.join(csrf.trusted_origins)} may act as the site's own."
    if csrf.exempt:
        yield f"Any site may ask {', '.join(csrf.exempt)}."


def _pages(settings: Settings) -> Iterator[str]:
    web = settings.web
    fresh = f"with a sign-in of the last {span(settings.session.fresh_for)}"
    if not web.require_fresh:
        fresh = "without a fresh sign-in, which OWASP ASVS 5.0, 7.5.2, asks for"
    if web.path is not None:
        yield f"People see and end their own sessions below {web.path}, {fresh}."
    if web.admin_path is not None:
        who = " or ".join(repr(role) for role in web.admin_roles)
        yield (
            f"Who has the role {who} sees and ends everybody's below {web.admin_path}, {fresh}."
            if who
            else f"Nobody has a role for the pages of admins below {web.admin_path}."
        )
    if web.step_up_url is not None:
        yield f"People prove again who they are at {web.step_up_url}."


def _notices(settings: Settings) -> Iterator[str]:
    notify = settings.notify
    if not notify.is_on:
        yield "No notices are sent: who is to be told stands in the events alone."
        return
    many = f"{len(notify.admins)} address{'es' if len(notify.admins) > 1 else ''} of admins"
    mailed = [many] if notify.admins else []
    mailed += ["users"] if notify.users else []
    if notify.smtp and mailed:
        yield (
            f"Notices go to {' and '.join(mailed)} by mail, at most {notify.per_hour} in an hour "
            f"and {notify.per_two_days} in two days for one person."
        )
    others = [name for name, on in (("a webhook", notify.webhook), ("the log", notify.log)) if on]
    if others:
        yield f"Notices go to {' and '.join(others)}."


def _outage(settings: Settings) -> str:
    if settings.outage.policy == "stale_ok":
        age = span(settings.outage.stale_for)
        return f"shows what was valid up to {age} ago to requests that only read, or answers 503"
    return "answers 503" if settings.outage.policy == "deny" else "says that nobody is signed in"


def _role(settings: Settings, name: str, role: RoleSettings) -> Iterator[str]:
    values = [(key, getattr(role, key)) for key in role.__struct_fields__ if key != "profile"]
    changes = [
        f"{key} {span(value) if isinstance(value, float) else value}"
        for key, value in values
        if value is not None
    ]
    of = f" (profile {' and '.join(role.profile)})" if role.profile else ""
    yield f"For the role {name!r}{of}: {', '.join(changes) or 'no difference'}."
    if any(key.endswith("_timeout") and value is not None for key, value in values):
        plain, remembered = lives_of(settings, name)
        yield (
            f"The timeouts of the role {name!r} satisfy {_met(plain)}, remembered "
            f"{_met(remembered)}."
        )
