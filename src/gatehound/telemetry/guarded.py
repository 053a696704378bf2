"""How a guard is measured: a class in front of its own, and events that count.

`measure(guard, ...)` changes one guard when it is built, so that a guard without telemetry runs
the same instructions as if this package were not there.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from gatehound.events import NAMES, Events, Precision, Sink
from gatehound.model import EndReason, Event
from gatehound.stores.answer import Standing
from gatehound.telemetry.meters import NOWHERE, Meters, meters_of
from gatehound.telemetry.metric import (
    ACTIONS,
    ENDED,
    EVENTS,
    EXAMINE,
    JUDGEMENTS,
    LOGINS,
    OTHER,
    WOULD,
)
from gatehound.telemetry.store import MeasuredStore

if TYPE_CHECKING:
    from gatehound.cookies import Reading, Ticket
    from gatehound.detection import Judgement
    from gatehound.guard import Guard as _Guard
    from gatehound.model import Request
    from gatehound.passage import Passage
    from gatehound.stores.answer import Answer
    from gatehound.stores.base import Store
    from gatehound.stores.record import Record
else:
    _Guard = object  # it stands in front of Guard, which is above this package

_LOGINS: Final = {
    "session_created": ("succeeded",),
    "login_failed": ("failed",),
    "login_refused": ("refused",),
}
_ENDS: Final = frozenset({"session_terminated", "session_terminated_limit", "session_expired"})
_REASONS: Final = frozenset(reason.value for reason in EndReason)
_TURNED: Final = {
    Standing.SUPERSEDED: "superseded",
    Standing.REUSED: "reused",
    Standing.ENDED: "ended",
}
# What a passage is marked with here; it has no slots, and nobody else wants to know.
_MARK: Final = "turned"


class Measuring(_Guard):
    """In front of Guard: does the same, and tells meters of it."""

    meters: Meters

    async def examine(self, request: Request) -> Passage:
        """Answer for one request, inside a span that is over before the app is called."""
        meters = self.meters
        entered = meters.enter("gatehound.examine", {}) if meters.traces else NOWHERE
        began = perf_counter()
        try:
            passage = await super().examine(request)
        except BaseException:
            meters.observe(EXAMINE, ("failed",), perf_counter() - began)
            meters.leave(entered, {"gatehound.outcome": "failed"}, "failed")
            raise
        took, outcome = perf_counter() - began, _outcome(passage)
        meters.observe(EXAMINE, (outcome,), took)  # an exemplar names the span that is open
        if entered:
            meters.leave(entered, _told(passage, outcome))
        return passage

    def note_forged(self, passage: Passage, reading: Reading, which: str = "") -> None:
        """Tell of a forged cookie, and remember that it was there."""
        if not which and (reading.forged or reading.too_many) and reading.ticket is None:
            vars(passage)[_MARK] = "forged"
        super().note_forged(passage, reading, which)

    async def turn_away(self, passage: Passage, ticket: Ticket, answer: Answer) -> None:
        """Remember why a cookie opens nothing."""
        vars(passage)[_MARK] = _TURNED.get(answer.standing, "unknown")
        await super().turn_away(passage, ticket, answer)

    async def judge(self, passage: Passage, record: Record) -> None:
        """Judge, and count what came of it."""
        await super().judge(passage, record)
        if self.detection.enabled:
            self.meters.add(JUDGEMENTS, (ACTIONS[passage.verdict.action],))

    async def act(self, passage: Passage, record: Record, judgement: Judgement) -> None:
        """Count what detectors found, and act."""
        for signal in judgement.fresh:
            self.meters.found(signal)
        await super().act(passage, record, judgement)

    async def _tell_more(self, passage: Passage, judgement: Judgement) -> None:
        for way in judgement.reached:
            self.meters.add(WOULD, (way,))
        await super()._tell_more(passage, judgement)

    def _open_store(self, *, suspends: bool) -> Store:
        return _measured_store(super()._open_store(suspends=suspends), self.meters)


class MeasuredEvents(Events):
    """Events that are counted as they happen, also where a flood keeps them from being told."""

    def __init__(self, sinks: Iterable[Sink], precision: Precision, meters: Meters) -> None:
        super().__init__(sinks, precision=precision)
        self._meters = meters

    def emit(self, event: Event) -> None:
        """Count an event, and hand it to every sink."""
        self._count(event.name, event.reason)
        super().emit(event)

    def admits(self, name: str) -> bool:
        """Say whether one more is told now; who is held back is counted now, and not later."""
        is_told = super().admits(name)
        if not is_told:
            self._count(name, "")
        return is_told

    def _count(self, name: str, reason: str) -> None:
        meters = self._meters
        meters.add(EVENTS, (name if name in NAMES else OTHER,))
        if name in _LOGINS:
            meters.add(LOGINS, _LOGINS[name])
        elif name in _ENDS:
            meters.add(ENDED, (reason if reason in _REASONS else OTHER,))
        elif name in ("store_down", "store_up"):
            meters.tell_store(is_down=name == "store_down")


def measure(guard: Any, telemetry: object) -> None:
    """Measure this guard from now on; SettingsError for what is no telemetry.

    `guard` is one whose construction has come as far as its stores and events.
    """
    meters = meters_of(telemetry, guard.settings.telemetry)
    if not meters.telemetry:
        return
    guard.meters = meters
    events = guard._events
    guard._events = MeasuredEvents(events._sinks, events._precision, meters)
    guard._stores = {
        suspends: _measured_store(store, meters) for suspends, store in guard._stores.items()
    }
    guard.__class__ = measured(type(guard))
    meters.tell_store(is_down=False)


def measured(guard: type[_Guard]) -> type[_Guard]:
    """Put Measuring in front of a class of guards; the name stays, for who logs it."""
    return type(guard.__name__, (Measuring, guard), {"__module__": guard.__module__})


def _measured_store(store: Store, meters: Meters) -> Store:
    # One memory store serves both worlds, and is opened once.
    return store if isinstance(store, MeasuredStore) else MeasuredStore(store, meters)


def _outcome(passage: Passage) -> str:
    """Say in one word what came of the cookie."""
    if passage.record is not None:
        if passage.stale:
            return "stale"
        return "graced" if passage.graced else "live"
    if not passage.checked:
        return "ignored"
    if passage.outage is not None:
        return "outage"
    if passage.ended is not None:
        return "ended"
    found: str = vars(passage).get(_MARK, "none" if passage.ticket is None else "unknown")
    return found


def _told(passage: Passage, outcome: str) -> dict[str, str]:
    """What a span says; a session is named by its public id, which authenticates nobody."""
    told = {
        "gatehound.outcome": outcome,
        "gatehound.activity": passage.activity.value,
        "gatehound.action": ACTIONS[passage.verdict.action],
    }
    record, ticket = passage.record, passage.ticket
    if record is not None:
        told["session.id"] = record.public_id
    elif ticket is not None:
        told["session.id"] = ticket.sid.hex()
    return told
