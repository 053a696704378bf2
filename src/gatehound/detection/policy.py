"""From signals to one action, by thresholds that a person can read.

The ladder: a score of `record` points is written down, `flag` marks the session, `notify` tells
its user, a sensitive route asks a marked session for a fresh proof, `step_up` asks for it
everywhere, `terminate` ends it. The mode is a cap on top, so
that nothing happens that the operator did not switch on. Sensitive routes and roles reach every
rung one point sooner.

Two properties hold for every setting, and are tested: more evidence never gives a milder action,
and neither does a mode further to the right in MODES.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import msgspec

from gatehound.detection.pattern import any_reading, matcher, pattern_problems
from gatehound.detection.settings import Mode
from gatehound.errors import SettingsError
from gatehound.model import Action, Signal

_Ladder: TypeAlias = tuple[tuple[float, Action], ...]
_ALLOW: Final = Action.ALLOW  # in Python 3.11 a member of an enum takes long to look up
_CAPS: Final[dict[Mode, Action]] = {
    "off": Action.ALLOW,
    "observe": Action.RECORD,
    "flag": Action.NOTIFY,
    "step-up": Action.TERMINATE,  # reached only where policy.terminate is set
    "strict": Action.TERMINATE,
}
PROFILES: Final = {"lax": 5.5, "standard": 4.5, "strict": 3.5}  # where a session is flagged
_WORDS: Final = {
    "profile": tuple(PROFILES),
    "on_terminate": ("session", "all", "reauthenticate"),
    "malicious": ("flag", "terminate"),
}
MALICIOUS: Final = "address_malicious"  # the one signal that an operator may let end a session
STRICT_FLAG: Final = 3.5  # the flag threshold of mode strict; a lower setting stays


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much evidence, in points, leads to which action, and what that action does.

    One point is an oddity that most people show now and then. A new country is 3.2, a new
    continent 4.0, another operating system 4.5: a flag at 4.5 needs two of the first kind or one
    of the last; `step_up` at 6.5 needs two that are strong. `profile` says where the flag is
    where `flag` is None: lax 5.5, standard 4.5, strict 3.5. Sensitive paths and roles reach every
    rung `sensitive_discount` points sooner, relaxed ones as much later; sensitive wins.

    `terminate` is None: ending a session on evidence alone is wrong too often to be a default.
    `on_terminate` says what ends then: this session, all sessions of the user, or this one while
    all others have to prove themselves again. `malicious` says what becomes of a session that is
    used from an address on the list `detection.reputation.malicious`. `fresh_paths` are routes
    that need a sign-in within `session.fresh_for`, whatever the evidence says.
    """

    record: float = 1.0
    flag: float | None = None
    notify: float = 6.5  # with step_up: a user who gets mail about less stops reading it
    step_up: float = 6.5
    terminate: float | None = None
    profile: Literal["lax", "standard", "strict"] = "standard"
    on_terminate: Literal["session", "all", "reauthenticate"] = "session"
    malicious: Literal["flag", "terminate"] = "flag"
    fresh_paths: tuple[str, ...] = ()
    sensitive_paths: tuple[str, ...] = ()
    sensitive_roles: tuple[str, ...] = ("admin", "administrator")
    sensitive_discount: float = 1.0
    relaxed_paths: tuple[str, ...] = ()
    relaxed_roles: tuple[str, ...] = ()

    @property
    def flag_at(self) -> float:
        """The score at which a session is flagged."""
        return PROFILES[self.profile] if self.flag is None else self.flag

    def problems(self) -> list[str]:
        """Say what is wrong, a line each; empty means usable."""
        unknown = [*self._unknown_words()]
        return unknown or [*_ladder_problems(self), *self._other_problems()]

    def _unknown_words(self) -> Iterator[str]:
        for name, allowed in _WORDS.items():
            if (given := getattr(self, name)) not in allowed:
                yield f"policy.{name}: {given!r} was given; allowed are {', '.join(allowed)}"

    def _other_problems(self) -> Iterator[str]:
        most = min(self.flag_at, STRICT_FLAG)  # or no evidence at all would flag a session
        if not 0 <= self.sensitive_discount < most:
            yield (
                f"policy.sensitive_discount: {self.sensitive_discount!r} was given; it is 0 or "
                f"more, and less than {most!r}"
            )
        for name in ("fresh_paths", "sensitive_paths", "relaxed_paths"):
            yield from pattern_problems(f"policy.{name}", getattr(self, name))


