"""What NIST SP 800-63B-4 and the OWASP cheat sheet say of timeouts, and which of it is met.

Sources: NIST SP 800-63B-4 (July 2025), sections 2.1.3, 2.2.3 and 2.3.3 "Reauthentication"; OWASP
Session Management Cheat Sheet, "Session Expiration". An assurance level asks for more than
timeouts (which authenticators, which cryptography): that is the app's, and not said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gatehound.settings import Settings

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86400.0


class Level(NamedTuple):
    """An assurance level: where it is written, and how long its timeouts are at most."""

    name: str
    section: str
    absolute: float
    idle: float | None  # None: an inactivity timeout MAY be applied


class Life(NamedTuple):
    """One kind of session: the settings that end it, by the names that say so, and their values."""

    idle_name: str
    idle: float
    absolute_name: str
    absolute: float


AAL1: Final = Level("AAL1", "2.1.3", 30 * _DAY, None)
AAL2: Final = Level("AAL2", "2.2.3", 24 * _HOUR, _HOUR)
AAL3: Final = Level("AAL3", "2.3.3", 12 * _HOUR, 15 * _MINUTE)
LEVELS: Final = (AAL3, AAL2, AAL1)

HIGH_VALUE: Final = 5 * _MINUTE
LOW_RISK: Final = 30 * _MINUTE


def life_of(settings: Settings, *, remembered: bool, role: str | None = None) -> Life:
    """Return what ends a session (of users with one role), remembered or not."""
    roles = () if role is None else (role,)
    limits = settings.limits(roles, remembered=remembered)
    own = None if role is None else settings.roles[role]

    def named(name: str) -> str:
        has_own = own is not None and getattr(own, name) is not None
        return f"roles.{role}.{name}" if has_own else f"session.{name}"

    idle, absolute = ("remember_idle_timeout", "remember_timeout")
    if not remembered:
        idle, absolute = "idle_timeout", "absolute_timeout"
    return Life(named(idle), limits.idle, named(absolute), limits.absolute)


def lives_of(settings: Settings, role: str | None = None) -> tuple[Life, Life]:
    """Return both kinds: one that is not remembered, and one that is."""
    return (
        life_of(settings, remembered=False, role=role),
        life_of(settings, remembered=True, role=role),
    )


def all_lives(settings: Settings) -> list[Life]:
    """Return those of everybody, and of each role."""
    return [life for role in (None, *settings.roles) for life in lives_of(settings, role)]


def level_of(*lives: Life) -> Level | None:
    """Return the highest level whose timeouts all of these keep; None: not even AAL1."""
    return next((level for level in LEVELS if not list(beyond(lives, level))), None)


def beyond(lives: Iterable[Life], level: Level) -> Iterator[tuple[str, float, float]]:
    """Yield each setting that is over a level's figure once: its name, its value, the figure."""
    seen = set()
    for life in lives:
        pairs = (
            (life.idle_name, life.idle, level.idle),
            (life.absolute_name, life.absolute, level.absolute),
        )
        for name, value, most in pairs:
            if most is not None and value > most and name not in seen:
                seen.add(name)
                yield name, value, most
