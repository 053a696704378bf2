"""Find what timeouts and limits leave open, against OWASP ASVS 5.0 V7 and NIST SP 800-63B-4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gatehound.audit.spans import span
from gatehound.audit.standards import AAL1, AAL2, all_lives, beyond, level_of
from gatehound.clientip.check import Finding
from gatehound.settings import Settings

MOST_SESSIONS: Final = 20  # Guard Dog allows no more
MOST_FRESH: Final = 3600.0  # seconds; an hour in, nobody knows who sits there
LEAST_EVENTS: Final = 30 * 86400.0  # ours: a month's mail is read before its events are gone


def session_findings(settings: Settings) -> Iterator[Finding]:
    """Look at timeouts, limits, freshness, and how long events are kept."""
    session = settings.session
    if not 300 <= session.idle_timeout <= 86400:
        yield Finding(
            "warning",
            "idle-timeout-unusual",
            f"session.idle_timeout is {span(session.idle_timeout)} (OWASP ASVS 5.0, 7.3.1).",
            "use 5 minutes to 24 hours",
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
    over = [
        f"{name} with {span(value)} (at most {span(most)})"
        for name, value, most in beyond(lives, missed)
    ]
    if not over:
        return
    kept = "no level" if met is None else f"{met.name} ({met.section})"
    yield Finding(
        "warning" if met is None else "note",
        f"timeouts-over-{missed.name.lower()}",
        f"The timeouts satisfy {kept} of NIST SP 800-63B-4; over {missed.name} "
        f"({missed.section}) are {', '.join(over)}. OWASP ASVS 5.0, 7.1.1, asks for the reasons "
        "of a deviation in writing.",
        f"set profile to nist-{missed.name.lower()}, or write down why, beside what describe() "
        "says",
    )


def _limit_findings(settings: Settings) -> Iterator[Finding]:
    groups = {"session": settings.session.max_per_user}
    groups |= {
        f"roles.{name}": role.max_per_user
        for name, role in settings.roles.items()
        if role.max_per_user is not None
    }
    many = [
        f"{where}.max_per_user is {most or 'none'}"
        for where, most in groups.items()
        if most is None or most > MOST_SESSIONS
    ]
    if many:
        yield Finding(
            "note",
            "session-limit-high",
            f"{', '.join(many)}: a stolen password opens as many sessions unnoticed "
            "(OWASP ASVS 5.0, 7.1.2).",
            f"set it to 1 to {MOST_SESSIONS}",
        )
