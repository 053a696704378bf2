"""Find what timeouts and limits leave open, against OWASP ASVS 5.0 V7 and NIST SP 800-63B-4."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from gatehound.audit.spans import span
from gatehound.audit.standards import AAL1, AAL2, all_lives, beyond, level_of
from gatehound.clientip.check import Finding
from gatehound.settings import RoleSettings, SessionSettings, Settings

MOST_SESSIONS: Final = 20  # Guard Dog allows no more
MOST_FRESH: Final = 3600.0  # seconds; an hour in, nobody knows who sits there
_IN_RANGE: Final = ("5 minutes or more", "24 hours or less")
_IDLE_OF: Final = {
    "absolute_timeout": "idle_timeout",
    "remember_timeout": "remember_idle_timeout",
}
LEAST_EVENTS: Final = 30 * 86400.0  # ours: a month's mail is read before its events are gone


def session_findings(settings: Settings) -> Iterator[Finding]:
    """Look at timeouts, limits, freshness, and how long events are kept."""
    session = settings.session
    if not 300 <= session.idle_timeout <= 86400:
        yield Finding(
            "warning",
            "idle-timeout-unusual",
            f"session.idle_timeout is {span(session.idle_timeout)} (OWASP ASVS 5.0, 7.3.1).",
            f"set session.idle_timeout to {_IN_RANGE[session.idle_timeout > 300]}",
        )
    yield from _level_findings(settings)
    yield from _limit_findings(settings)
    if session.fresh_for > MOST_FRESH:
        yield Finding(
            "note",
            "fresh-long",
            f"session.fresh_for is {span(session.fresh_for)}: for so long nobody is asked again "
            "before a sensitive change (OWASP ASVS 5.0, 7.5.1).",
            "set session.fresh_for to 5 to 15 minutes",
        )
    kept = settings.privacy.event_retention
    if kept < LEAST_EVENTS:
        yield Finding(
            "note",
            "events-short",
            f"Events are kept for {span(kept)}: of what is noticed later nothing is left "
            "(OWASP ASVS 5.0, 16.3.1).",
            "set privacy.event_retention to 30 days or more, or keep them in a sink",
        )


def _level_findings(settings: Settings) -> Iterator[Finding]:
    """Name what is over AAL2, or where it is that long, over AAL1."""
    lives = all_lives(settings)
    met = level_of(*lives)
    missed = AAL1 if met is None else AAL2
    long = list(beyond(lives, missed))
    if not long:
        return
    over = [f"{name} with {span(value)} (at most {span(most)})" for name, value, most in long]
    kept = "no level" if met is None else f"{met.name} ({met.section})"
    yield Finding(
        "warning" if met is None else "note",
        f"timeouts-over-{missed.name.lower()}",
        f"The timeouts satisfy {kept} of NIST SP 800-63B-4; over {missed.name} "
        f"({missed.section}) are {', '.join(over)}. OWASP ASVS 5.0, 7.1.1, asks for the reasons "
        "of a deviation in writing.",
        f"{_shortened(settings, {name: most for name, _, most in long})}, or write down why, "
        "beside what describe() says",
    )


def _shortened(settings: Settings, most_of: dict[str, float]) -> str:
    """Say what to set, by name: over a profile the value that is written would win.

    What would be refused beside the shorter ones comes along.
    """
    told = dict(most_of)
    for name, most in most_of.items():
        for below in _idle_under(settings, name, most):
            told.setdefault(below, most)
    idle = min((told[name] for name in told if name.endswith(".idle_timeout")), default=math.inf)
    if settings.session.touch_interval > idle / 10:
        told["session.touch_interval"] = idle / 10
    return "set " + ", ".join(f"{name} to {span(most)}" for name, most in told.items())


def _idle_under(settings: Settings, name: str, most: float) -> Iterator[str]:
    """Yield the idle timeouts that an absolute one of so much would be shorter than."""
    group, _, absolute = name.rpartition(".")
    idle = _IDLE_OF.get(absolute)
    for where, own in _groups(settings).items():
        has_it = where == group or (group == "session" and getattr(own, absolute) is None)
        value = getattr(own, idle) if idle and has_it else None
        if value is not None and value > most:
            yield f"{where}.{idle}"


def _groups(settings: Settings) -> dict[str, SessionSettings | RoleSettings]:
    roles = {f"roles.{name}": role for name, role in settings.roles.items()}
    return {"session": settings.session, **roles}


def _limit_findings(settings: Settings) -> Iterator[Finding]:
    many = {
        f"{where}.max_per_user": group.max_per_user or "none"
        for where, group in _groups(settings).items()
        if (group.max_per_user is None and where == "session")
        or (group.max_per_user is not None and group.max_per_user > MOST_SESSIONS)
    }
    if many:
        yield Finding(
            "note",
            "session-limit-high",
            f"{', '.join(f'{name} is {most}' for name, most in many.items())}: a stolen password "
            "opens as many sessions unnoticed (OWASP ASVS 5.0, 7.1.2).",
            f"set {' and '.join(many)} to 1 to {MOST_SESSIONS}",
        )
