"""What detectors return: whatever kind of function one is, its findings are checked and signed.

Detectors are other people's code: what one raises is a failure, and the others go on. The findings
of built-in ones, whose weights are constants, are signed alone.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from msgspec.structs import replace

from gatehound.detection.detectors.base import Detector, Findings, Observation, Slot
from gatehound.detection.evidence import Evidence
from gatehound.model import Signal

# More than any detector has to say; a generator without end stops here.
MAX_FINDINGS: Final = 16
MAX_WEIGHT: Final = 1000.0  # points; a flag is 4.5
_MAX_ERROR: Final = 200


def look_at_once(
    detectors: Iterable[Detector], seen: Observation, failures: list[tuple[str, str]]
) -> list[Signal]:
    """`look`, for built-in detectors without slots: none waits, each makes a list of signals."""
    fresh: list[Signal] = []
    now = seen.now
    for detector in detectors:
        try:
            found: Any = detector.inspect(seen)
            for one in found:
                weight, name = float(one.weight), detector.name
                fresh.append(Signal(one.code, weight, one.reason, one.detail, name, now))
        except Exception as error:  # a database may be damaged
            failures.append((detector.name, _told(error)))
    return fresh


async def look(
    detectors: Iterable[Detector],
    seen: Observation,
    own: Evidence,
    user: Evidence,
    failures: list[tuple[str, str]],
) -> list[Signal]:
    """Ask every detector; one that raises is a failure, and its slots stay as they were."""
    fresh: list[Signal] = []
    for detector in detectors:
        try:
            if detector.has_slots:
                fresh += await _ask_with_slots(detector, seen, own, user)
                continue
            found = detector.inspect(seen)
            if type(found) is not list:
                fresh += await signed(found, detector, seen.now)
            elif found:
                fresh += _signed_list(found, detector, seen.now)
        except Exception as error:  # detectors are other people's code
            failures.append((detector.name, _told(error)))
    return fresh


async def _ask_with_slots(
    detector: Detector, seen: Observation, own: Evidence, user: Evidence
) -> list[Signal]:
    name = detector.name
    slot, user_slot = Slot(own.slots.get(name)), Slot(user.slots.get(name))
    found = detector.inspect(replace(seen, memory=slot, user_memory=user_slot))
    fresh = [] if found == [] else await signed(found, detector, seen.now)
    if slot.is_changed:
        own.set_slot(name, slot.copy())
    if user_slot.is_changed:
        user.set_slot(name, user_slot.copy())
    return fresh


async def signed(
    found: Findings | Awaitable[Findings], detector: Detector, now: float
) -> list[Signal]:
    """Take what a detector returned, whatever kind of function it is, and sign each finding."""
    if inspect.isawaitable(found):
        found = await found
    if isinstance(found, AsyncIterable):
        findings = []
        async for one in found:
            findings.append(one)  # a comprehension could not stop
            if len(findings) == MAX_FINDINGS:
                break
    elif isinstance(found, Signal):
        findings = [found]
    else:
        findings = list(islice(_iterable(found), MAX_FINDINGS))
    return _signed_list(findings, detector, now)


def _signed_list(findings: list[Signal], detector: Detector, now: float) -> list[Signal]:
    """Sign what all built-in detectors return, a list, without a coroutine for it."""
    return [_signed(one, detector, now) for one in findings[:MAX_FINDINGS]]


def _iterable(found: Iterable[Signal] | None) -> Iterable[Signal]:
    return () if found is None else found


def _signed(signal: Signal, detector: Detector, now: float) -> Signal:
    """Check a finding and write its detector and time in; TypeError or ValueError if it is none."""
    if not isinstance(signal, Signal):
        raise TypeError(f"a detector returns signals, and not {type(signal).__name__}")
    if not (signal.code and isinstance(signal.code, str) and isinstance(signal.reason, str)):
        raise TypeError("a signal has a code and a reason, both text")
    # A dict is one, and the abstract class is asked in ten times the time.
    if type(signal.detail) is not dict and not isinstance(signal.detail, Mapping):
        raise TypeError(f"the detail of {signal.code!r} is no mapping")
    weight = float(signal.weight)
    if not -MAX_WEIGHT <= weight <= MAX_WEIGHT:
        raise ValueError(
            f"the weight of {signal.code!r} is {weight!r}; it is a number of points, at most "
            f"{MAX_WEIGHT:g} for or against"
        )
    return Signal(signal.code, weight, signal.reason, signal.detail, detector.name, now)


def _told(error: Exception) -> str:
    """Say what was raised; an exception whose text raises is named alone."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = type(error).__name__
    return text[:_MAX_ERROR]
