"""What detectors return: whatever kind of function one is, its findings are checked and signed.

Detectors are other people's code. What they raise is for the caller to contain.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping
from itertools import islice
from typing import Final

from gatehound.detection.detectors.base import Detector, Findings
from gatehound.model import Signal

# More than any detector has to say; a generator without end stops here.
MAX_FINDINGS: Final = 16
MAX_WEIGHT: Final = 1000.0  # points; a flag is 4.5
_MAX_ERROR: Final = 200


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
    return [_signed(one, detector, now) for one in findings]


def _iterable(found: Iterable[Signal] | None) -> Iterable[Signal]:
    return () if found is None else found


def _signed(signal: Signal, detector: Detector, now: float) -> Signal:
    """Check a finding and write its detector and time in; TypeError or ValueError if it is none."""
    if not isinstance(signal, Signal):
        raise TypeError(f"a detector returns signals, and not {type(signal).__name__}")
    if not (signal.code and isinstance(signal.code, str) and isinstance(signal.reason, str)):
        raise TypeError("a signal has a code and a reason, both text")
    if not isinstance(signal.detail, Mapping):
        raise TypeError(f"the detail of {signal.code!r} is no mapping")
    weight = float(signal.weight)
    if not -MAX_WEIGHT <= weight <= MAX_WEIGHT:
        raise ValueError(
            f"the weight of {signal.code!r} is {weight!r}; it is a number of points, at most "
            f"{MAX_WEIGHT:g} for or against"
        )
    return Signal(signal.code, weight, signal.reason, signal.detail, detector.name, now)


def told(error: Exception) -> str:
    """Say what was raised; an exception whose text raises is named alone."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = type(error).__name__
    return text[:_MAX_ERROR]