class Policy:
    """The settings, compiled. SettingsError names every problem."""

    def __init__(self, settings: PolicySettings, mode: Mode) -> None:
        if problems := settings.problems():
            raise SettingsError(problems)
        self.settings = settings
        self.mode: Mode = mode
        self.cap = _CAPS[mode]
        # Of signals, score and caution: see `decide`.
        self.rung = partial(_highest, _ladder_of(settings, mode), self.cap)
        self._is_fresh = any_reading(settings.fresh_paths)
        self._is_sensitive = any_reading(settings.sensitive_paths)
        self._roles = frozenset(settings.sensitive_roles)
        self._is_relaxed = matcher(settings.relaxed_paths)
        self._relaxed_roles = frozenset(settings.relaxed_roles)
        self.has_paths = bool(settings.sensitive_paths or settings.relaxed_paths)
        self.may_end = settings.malicious == "terminate" and mode not in ("off", "observe")

    def caution(self, method: str, path: str, roles: Collection[str]) -> float:
        """Return how many points sooner every rung is reached: on a sensitive route or for a
        sensitive role the discount, on relaxed ones as much less than nothing, else 0.
        """
        discount = self.settings.sensitive_discount
        if not (roles or self.has_paths):
            return 0.0
        if not self._roles.isdisjoint(roles) or self._is_sensitive(method, path):
            return discount
        if not self._relaxed_roles.isdisjoint(roles) or self._is_relaxed(method, path):
            return -discount
        return 0.0

    def is_relaxed_here(self, method: str, path: str, roles: Collection[str]) -> bool:
        """True where it is the path alone that reaches every rung later."""
        is_role = not (self._roles | self._relaxed_roles).isdisjoint(roles)
        return not is_role and self.caution(method, path, roles) < 0

    def asks_here(self, action: Action, method: str, path: str) -> bool:
        """True where a session that is flagged, and no more, meets a sensitive route.

        In the modes that ask for proofs at all; everywhere else it goes on.
        """
        if action not in (Action.FLAG, Action.NOTIFY) or self.cap < Action.STEP_UP:
            return False
        return self._is_sensitive(method, path)

    def is_fresh_path(self, method: str, path: str) -> bool:
        """True for a route that needs a fresh sign-in."""
        return self._is_fresh(method, path)

    def enter(self, *, caution: float = 0.0) -> float:
        """Return the score at which a session is flagged."""
        return _flag_at(self.settings, self.mode) - caution

    def ends(self, signals: Sequence[Signal]) -> bool:
        """True where an address with a bad name ends the session, whatever the score."""
        return self.may_end and any(signal.code == MALICIOUS for signal in signals)

    def decide(self, signals: Sequence[Signal], score: float, *, caution: float = 0.0) -> Action:
        """Return the action, see `decide`."""
        return self.rung(signals, score, caution)


def decide(
    signals: Sequence[Signal],
    score: float,
    *,
    mode: Mode,
    policy: PolicySettings,
    caution: float = 0.0,
) -> Action:
    """Return the highest rung that the score reaches, and that the mode allows.

    Without signals nothing is done, whatever the thresholds: evidence has to have a reason.
    """
    return _highest(_ladder_of(policy, mode), _CAPS[mode], signals, score, caution)


def _highest(
    ladder: _Ladder, cap: Action, signals: Sequence[Signal], score: float, caution: float
) -> Action:
    action = _ALLOW
    if not signals:
        return action
    score += caution if score > 0 else 0.0
    for threshold, rung in ladder:
        if score < threshold:
            break
        action = rung
    return min(action, cap)


def _ladder_of(policy: PolicySettings, mode: Mode) -> _Ladder:
    """Return thresholds and rungs, the lowest first; rules of the settings keep them in order."""
    rungs = (
        (policy.record, Action.RECORD),
        (_flag_at(policy, mode), Action.FLAG),
        (policy.notify, Action.NOTIFY),
        (policy.step_up, Action.STEP_UP),
        (policy.terminate, Action.TERMINATE),
    )
    return tuple((threshold, rung) for threshold, rung in rungs if threshold is not None)


def _flag_at(policy: PolicySettings, mode: Mode) -> float:
    return min(policy.flag_at, STRICT_FLAG) if mode == "strict" else policy.flag_at


def _ladder_problems(policy: PolicySettings) -> Iterator[str]:
    rungs = [
        (name, value)
        for name in ("record", "flag", "notify", "step_up", "terminate")
        if (value := policy.flag_at if name == "flag" else getattr(policy, name)) is not None
    ]
    if not policy.record > 0:
        yield f"policy.record: {policy.record!r} was given; a threshold is more than 0 points"
    for (lower, less), (upper, more) in pairwise(rungs):
        if not less <= more:
            yield (
                f"policy.{upper}: {more!r} was given, and policy.{lower} is {less!r}; a stronger "
                f"action needs as much evidence or more: raise {upper} or lower {lower}"
            )
