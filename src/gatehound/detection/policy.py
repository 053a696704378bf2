"""From signals to one action, by thresholds that a person can read.

The ladder: a score of `record` points is written down, `flag` marks the session, `notify` tells
its user, `step_up` asks for a fresh proof, `terminate` ends it. The mode is a cap on top, so
that nothing happens that the operator did not switch on. Sensitive routes and roles reach every
rung one point sooner.

Two properties hold for every setting, and are tested: more evidence never gives a milder action,
and neither does a mode further to the right in MODES.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import msgspec

from gatehound.detection.pattern import matcher, pattern_problems
from gatehound.errors import SettingsError
from gatehound.model import Action, Duration, Signal

Mode: TypeAlias = Literal["off", "observe", "flag", "step-up", "strict"]
Use: TypeAlias = Literal["evidence", "strict", "off"]

MODES: Final[tuple[Mode, ...]] = ("off", "observe", "flag", "step-up", "strict")
_CAPS: Final[dict[Mode, Action]] = {
    "off": Action.ALLOW,
    "observe": Action.RECORD,
    "flag": Action.NOTIFY,
    "step-up": Action.TERMINATE,  # reached only where policy.terminate is set
    "strict": Action.TERMINATE,
}
STRICT_FLAG: Final = 3.5  # the flag threshold of mode strict; a lower setting stays


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much evidence, in points, leads to which action.

    One point is an oddity that most people show now and then. A new country is 3.2, a new
    continent 4.0, another operating system 4.5: `flag` at 4.5 needs two of the first kind or one
    of the last; `step_up` at 6.5 needs two that are strong. Lax is a flag at 5.5. `terminate` is
    None: ending a session on evidence alone is wrong too often to be a default.
    """

    record: float = 1.0
    flag: float = 4.5
    notify: float = 6.5  # with step_up: a user who gets mail about less stops reading it
    step_up: float = 6.5
    terminate: float | None = None
    sensitive_paths: tuple[str, ...] = ()
    sensitive_roles: tuple[str, ...] = ("admin", "administrator")
    sensitive_discount: float = 1.0

    def problems(self) -> list[str]:
        """Say what is wrong, a line each; empty means usable."""
        return [*_ladder_problems(self), *self._other_problems()]

    def _other_problems(self) -> Iterator[str]:
        most = min(self.flag, STRICT_FLAG)  # or no evidence at all would flag a session
        if not 0 <= self.sensitive_discount < most:
            yield (
                f"policy.sensitive_discount: {self.sensitive_discount!r} was given; it is 0 or "
                f"more, and less than {most!r}"
            )
        yield from pattern_problems("policy.sensitive_paths", self.sensitive_paths)


class DetectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at, and how far it may go.

    `mode`: `off` looks at nothing; `observe` only records; `flag` (default) marks sessions and
    tells users; `step-up` asks for a proof; `strict` does so and flags at 3.5 points. The
    databases are paths of MaxMind DB files, "" for none. Evidence halves every `half_life` and
    is dropped after `window`. `ip_shift` and `geo_anomaly` are graded evidence, `strict` (every
    change flags) or off.
    """

    mode: Mode = "flag"
    city_database: str = ""
    asn_database: str = ""
    # What counts as one network: /24 is the smallest announced IPv4 prefix, and a /64 is one
    # home or phone, in which privacy addresses change every day (RFC 8981).
    v4_prefix: int = 24
    v6_prefix: int = 64
    half_life: Duration = 1800.0  # half an hour: the length of a visit, not of a day
    window: Duration = 7200.0  # four half-lives leave a sixteenth
    ip_shift: Use = "evidence"
    geo_anomaly: Use = "evidence"
    agent_change: bool = True

    def problems(self) -> list[str]:
        """Say what is wrong, a line each; empty means usable. Files are looked at later."""
        lines = [
            f"detection.{name}: {given!r} was given; allowed are {', '.join(allowed)}"
            for name, given, allowed in (
                ("mode", self.mode, MODES),
                ("ip_shift", self.ip_shift, ("evidence", "strict", "off")),
                ("geo_anomaly", self.geo_anomaly, ("evidence", "strict", "off")),
            )
            if given not in allowed
        ]
        if not 1 <= self.half_life <= self.window:
            lines.append(
                f"detection.half_life: {self.half_life!r} was given with a window of "
                f"{self.window!r}; it is 1 second up to the window"
            )
        return lines


class Policy:
    """The settings, compiled. SettingsError names every problem."""

    def __init__(self, settings: PolicySettings, mode: Mode) -> None:
        if problems := settings.problems():
            raise SettingsError(problems)
        self.settings = settings
        self.mode: Mode = mode
        self.cap = _CAPS[mode]
        self._is_sensitive = matcher(settings.sensitive_paths)
        self._roles = frozenset(settings.sensitive_roles)

    def is_sensitive(self, method: str, path: str, roles: Collection[str]) -> bool:
        """True for a sensitive route, and for every request of a sensitive role."""
        return not self._roles.isdisjoint(roles) or self._is_sensitive(method, path)

    def enter(self, *, sensitive: bool) -> float:
        """Return the score at which a session is flagged."""
        return _flag_at(self.settings, self.mode) - _discount(self.settings, sensitive)

    def decide(self, signals: Sequence[Signal], score: float, *, sensitive: bool) -> Action:
        """Return the action, see `decide`."""
        return decide(signals, score, mode=self.mode, policy=self.settings, sensitive=sensitive)


def decide(
    signals: Sequence[Signal],
    score: float,
    *,
    mode: Mode,
    policy: PolicySettings,
    sensitive: bool = False,
) -> Action:
    """Return the highest rung that the score reaches, and that the mode allows.

    Without signals nothing is done, whatever the thresholds: evidence has to have a reason.
    """
    if not signals:
        return Action.ALLOW
    score += _discount(policy, sensitive) if score > 0 else 0.0
    action = Action.ALLOW
    for threshold, rung in (
        (policy.record, Action.RECORD),
        (_flag_at(policy, mode), Action.FLAG),
        (policy.notify, Action.NOTIFY),
        (policy.step_up, Action.STEP_UP),
        (policy.terminate, Action.TERMINATE),
    ):
        if threshold is not None and score >= threshold:
            action = rung
    return min(action, _CAPS[mode])


def _flag_at(policy: PolicySettings, mode: Mode) -> float:
    return min(policy.flag, STRICT_FLAG) if mode == "strict" else policy.flag


def _discount(policy: PolicySettings, sensitive: bool) -> float:
    return policy.sensitive_discount if sensitive else 0.0


def _ladder_problems(policy: PolicySettings) -> Iterator[str]:
    rungs = [
        (name, value)
        for name in ("record", "flag", "notify", "step_up", "terminate")
        if (value := getattr(policy, name)) is not None
    ]
    if not policy.record > 0:
        yield f"policy.record: {policy.record!r} was given; a threshold is more than 0 points"
    for (lower, less), (upper, more) in pairwise(rungs):
        if not less <= more:
            yield (
                f"policy.{upper}: {more!r} was given, and policy.{lower} is {less!r}; a stronger "
                f"action needs as much evidence or more: raise {upper} or lower {lower}"
            )
