"""What findings weigh together with those that are remembered, and what follows from the sum.

Nothing is learned here: see gatehound.detection.judge for the order of steps.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

from gatehound.detection.evidence import REORDER, Evidence, next_flag
from gatehound.detection.policy import Policy
from gatehound.detection.settings import DetectionSettings
from gatehound.detection.would import least, names, ways
from gatehound.model import NOTHING, Action, Request, Signal

# In Python 3.11 a member of an enum takes longer to look up than a function to call.
_ALLOW: Final = Action.ALLOW
_FLAG: Final = Action.FLAG


class Scale:
    """The settings of a detection, as far as they say what findings come to."""

    def __init__(self, settings: DetectionSettings, policy: Policy) -> None:
        self._policy = policy
        self._half_life = settings.half_life
        self._window = settings.window
        self._flag_at = policy.enter()
        self._least = least(policy.settings)
        self._lowest = min(policy.settings.record, self._flag_at)  # under it nothing is done

    def note(self, own: Evidence, signal: Signal) -> None:
        """Remember a finding at the time that it says; a weight of 0 takes it back."""
        if signal.weight == 0:
            own.signals.pop(signal.code, None)
        else:
            own.note(signal, self._half_life)

    def weigh(
        self, own: Evidence, fresh: Sequence[Signal], now: float
    ) -> tuple[tuple[Signal, ...], float]:
        """Note what was found; return what counts now, and its sum (never below zero)."""
        if not (fresh or own.signals):
            return (), 0.0
        credits: dict[str, Signal] = {}
        half_life, details = self._half_life, {}
        for signal in fresh:
            code, weight = signal.code, signal.weight
            details[code] = signal.detail
            if weight > 0:
                own.note(signal, half_life)
            elif weight < 0:
                credits[code] = signal
            else:  # the detector takes back what it said
                own.signals.pop(code, None)
        weighed = list(credits.values())
        for one, points in own.forget(now, half_life=half_life, window=self._window):
            code = one.code
            detail = details.get(code, NOTHING)
            weighed.append(Signal(code, points, one.reason, detail, one.detector, one.at))
        if len(weighed) == 1:
            return tuple(weighed), max(0.0, weighed[0].weight)
        weighed.sort(key=lambda one: (-one.weight, one.code))
        return tuple(weighed), max(0.0, math.fsum([one.weight for one in weighed]))

    def left(self, own: Evidence, now: float) -> float:
        """Return the points that signals have left."""
        return own.score(now, self._half_life)

    def decide(
        self,
        signals: tuple[Signal, ...],
        score: float,
        now: float,
        *,
        flagged: bool,
        caution: float,
    ) -> tuple[Action, bool | None]:
        """Return the action, and whether the flag changes (None: it stays as it is)."""
        policy = self._policy
        if score + caution < self._lowest and not (flagged or policy.may_end):
            return _ALLOW, None
        action = policy.rung(signals, score, caution)
        enter = self._flag_at - caution
        recent = flagged and _fresh_weight(signals, now) >= enter / 2
        after = (flagged or score >= enter) and next_flag(
            score, flagged=flagged, enter=enter, recent=recent
        )
        if not flagged and policy.cap < _FLAG:
            after = False
        if policy.may_end and policy.ends(signals):
            action = Action.TERMINATE
        if after:  # between half the threshold and all of it a flag holds, and so does the action
            action = max(action, min(_FLAG, policy.cap))
        return action, None if after == flagged else after

    def would(self, own: Evidence, before: float, score: float, caution: float) -> tuple[str, ...]:
        """Return what the score newly leads to in other modes; evidence that fades starts anew."""
        if score + caution < self._least and not own.would:
            return ()  # far most requests
        bits = ways(score, self._policy.settings, caution=caution)
        held = own.would if before >= self._flag_at / 2 else 0
        own.would = bits | held
        return names(bits & ~held) if bits & ~held else ()

    def flags_elsewhere(self, request: Request, score: float, roles: Collection[str]) -> bool:
        """True where a relaxed path alone keeps this score from being a flag.

        Nothing is learned then, and the next request is judged again: a thief who begins on such
        a path must not be known by it everywhere.
        """
        reaches = score >= self._flag_at and self._policy.cap >= _FLAG
        return reaches and self._policy.is_relaxed_here(request.method, request.path, roles)


def _fresh_weight(signals: Sequence[Signal], now: float) -> float:
    """What was found within the window in which requests overtake each other."""
    return sum(one.weight for one in signals if one.weight > 0 and now - one.at < REORDER)
